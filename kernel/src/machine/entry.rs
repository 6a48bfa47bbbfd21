//! The ways into the kernel and out of it, in assembly.
//!
//! From user mode the processor pushes on the vCPU's stack; the stubs push the rest, keep all registers in the frame of the
//! thread that runs, and call Rust on the same stack. Rust does not come back: it leaves through [`leave_trap`],
//! [`leave_frame`] or [`idle`]. From ring 0 an exception is a bug and goes to the panic screen, but for
//! the NMI and a debug trap that `syscall` carried in.
//!
//! Who was interrupted is decided by the saved CPL, and for exceptions with a stack of their own by GS_BASE, because they
//! can come before `swapgs`.

use ::core::mem::offset_of;

use super::descriptors::UPCALL_VECTOR;
use super::frame::{Registers, ThreadFrame, VectorState};
use super::layout::LOCAL_APIC;
use super::quick::with_quick;
use super::run::KERNEL;
use super::vcpu::{
    CLOCK_OFFSET, FRAMES_OFFSET, QUICK_OFFSET, SHARED_OFFSET, SPARE_OFFSET, STACK_OFFSET,
};
use crate::core::hardware::TrapRegisters;

/// Bytes between two exception stubs.
const STUB: usize = 16;

unsafe extern "C" {
    static exception_stubs: [u8; 32 * STUB];
    fn upcall_entry();
    fn ignored_entry();
    /// The `syscall` instruction comes here, or to `syscall_quick`: every trap goes to the core.
    pub fn syscall_entry();
    /// As `syscall_entry`, but what the quick path can do does not go to the core.
    pub fn syscall_quick();
    /// A `syscall` from 32-bit code would come here.
    pub fn foreign_entry();
    /// First and last byte of the code that runs in ring 0 with the user's GS base or stack.
    static user_state_start: u8;
    static user_state_end: u8;

    /// Enables interrupts and waits for one. It never returns: the upcall starts afresh on the vCPU's stack.
    pub fn idle() -> !;
    /// Goes to user mode with these registers, all others zero, vector registers and flags at their defaults; to where
    /// nothing is mapped if `rip` is not canonical.
    ///
    /// # Safety
    /// The thread's space is loaded.
    pub fn leave_trap(registers: *const TrapRegisters) -> !;
    /// Goes to user mode with all registers of a frame.
    ///
    /// # Safety
    /// The frame's `rip` is canonical, its selectors are user mode's, interrupts are on in its flags, its vector state was
    /// written by FXSAVE or is the default, and the thread's space is loaded.
    pub fn leave_frame(frame: *const ThreadFrame) -> !;
    /// Where a vCPU other than the boot vCPU starts.
    pub fn vcpu_entry();
    /// Calls `next` on a fresh stack.
    pub fn restart_on_stack(next: extern "C" fn() -> !, stack: u64) -> !;
}

/// How the upcall is acknowledged, and what tests ask for; read by the assembly.
#[repr(C)]
pub struct UpcallMode {
    /// 0: not at all, 1: x2APIC, 2: local APIC in memory.
    pub acknowledge: ::core::sync::atomic::AtomicU8,
    /// 1: raise the vector once more, in ring 0, before anything else.
    pub twice: ::core::sync::atomic::AtomicU8,
    /// Upcalls that interrupted the kernel itself and were sent back.
    pub in_kernel: ::core::sync::atomic::AtomicU64,
}

/// See [`UpcallMode`].
#[unsafe(no_mangle)]
pub static UPCALL_MODE: UpcallMode = UpcallMode {
    acknowledge: ::core::sync::atomic::AtomicU8::new(0),
    twice: ::core::sync::atomic::AtomicU8::new(0),
    in_kernel: ::core::sync::atomic::AtomicU64::new(0),
};

#[unsafe(no_mangle)]
static CLEAN_VECTORS: VectorState = VectorState::DEFAULT;

/// How many upcalls found the kernel itself running, and were sent back.
pub fn upcalls_in_kernel() -> u64 {
    UPCALL_MODE.in_kernel.load(::core::sync::atomic::Ordering::Relaxed)
}

/// The address of the handler of a vector.
pub fn handler(vector: usize) -> u64 {
    match vector {
        0..32 => &raw const exception_stubs as u64 + (vector * STUB) as u64,
        _ if vector == usize::from(UPCALL_VECTOR) => upcall_entry as *const () as u64,
        _ => ignored_entry as *const () as u64,
    }
}

/// Whether an instruction belongs to the entry and exit code that runs on the user's stack or GS base.
pub fn is_user_state(rip: u64) -> bool {
    (&raw const user_state_start as u64..&raw const user_state_end as u64).contains(&rip)
}

with_quick!(
    r#"
    .macro push_registers
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    .endm

    .macro pop_registers
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    .endm

    // Ends the interrupt in the local APIC. Uses rax, rcx, rdx.
    .macro acknowledge
    movzx eax, byte ptr [UPCALL_MODE]
    dec eax
    js 12f
    jnz 11f
    mov ecx, 0x80b
    xor edx, edx
    wrmsr
    jmp 12f
11: movabs rax, {eoi}
    mov dword ptr [rax], 0
12:
    .endm

    // From user mode, all registers pushed: keep them in the thread's frame, whose address is then in rdi.
    .macro keep_registers
    mov rdi, gs:[{current}]
    lea rdi, [rdi + rdi * 2]                    // a frame is three times as large as a thread
    add rdi, gs:[{frame_table}]
    fxsave64 [rdi + {frame_vectors}]
    .irp at, 0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160
    movaps xmm0, [rsp + \at]
    movaps [rdi + \at], xmm0
    .endr
    xor ebp, ebp
    .endm

    .text
    .balign 16
    .global exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    // Vectors for which the processor pushes no error code.
    .if ((0x60227d00 >> vector) & 1) == 0
    push 0
    .endif
    push vector
    // Debug, NMI, double fault, machine check.
    .if ((0x00040106 >> vector) & 1) == 1
    jmp own_stack
    .else
    jmp exception
    .endif
    .set vector, vector + 1
    .endr

    .balign 16
exception:
    cld
    test byte ptr [rsp + 24], 3
    jz 1f
    swapgs
    push_registers
    keep_registers
    call user_exception
    ud2
1:  push_registers
    mov ecx, 0xc0000101                         // GS_BASE: negative when it is the kernel's
    rdmsr
    test edx, edx
    js 2f
    swapgs
2:  mov rdi, rsp
    and rsp, -16
    // On the way out the stack is no stack: it is a thread's frame, or the user's.
    mov rax, [rdi + {saved_rip}]
    cmp rax, offset user_state_start
    jb 3f
    cmp rax, offset user_state_end
    jae 3f
    mov rsp, gs:[{spare}]
3:  call kernel_exception
    ud2

    .balign 16
own_stack:
    cld
    push_registers
    mov ecx, 0xc0000101                         // GS_BASE: negative when it is the kernel's
    rdmsr
    xor ebx, ebx
    test edx, edx
    js 1f
    swapgs
    inc ebx
1:  mov rdi, rsp
    mov rbp, rsp
    and rsp, -16
    call own_stack_exception
    mov rsp, rbp
    test ebx, ebx
    jz 1f
    swapgs
1:  pop_registers
    add rsp, 16
    iretq

    .balign 16
    .global upcall_entry
upcall_entry:
    test byte ptr [rsp + 8], 3
    jz 2f
    cmp byte ptr [UPCALL_MODE + 1], 0           // the test of a repeated upcall
    je 1f
    int {upcall}
1:  cld
    push 0
    push {upcall}
    push_registers
    acknowledge
    swapgs
    keep_registers
    call upcall
    ud2
2:  cmp qword ptr [rsp], offset idle_halted
    je 3f
    // The kernel itself was interrupted (a vector delivered twice): touch nothing.
    push rax
    push rcx
    push rdx
    acknowledge
    pop rdx
    pop rcx
    pop rax
    lock inc qword ptr [UPCALL_MODE + 8]
    iretq
3:  cmp byte ptr [UPCALL_MODE + 1], 0
    je 1f
    int {upcall}
1:  acknowledge
    mov rsp, gs:[{stack}]
    xor ebp, ebp
    call upcall
    ud2

    .balign 16
    .global ignored_entry
ignored_entry:
    iretq

    .balign 16
    .global idle
idle:
    sti
    hlt
idle_halted:
    jmp idle

    .balign 16
    .global vcpu_entry
vcpu_entry:
    xor ebp, ebp
    call vcpu_main
    ud2

    .balign 16
    .global restart_on_stack
restart_on_stack:
    mov rsp, rsi
    xor ebp, ebp
    call rdi
    ud2

    .balign 16
    .global user_state_start
user_state_start:
    .global syscall_entry
syscall_entry:
    swapgs
    mov rbx, gs:[{current}]
    mov [rbx + {rsp}], rsp
    mov [rbx + {rip}], rcx
    // A trap for the core. rbx: the thread that traps, the place of the trap is in its registers.
syscall_slow:
    mov [rbx + {trap_rax}], rax
    mov [rbx + {trap_rdi}], rdi
    mov [rbx + {words}], rsi
    mov [rbx + {words} + 8], rdx
    mov [rbx + {words} + 16], r10
    mov [rbx + {words} + 24], r8
    mov [rbx + {words} + 32], r9
    xor ebp, ebp
    mov [rbx + {trap_r12}], rbp
    mov [rbx + {trap_r13}], rbp
    mov rsp, gs:[{stack}]
    call trap
    ud2

    .macro enter_kernel
    swapgs
    .endm
    .macro load_space space
    mov cr3, \space
    .endm
    .macro leave_kernel
    swapgs
    sysretq
    .endm
"#,
    r#"
    .balign 16
    .global leave_trap
leave_trap:
    fxrstor64 [CLEAN_VECTORS]
    mov rax, [rdi + {trap_rax}]
    mov rsi, [rdi + {words}]
    mov rdx, [rdi + {words} + 8]
    mov r10, [rdi + {words} + 16]
    mov r8, [rdi + {words} + 24]
    mov r9, [rdi + {words} + 32]
    mov r12, [rdi + {trap_r12}]
    mov r13, [rdi + {trap_r13}]
    mov rcx, [rdi + {trap_rip}]
    movabs rsp, {never_mapped}
    cmp rcx, rsp
    cmova rcx, rsp                              // a fault in user mode, where it belongs
    mov rsp, [rdi + {trap_rsp}]
    mov rdi, [rdi + {trap_rdi}]
    xor ebx, ebx
    xor ebp, ebp
    xor r14d, r14d
    xor r15d, r15d
    mov r11d, {flags}
    swapgs
    sysretq

    .balign 16
    // No 32-bit code segment exists, so nobody comes here.
    .global foreign_entry
foreign_entry:
    ud2

    .balign 16
    .global leave_frame
leave_frame:
    fxrstor64 [rdi + {frame_vectors}]
    lea rsp, [rdi + {registers}]
    pop_registers
    add rsp, 16
    swapgs
    iretq
    .global user_state_end
user_state_end:
"#,
    lock = KERNEL,
    quick = QUICK_OFFSET,
    clock = const CLOCK_OFFSET,
    shared = const SHARED_OFFSET,
    eoi = const LOCAL_APIC + 0xb0,
    frame_table = const FRAMES_OFFSET,
    frame_vectors = const offset_of!(ThreadFrame, vectors),
    registers = const offset_of!(ThreadFrame, registers),
    stack = const STACK_OFFSET,
    spare = const SPARE_OFFSET,
    saved_rip = const offset_of!(Registers, rip),
    upcall = const UPCALL_VECTOR,
    never_mapped = const super::run::NEVER_MAPPED,
    trap_rip = const offset_of!(TrapRegisters, rip),
    trap_rsp = const offset_of!(TrapRegisters, rsp),
);

// The order in which the stubs push.
const _: () =
    assert!(offset_of!(Registers, rax) == 14 * 8 && offset_of!(Registers, vector) == 15 * 8);
const _: () = assert!(offset_of!(UpcallMode, twice) == 1 && offset_of!(UpcallMode, in_kernel) == 8);
// What `keep_registers` copies, and where to.
const _: () = assert!(size_of::<Registers>() == 176 && offset_of!(ThreadFrame, registers) == 0);
// `syscall_slow` writes a thread's registers at its beginning.
const _: () = assert!(offset_of!(crate::core::thread::Thread, registers) == 0);

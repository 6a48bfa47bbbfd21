//! The quick path on the host: the same text, with other macros for what only ring 0 may do.
//!
//! GS_BASE points to a [`Stand`] in place of a vCPU. A trap ends where the kernel would leave to user mode or go to the core;
//! all registers are kept as they are there.

use ::core::arch::asm;
use ::core::mem::offset_of;
use ::core::sync::atomic::{AtomicU32, Ordering};
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::quick::{Quick, with_quick};

/// The general registers, in the order in which the stand keeps them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "registers explain themselves")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub vectors: [u64; 32],
    pub mxcsr: u32,
    /// 1 if the trap went on to the core.
    pub slow: u32,
}

/// What GS_BASE points to.
#[repr(C, align(16))]
struct Stand {
    registers: Registers,
    host_rsp: u64,
    space: u64,
    quick: Quick,
}

static HOST_LOCK: AtomicU32 = AtomicU32::new(0);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

unsafe extern "C" {
    fn quick_host_trap();
}

with_quick!(
    r#"
    .macro enter_kernel
    .endm
    .macro load_space space
    mov gs:[{loaded_space}], \space
    .endm
    .macro leave_kernel
    jmp quick_host_end
    .endm

    .macro each_register operation
    \operation 0, rax
    \operation 1, rbx
    \operation 2, rcx
    \operation 3, rdx
    \operation 4, rsi
    \operation 5, rdi
    \operation 6, rbp
    \operation 7, rsp
    \operation 8, r8
    \operation 9, r9
    \operation 10, r10
    \operation 11, r11
    \operation 12, r12
    \operation 13, r13
    \operation 14, r14
    \operation 15, r15
    .endm
    .macro load_register at, name
    mov \name, gs:[{registers} + 8 * \at]
    .endm
    .macro keep_register at, name
    mov gs:[{registers} + 8 * \at], \name
    .endm

    .text
    .global quick_host_trap
quick_host_trap:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov gs:[{host_rsp}], rsp
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups xmm\n, gs:[{vectors} + 16 * \n]
    .endr
    ldmxcsr gs:[{mxcsr}]
    each_register load_register
    jmp syscall_quick

syscall_slow:
    mov dword ptr gs:[{slow}], 1
quick_host_end:
    each_register keep_register
    stmxcsr gs:[{mxcsr}]
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups gs:[{vectors} + 16 * \n], xmm\n
    .endr
    ldmxcsr [rip + QUICK_MXCSR]
    mov rsp, gs:[{host_rsp}]
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret
"#,
    "",
    lock = HOST_LOCK,
    quick = offset_of!(Stand, quick),
    loaded_space = const offset_of!(Stand, space),
    registers = const offset_of!(Stand, registers),
    vectors = const offset_of!(Stand, registers.vectors),
    mxcsr = const offset_of!(Stand, registers.mxcsr),
    slow = const offset_of!(Stand, registers.slow),
    host_rsp = const offset_of!(Stand, host_rsp),
);

/// A processor that traps, on the thread that made it.
pub struct Host {
    stand: Box<Stand>,
    _alone: MutexGuard<'static, ()>,
}

impl Host {
    /// One; the next waits until it is gone.
    pub fn one() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let registers = Registers::default();
        let stand = Stand { registers, host_rsp: 0, space: 0, quick: Quick::empty() };
        let stand = Box::new(stand);
        set_gs(&raw const *stand as u64);
        Self { stand, _alone: alone }
    }

    /// What the quick path finds.
    pub fn quick(&self) -> &Quick {
        &self.stand.quick
    }

    /// Goes to a thread as the kernel does on its way out.
    pub fn run(&self, thread: u16) {
        self.stand.quick.set_thread(thread);
    }

    /// Nobody runs.
    pub fn idle(&self) {
        self.stand.quick.current.set(0);
    }

    /// The space that was loaded last.
    pub fn space(&self) -> u64 {
        self.stand.space
    }

    /// Takes the lock away, or gives it back.
    pub fn hold_lock(&self, held: bool) {
        HOST_LOCK.store(held.into(), Ordering::SeqCst);
    }

    /// Whether the lock is taken.
    pub fn is_locked(&self) -> bool {
        HOST_LOCK.load(Ordering::SeqCst) != 0
    }

    /// Traps with these registers (`rcx` is where from); the registers at the end.
    pub fn trap(&mut self, registers: Registers) -> Registers {
        self.stand.registers = Registers { slow: 0, ..registers };
        // SAFETY: GS_BASE points to the stand; the function keeps what the calling convention asks for, and reads and writes
        // nothing but the stand, the lock and the tables that the stand's `quick` was filled with, which nobody uses now.
        unsafe { quick_host_trap() };
        // SAFETY: the box is alive; the assembly wrote to it.
        unsafe { (&raw const self.stand.registers).read_volatile() }
    }
}

/// Sets this thread's GS_BASE, which user code of Linux does not use.
fn set_gs(address: u64) {
    const ARCH_PRCTL: u64 = 158;
    const ARCH_SET_GS: u64 = 0x1001;
    // SAFETY: the system call changes GS_BASE alone.
    unsafe {
        asm!(
            "syscall",
            inout("rax") ARCH_PRCTL => _,
            in("rdi") ARCH_SET_GS,
            in("rsi") address,
            out("rcx") _, out("r11") _,
            options(nostack),
        );
    }
}

//! The quick path on the host: the same text, with other macros for what only ring 0 may do.
//!
//! GS_BASE points to a [`Stand`] in place of a vCPU. A trap ends where the kernel would leave to user mode or go to the core;
//! all registers are kept as they are there.

use ::core::arch::asm;
use ::core::cell::Cell;
use ::core::mem::offset_of;
use ::core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::quick::{Quick, clock, with_quick};

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
    space: Cell<u64>,
    quick: Quick,
    clock: *const Pages,
    shared: *const Pages,
}

/// A clock page, and the page shared with Xen, in one: what each is read for lies in another place.
#[derive(Default)]
#[repr(C)]
struct Pages {
    version: AtomicU32,
    padding: u32,
    tsc: AtomicU64,
    system: AtomicU64,
    multiplier: AtomicU32,
    shift: AtomicU32,
    unused: [u64; 5],
    entered: AtomicU64,
    running: u64,
    runnable: AtomicU64,
    blocked: u64,
    offline: AtomicU64,
}

const _: () = assert!(
    offset_of!(Pages, multiplier) == clock::MULTIPLIER
        && offset_of!(Pages, shift) == clock::SHIFT
        && offset_of!(Pages, entered) == clock::ENTERED
        && offset_of!(Pages, offline) == clock::OFFLINE
);

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
    clock = const offset_of!(Stand, clock),
    shared = const offset_of!(Stand, shared),
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
    pages: &'static Pages,
    _alone: MutexGuard<'static, ()>,
}

impl Host {
    /// One; the next waits until it is gone.
    pub fn one() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let registers = Registers::default();
        let pages: &Pages = Box::leak(Box::default());
        let quick = Quick::empty();
        let stand = Stand {
            registers,
            host_rsp: 0,
            space: Cell::new(0),
            quick,
            clock: pages,
            shared: pages,
        };
        let stand = Box::new(stand);
        set_gs(&raw const *stand as u64);
        Self { stand, pages, _alone: alone }
    }

    /// What the quick path finds.
    pub fn quick(&self) -> &Quick {
        &self.stand.quick
    }

    /// Goes to a thread in its space as the kernel does on its way out.
    pub fn run(&self, thread: u16, space: u64) {
        self.stand.quick.set_thread(thread);
        self.stand.space.set(space);
    }

    /// Nobody runs.
    pub fn idle(&self) {
        self.stand.quick.current.set(0);
    }

    /// The space that was loaded last.
    pub fn space(&self) -> u64 {
        self.stand.space.get()
    }

    /// Lets the clock stand still at a time, after `stolen` of it was withheld.
    pub fn set_time(&self, now: u64, stolen: u64) {
        self.pages.system.store(now, Ordering::Relaxed);
        self.pages.multiplier.store(0, Ordering::Relaxed);
        self.pages.runnable.store(stolen / 3, Ordering::Relaxed);
        self.pages.offline.store(stolen - stolen / 3, Ordering::Relaxed);
    }

    /// Lets the clock run from a time and a reading of the counter on: a multiplier (of 32 bits behind the point), and the
    /// distance by which ticks are shifted to the left before, or to the right if it is negative.
    pub fn run_clock(&self, system: u64, tsc: u64, multiplier: u32, shift: i8) {
        self.pages.tsc.store(tsc, Ordering::Relaxed);
        self.pages.system.store(system, Ordering::Relaxed);
        self.pages.multiplier.store(multiplier, Ordering::Relaxed);
        self.pages.shift.store(u32::from(shift.cast_unsigned()), Ordering::Relaxed);
    }

    /// The counter that the clock is made from.
    pub fn ticks() -> u64 {
        // SAFETY: Linux leaves the instruction to programs.
        unsafe { ::core::arch::x86_64::_rdtsc() }
    }

    /// Xen is about to write the clock, or the run state, or neither.
    pub fn set_writing(&self, clock: bool, run_state: bool) {
        self.pages.version.store(clock.into(), Ordering::Relaxed);
        self.pages.entered.store(u64::from(run_state) << 63, Ordering::Relaxed);
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

//! What the assembly calls: a trap, an exception, an event.
//!
//! From user mode each of these tells the core and leaves the kernel with whoever is next. From ring 0 an exception ends
//! the domain.

use ::core::sync::atomic::{AtomicU64, Ordering};

use abi::fault::FaultKind;
use x86_64::registers::control::Cr2;

use super::entry::{self, is_user_state};
use super::frame::{Registers, VectorState};
use super::vcpu::Vcpu;
use super::{cpu, panic, run};
use crate::core::hardware::Exception;
use crate::say;

const DIVISION: u64 = 0;
const DEBUG: u64 = 1;
const NMI: u64 = 2;
const BREAKPOINT: u64 = 3;
const INSTRUCTION: u64 = 6;
const STACK: u64 = 12;
const PROTECTION: u64 = 13;
const PAGE: u64 = 14;

/// The processor's trap flag: an exception after each instruction.
const TRAP_FLAG: u64 = 1 << 8;

static NMIS: AtomicU64 = AtomicU64::new(0);

/// An exception in ring 0, or one that nobody can go on from.
#[unsafe(no_mangle)]
extern "C" fn kernel_exception(registers: &Registers) -> ! {
    let place = if registers.from_user() { "user mode" } else { "the kernel" };
    panic::stop(format_args!("exception {} in {place}", registers.vector), Some(registers))
}

/// An exception with a stack of its own; returns if the interrupted code is to go on.
#[unsafe(no_mangle)]
extern "C" fn own_stack_exception(registers: &mut Registers) {
    match registers.vector {
        NMI => count_nmi(registers),
        // The trap flag was set at a `syscall`: a processor that traps after it does so in ring 0.
        DEBUG if is_user_state(registers.rip) => registers.rflags &= !TRAP_FLAG,
        DEBUG if registers.from_user() => debug_exception(registers),
        _ => kernel_exception(registers),
    }
}

/// An NMI is the operator's question whether the domain is alive: the first is answered.
fn count_nmi(registers: &Registers) {
    if NMIS.fetch_add(1, Ordering::Relaxed) == 0 {
        say!("NMI at {:#x}", registers.rip);
    }
}

/// A debug exception of user code: like any other, once it is off its own stack.
fn debug_exception(registers: &Registers) -> ! {
    let vcpu = Vcpu::current();
    // SAFETY: a thread ran, so the frame is its, and nothing else refers to it while the thread runs.
    let frame = unsafe { &mut *vcpu.frame() };
    frame.registers = *registers;
    save_vectors(&mut frame.vectors);
    // SAFETY: the vCPU's stack holds nothing: its thread was in user mode.
    unsafe { entry::restart_on_stack(debug_exception_on_stack, vcpu.stack()) }
}

extern "C" fn debug_exception_on_stack() -> ! {
    // SAFETY: as above.
    let registers = unsafe { (*Vcpu::current().frame()).registers };
    user_exception(&registers)
}

fn save_vectors(vectors: &mut VectorState) {
    // SAFETY: the place has the size and the alignment that the instruction wants.
    unsafe {
        ::core::arch::asm!("fxsave64 [{}]", in(reg) vectors, options(nostack, preserves_flags));
    }
}

/// An exception in user mode. The thread's frame is saved; `registers` are the frame's.
#[unsafe(no_mangle)]
extern "C" fn user_exception(registers: &Registers) -> ! {
    cpu::forbid_user_access();
    let address = if registers.vector == PAGE { Cr2::read_raw() } else { 0 };
    let exception = Exception {
        kind: kind(registers.vector),
        address,
        rip: registers.rip,
        error: registers.vector << 32 | registers.error & 0xffff_ffff,
        rsp: registers.rsp,
    };
    run::exception(&exception)
}

fn kind(vector: u64) -> FaultKind {
    match vector {
        DIVISION => FaultKind::Division,
        DEBUG | BREAKPOINT => FaultKind::Debug,
        INSTRUCTION => FaultKind::Instruction,
        STACK | PROTECTION => FaultKind::Protection,
        PAGE => FaultKind::Page,
        _ => FaultKind::Exception,
    }
}

/// A trap. The thread's registers are kept.
#[unsafe(no_mangle)]
extern "C" fn trap() -> ! {
    run::trap()
}

/// An event, in user mode or in the idle `hlt`. It is acknowledged; if a thread ran, its frame is saved.
#[unsafe(no_mangle)]
extern "C" fn upcall() -> ! {
    cpu::forbid_user_access();
    run::upcall()
}

//! What the assembly calls: a trap, an exception, an event.
//!
//! From user mode each of these ends by leaving the kernel; from ring 0 an exception ends the domain.

use ::core::sync::atomic::{AtomicU64, Ordering};

use super::entry::{self, is_user_state};
use super::frame::Registers;
use super::panic;
use super::vcpu::Vcpu;
use super::xen::channels;
use crate::core::hardware::TrapRegisters;
use crate::say;

const DEBUG: u64 = 1;
const NMI: u64 = 2;
const TRAP_FLAG: u64 = 1 << 8;

static NMIS: AtomicU64 = AtomicU64::new(0);

/// An exception in ring 0: a bug of the kernel.
#[unsafe(no_mangle)]
extern "C" fn kernel_exception(registers: &Registers) -> ! {
    panic::stop(format_args!("exception {} in the kernel", registers.vector), Some(registers))
}

/// An exception with a stack of its own; returns if the interrupted code is to go on.
#[unsafe(no_mangle)]
extern "C" fn own_stack_exception(registers: &mut Registers) {
    match registers.vector {
        NMI => {
            if NMIS.fetch_add(1, Ordering::Relaxed) == 0 {
                say!("NMI at {:#x}", registers.rip);
            }
        }
        // The trap flag was set at a `syscall`: a processor that traps after it does so in ring 0.
        DEBUG if is_user_state(registers.rip) => registers.rflags &= !TRAP_FLAG,
        _ => kernel_exception(registers),
    }
}

#[unsafe(no_mangle)]
extern "C" fn user_exception(registers: &Registers) -> ! {
    panic::stop(format_args!("exception {} in user mode", registers.vector), Some(registers))
}

#[unsafe(no_mangle)]
extern "C" fn trap(_registers: &TrapRegisters) -> ! {
    panic::stop(format_args!("a trap"), None)
}

#[unsafe(no_mangle)]
extern "C" fn upcall() -> ! {
    run()
}

/// Takes what happened and goes on with whoever is next.
pub fn run() -> ! {
    let vcpu = Vcpu::current();
    while channels::any_pending(vcpu) {
        channels::take(vcpu, |event| say!("event {event:?} at {} ns", super::xen::clock::now()));
    }
    // SAFETY: the stack holds nothing that is needed again; the upcall is set up.
    unsafe { entry::idle() }
}

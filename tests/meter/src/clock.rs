//! The time-stamp counter, which counts instructions where QEMU is told to (`-icount shift=0`): one tick is one instruction.

/// The counter.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the kernel leaves the instruction to user space (CR4.TSD is clear).
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Runs two instructions `rounds` times.
#[inline(always)]
pub fn spin(rounds: u64) {
    // SAFETY: only the declared register changes.
    unsafe {
        core::arch::asm!("2:", "dec {rounds}", "jnz 2b", rounds = inout(reg) rounds => _, options(nomem, nostack));
    }
}

/// Traps with a number that there is not; the kernel tells whoever handles faults what was above it.
#[inline(always)]
pub fn fault(above: u64) -> ! {
    // SAFETY: the trap does not return.
    unsafe { core::arch::asm!("syscall", in("rax") above << 8 | 0xee, options(noreturn)) }
}

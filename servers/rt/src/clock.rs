//! The time, in nanoseconds since boot, without a trap: Xen's `vcpu_time_info` (Xen public/xen.h) on the clock page.
//!
//! Invariant: a reading is taken from one version of the page. When the time-stamp counter is not to be trusted (the page says
//! so, and may change its mind when the domain is resumed elsewhere), the kernel is asked instead. It knows no dates.

use abi::layout::PAGE;
use shared::Memory;

/// Flag of the page: the counter runs alike on all processors (`XEN_PVCLOCK_TSC_STABLE_BIT`).
const STABLE: u8 = 1;
/// Offset of the version, which is odd while Xen writes the page.
const VERSION: usize = 0;
/// How often a reading is tried: Xen writes the page only now and then.
const TRIES: u32 = 16;

/// Nanoseconds since boot.
#[must_use]
pub fn now() -> u64 {
    read(page(), counter).unwrap_or_else(|| crate::own().now().unwrap_or_default())
}

/// The page as this server has it.
fn page() -> Memory {
    // SAFETY: mapped, read only, for as long as the server lives (`abi::layout`), and written by Xen alone.
    unsafe {
        Memory::new(
            core::ptr::with_exposed_provenance_mut(abi::layout::CLOCK as usize),
            PAGE as usize,
        )
    }
}

/// The processor's time-stamp counter, read after everything before. Its rate is that of the machine.
#[inline(always)]
#[must_use]
pub fn counter() -> u64 {
    // SAFETY: SSE2 is part of every x86-64.
    unsafe { core::arch::x86_64::_mm_lfence() };
    // SAFETY: the kernel leaves the instruction to user space (CR4.TSD is clear).
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// What the page says.
#[derive(Clone, Copy, Debug)]
struct Rate {
    counter: u64,
    time: u64,
    multiplier: u32,
    shift: i8,
}

/// The time by `page` and `counter`; `None` if the counter is not to be trusted, or the page never stands still.
fn read(page: Memory, counter: impl Fn() -> u64) -> Option<u64> {
    for _ in 0..TRIES {
        let version = page.load_u32_acquire(VERSION);
        let rate = Rate {
            counter: page.load_u64_acquire(8),
            time: page.load_u64_acquire(16),
            multiplier: page.read(24),
            shift: page.read(28),
        };
        let flags: u8 = page.read(29);
        let at = counter();
        core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
        if version & 1 == 0 && page.load_u32_acquire(VERSION) == version {
            return (flags & STABLE != 0).then(|| rate.at(at));
        }
    }
    None
}

impl Rate {
    /// The time when the counter stands at `counter`; one that lies before the page's stands for the page's own time.
    fn at(self, counter: u64) -> u64 {
        let ticks = counter.saturating_sub(self.counter);
        let by = u32::from(self.shift.unsigned_abs());
        let shifted = if self.shift < 0 { ticks.checked_shr(by) } else { ticks.checked_shl(by) };
        let scaled = (u128::from(shifted.unwrap_or(0)) * u128::from(self.multiplier)) >> 32;
        self.time.wrapping_add(scaled as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, read};
    use shared::HostMemory;

    const HALF: u32 = 1 << 31;

    fn page(version: u32, shift: i8, flags: u8) -> HostMemory {
        let host = HostMemory::new(4096);
        let page = host.memory();
        page.write(0, &version);
        page.write(8, &1_000u64);
        page.write(16, &5_000_000u64);
        page.write(24, &HALF);
        page.write(28, &shift);
        page.write(29, &flags);
        host
    }

    #[test]
    fn time_runs_with_the_counter() {
        let host = page(2, 1, 1);
        assert_eq!(read(host.memory(), || 1_000), Some(5_000_000));
        assert_eq!(read(host.memory(), || 1_700), Some(5_000_700));
        assert_eq!(read(page(2, -1, 1).memory(), || 1_400), Some(5_000_100));
    }

    #[test]
    fn a_counter_before_the_page_does_not_go_back() {
        assert_eq!(read(page(2, 0, 1).memory(), || 10), Some(5_000_000));
    }

    #[test]
    fn an_untrusted_counter_is_not_used() {
        assert_eq!(read(page(2, 0, 0).memory(), || 2_000), None);
    }

    #[test]
    fn a_page_that_is_being_written_is_not_used() {
        assert_eq!(read(page(3, 0, 1).memory(), || 2_000), None);
    }

    #[test]
    fn a_page_that_changes_under_the_reader_is_read_again() {
        let host = page(2, 0, 1);
        let memory = host.memory();
        let time = shared::with_peer(
            move |load| {
                if load == 3 {
                    memory.write(16, &9_000_000u64);
                    memory.write(0, &4u32);
                }
            },
            || read(host.memory(), || 1_000),
        );
        assert_eq!(time, Some(9_000_000));
    }

    #[test]
    fn huge_values_do_not_panic() {
        let rate = Rate { counter: 0, time: u64::MAX, multiplier: u32::MAX, shift: i8::MIN };
        let _ = rate.at(u64::MAX);
        let _ = Rate { shift: i8::MAX, ..rate }.at(u64::MAX);
    }
}

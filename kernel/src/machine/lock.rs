//! The kernel's lock, whose first word the assembly of the quick path takes and drops as well.
//!
//! It is taken with interrupts off, for a bounded time, and never twice by one vCPU. Who finds it taken spins for a while
//! and then lets another vCPU run, over and over: nobody queues, so nobody waits for one that Xen does not run.
//!
//! Bit 0 of the word is what the quick path sets and tests. A lock that is free but *closed* has it set as well: the quick
//! path then leaves every trap to the core.

use ::core::cell::UnsafeCell;
use ::core::sync::atomic::{AtomicU32, Ordering};

use super::xen;

const TAKEN: u32 = 1;

/// What the word says of a lock that nobody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Free {
    /// Anybody may take it.
    Open = 0,
    /// The quick path may not.
    Closed = 3,
}

/// How often it is looked at before another vCPU is let run.
const SPINS: u32 = 1000;

/// How often the lock was taken other than by the quick path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contention {
    /// At once.
    pub at_once: u64,
    /// After having been found taken.
    pub spun: u64,
    /// How often others were let run meanwhile.
    pub yielded: u64,
}

impl Contention {
    fn count(&mut self, waited: Option<u64>) {
        match waited {
            None => self.at_once += 1,
            Some(yielded) => {
                self.spun += 1;
                self.yielded += yielded;
            }
        }
    }
}

/// A value that one vCPU at a time may use.
#[repr(C)]
pub struct Lock<T> {
    word: AtomicU32,
    contention: UnsafeCell<Contention>,
    value: UnsafeCell<T>,
}

// SAFETY: `take` hands out the value to one vCPU at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        let contention = Contention { at_once: 0, spun: 0, yielded: 0 };
        Self {
            word: AtomicU32::new(Free::Open as u32),
            contention: UnsafeCell::new(contention),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes it; returns the value, and how often the lock was taken. Whoever took it gives it back by [`Lock::free`].
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "that is what a lock is for")]
    pub fn take(&self) -> (&mut T, &Contention) {
        let waited = if self.try_take() { None } else { Some(self.wait()) };
        // SAFETY: the lock was taken here, so nobody else is here, the quick path included, until it is given back.
        let value = unsafe { &mut *self.value.get() };
        // SAFETY: as above.
        let contention = unsafe { &mut *self.contention.get() };
        contention.count(waited);
        (value, contention)
    }

    /// Gives it back.
    ///
    /// # Safety
    /// The current vCPU took it, and uses nothing that [`Lock::take`] returned any more.
    #[inline(always)]
    pub unsafe fn free(&self, free: Free) {
        self.word.store(free as u32, Ordering::Release);
    }

    fn try_take(&self) -> bool {
        self.word.swap(TAKEN, Ordering::Acquire) != TAKEN
    }

    /// Takes it when it is free; returns how often others were let run meanwhile.
    #[cold]
    fn wait(&self) -> u64 {
        let mut yielded = 0;
        while !self.spin() {
            xen::yield_now();
            yielded += 1;
        }
        yielded
    }

    /// Takes it, if it is free soon.
    fn spin(&self) -> bool {
        (0..SPINS).any(|_| {
            ::core::hint::spin_loop();
            self.word.load(Ordering::Relaxed) != TAKEN && self.try_take()
        })
    }
}

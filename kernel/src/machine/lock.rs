//! The kernel's lock, whose first word the assembly of the quick path takes and drops as well.
//!
//! Bit 0 of the word says that it is taken. It is taken with interrupts off, for a bounded time, and never twice by one vCPU.

use ::core::cell::UnsafeCell;
use ::core::sync::atomic::{AtomicU32, Ordering};

/// A value that one vCPU at a time may use.
#[repr(C)]
pub struct Lock<T> {
    taken: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `with` hands out the value to one vCPU at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A lock that is free.
    pub const fn new(value: T) -> Self {
        Self { taken: AtomicU32::new(0), value: UnsafeCell::new(value) }
    }

    /// Runs `work` on the value.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        while self.taken.swap(1, Ordering::Acquire) != 0 {
            ::core::hint::spin_loop();
        }
        // SAFETY: the word was 0 and is 1 now, so nobody else is here, the quick path included.
        let result = work(unsafe { &mut *self.value.get() });
        self.taken.store(0, Ordering::Release);
        result
    }
}

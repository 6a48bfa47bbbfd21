//! A static variable of a program with one thread.

use core::cell::RefCell;

/// A value that one thread uses; a use inside a use is refused.
pub(crate) struct Single<T>(RefCell<T>);

// SAFETY: a server has one thread, and no handler of anything interrupts it in user space.
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Lets `body` use the value; `None` if it is in use.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.0.try_borrow_mut().ok().map(|mut value| body(&mut value))
    }
}

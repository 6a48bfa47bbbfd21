//! [`Memory`]: a handle on bytes that others may write.
//!
//! Invariant: every access is inside the handle. The accessors are total: a read outside gives zeros, a write outside
//! does nothing, and both are a bug of the caller that debug builds report. A handle does not own its bytes and says
//! nothing about who else writes them.

use core::sync::atomic::Ordering;
use zerocopy::{FromBytes, Immutable, IntoBytes};

#[cfg(loom)]
use crate::model::Raw;
#[cfg(not(loom))]
use crate::raw::Raw;

/// A handle on bytes that another server or another domain may write at any time.
#[derive(Clone, Copy)]
pub struct Memory {
    base: Raw,
    len: usize,
}

impl core::fmt::Debug for Memory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Memory({} bytes)", self.len)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::empty()
    }
}

impl Memory {
    /// A handle on the `len` bytes at `base`.
    ///
    /// # Safety
    /// As long as any copy of the handle is in use, the bytes must stay mapped, for writing too if anything is written
    /// through it, and nothing may access them through a Rust reference. `base + len` must not wrap.
    #[cfg(not(loom))]
    #[must_use]
    pub const unsafe fn new(base: *mut u8, len: usize) -> Self {
        Self { base: Raw::new(base), len }
    }

    #[cfg(loom)]
    pub(crate) const fn from_model(base: Raw, len: usize) -> Self {
        Self { base, len }
    }

    /// No bytes at all.
    #[must_use]
    pub const fn empty() -> Self {
        Self { base: Raw::DANGLING, len: 0 }
    }

    /// The number of bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// A handle on `len` bytes from `offset` on; `None` when they are not all inside.
    #[must_use]
    pub const fn part(self, offset: usize, len: usize) -> Option<Self> {
        if !self.holds(offset, len) {
            return None;
        }
        Some(Self { base: self.base.offset(offset), len })
    }

    /// Whether `len` bytes from `offset` on are all inside.
    #[must_use]
    pub const fn holds(self, offset: usize, len: usize) -> bool {
        offset <= self.len && len <= self.len - offset
    }

    /// A copy of the value at `offset`, at any alignment; all zeros when it is not inside.
    #[must_use]
    #[inline]
    pub fn read<T: FromBytes + IntoBytes>(self, offset: usize) -> T {
        let mut value = T::new_zeroed();
        if self.expect(offset, size_of::<T>()) {
            before_load();
            // SAFETY: inside, so mapped (`new`).
            unsafe { self.base.read_out(offset, value.as_mut_bytes()) };
        }
        value
    }

    /// Stores `value` at `offset`, at any alignment; nothing happens when it does not fit.
    #[inline]
    pub fn write<T: IntoBytes + Immutable>(self, offset: usize, value: &T) {
        if self.expect(offset, size_of::<T>()) {
            before_store();
            // SAFETY: inside, so mapped (`new`).
            unsafe { self.base.write_in(offset, value.as_bytes()) };
        }
    }

    /// Copies the bytes at `offset` into all of `to`; zeros when they are not inside.
    pub fn copy_from(self, offset: usize, to: &mut [u8]) {
        if self.expect(offset, to.len()) {
            before_load();
            // SAFETY: inside, so mapped (`new`).
            unsafe { self.base.copy_out(offset, to) };
        } else {
            to.fill(0);
        }
    }

    /// Copies all of `from` to `offset`; nothing happens when it does not fit.
    pub fn copy_to(self, offset: usize, from: &[u8]) {
        if self.expect(offset, from.len()) {
            before_store();
            // SAFETY: inside, so mapped (`new`).
            unsafe { self.base.copy_in(offset, from) };
        }
    }

    /// Sets `len` bytes from `offset` on to `byte`; nothing happens when they are not inside.
    pub fn fill(self, offset: usize, len: usize, byte: u8) {
        let block = [byte; 64];
        let mut done = 0;
        if !self.expect(offset, len) {
            return;
        }
        while done < len {
            let step = block.len().min(len - done);
            self.copy_to(offset + done, block.get(..step).unwrap_or_default());
            done += step;
        }
    }

    /// Loads an aligned word; what its writer stored before releasing it is visible afterwards. Zero when outside.
    #[must_use]
    pub fn load_u32_acquire(self, offset: usize) -> u32 {
        self.load_u32(offset, Ordering::Acquire)
    }

    /// Loads an aligned word, without order. Zero when outside.
    #[must_use]
    pub fn load_u32_relaxed(self, offset: usize) -> u32 {
        self.load_u32(offset, Ordering::Relaxed)
    }

    /// Stores an aligned word after everything stored before.
    pub fn store_u32_release(self, offset: usize, value: u32) {
        self.store_u32(offset, value, Ordering::Release);
    }

    /// Stores an aligned word, without order.
    pub fn store_u32_relaxed(self, offset: usize, value: u32) {
        self.store_u32(offset, value, Ordering::Relaxed);
    }

    /// Loads an aligned double word; what its writer stored before releasing it is visible afterwards. Zero when outside.
    #[must_use]
    pub fn load_u64_acquire(self, offset: usize) -> u64 {
        if !self.expect_aligned(offset, size_of::<u64>()) {
            return 0;
        }
        before_load();
        // SAFETY: inside, so mapped (`new`), and aligned.
        unsafe { self.base.load_u64(offset, Ordering::Acquire) }
    }

    /// Stores an aligned double word after everything stored before.
    pub fn store_u64_release(self, offset: usize, value: u64) {
        if self.expect_aligned(offset, size_of::<u64>()) {
            before_store();
            // SAFETY: inside, so mapped (`new`), and aligned.
            unsafe { self.base.store_u64(offset, value, Ordering::Release) };
        }
    }

    fn load_u32(self, offset: usize, order: Ordering) -> u32 {
        if !self.expect_aligned(offset, size_of::<u32>()) {
            return 0;
        }
        before_load();
        // SAFETY: inside, so mapped (`new`), and aligned.
        unsafe { self.base.load_u32(offset, order) }
    }

    fn store_u32(self, offset: usize, value: u32, order: Ordering) {
        if self.expect_aligned(offset, size_of::<u32>()) {
            before_store();
            // SAFETY: inside, so mapped (`new`), and aligned.
            unsafe { self.base.store_u32(offset, value, order) };
        }
    }

    /// Whether the bytes are inside; that they are not is the caller's bug.
    fn expect(self, offset: usize, len: usize) -> bool {
        let inside = self.holds(offset, len);
        debug_assert!(inside, "{len} bytes at {offset} are outside {self:?}");
        inside
    }

    fn expect_aligned(self, offset: usize, len: usize) -> bool {
        let aligned = self.base.is_aligned(offset, len);
        debug_assert!(aligned, "the word at {offset} is not aligned");
        self.expect(offset, len) && aligned
    }
}

/// Orders all accesses before it before all accesses after it, stores before loads included: what a side needs between
/// publishing its index and looking at the peer's.
pub fn full_fence() {
    #[cfg(loom)]
    crate::model::fence(Ordering::SeqCst);
    #[cfg(not(loom))]
    crate::raw::fence(Ordering::SeqCst);
}

/// On the host, lets a test's peer act before each load.
#[inline(always)]
fn before_load() {
    #[cfg(not(any(xylem_user, loom)))]
    crate::host::before_load();
}

/// On the host, lets a test stop the writer before each store.
#[inline(always)]
fn before_store() {
    #[cfg(not(any(xylem_user, loom)))]
    crate::host::before_store();
}

//! Memory on the host, and a peer that acts between any two loads, for tests.
//!
//! Invariant: the bytes live as long as the [`HostMemory`], are aligned to pages and start as zeros. Not part of what
//! runs in the domain.

use core::alloc::Layout;
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::thread_local;

use crate::{Memory, PAGE};

/// Pages of zeros on the host, given back when dropped.
///
/// Its handles must not outlive it: keep it beside them, or [`HostMemory::leak`] it.
pub struct HostMemory {
    base: *mut u8,
    layout: Layout,
}

// SAFETY: the memory is only reached through `Memory`, which any thread may use.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    /// At least one page, and as many as hold `len` bytes.
    ///
    /// # Panics
    /// When the host has no such memory.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let size = len.max(1).next_multiple_of(PAGE);
        let layout = Layout::from_size_align(size, PAGE).expect("a sane length");
        // SAFETY: the layout is not empty.
        let base = unsafe { alloc_zeroed(layout) };
        if base.is_null() {
            handle_alloc_error(layout);
        }
        Self { base, layout }
    }

    /// `pages` pages that live as long as the program.
    #[must_use]
    pub fn leak(pages: usize) -> Memory {
        Box::leak(Box::new(Self::new(pages * PAGE))).memory()
    }

    /// A handle on all of it.
    #[must_use]
    pub fn memory(&self) -> Memory {
        // SAFETY: allocated with this size, and never accessed through a reference; a test keeps `self` alive.
        unsafe { Memory::new(self.base, self.layout.size()) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`, and given back once.
        unsafe { dealloc(self.base, self.layout) };
    }
}

/// What a peer does before a load; gets the number of the load since the start.
type Peer = Box<dyn FnMut(u64)>;

thread_local! {
    static PEER: RefCell<Option<Peer>> = const { RefCell::new(None) };
    static LOADS: Cell<u64> = const { Cell::new(0) };
}

/// Runs `body`; before each of its loads from a [`Memory`] on this thread, `peer` may write what it likes.
///
/// The loads of `peer` itself are not counted. Calls do not nest.
pub fn with_peer<R>(peer: impl FnMut(u64) + 'static, body: impl FnOnce() -> R) -> R {
    LOADS.set(0);
    PEER.set(Some(Box::new(peer)));
    let result = body();
    PEER.set(None);
    result
}

pub(crate) fn before_load() {
    let Some(mut peer) = PEER.take() else { return };
    peer(LOADS.get());
    LOADS.set(LOADS.get() + 1);
    PEER.set(Some(peer));
}

thread_local! {
    static STORES: Cell<u64> = const { Cell::new(0) };
    static LAST: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What a writer that was stopped panics with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped;

/// Runs `body`, which may do `stores` stores to [`Memory`] on this thread and is stopped before the next: by a panic with
/// [`Stopped`], as a crash would stop it. Returns what it returned, or `None` if it was stopped. Calls do not nest.
pub fn with_stores<R>(stores: u64, body: impl FnOnce() -> R) -> Option<R> {
    STORES.set(0);
    LAST.set(Some(stores));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    LAST.set(None);
    match result {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Stopped>() => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

pub(crate) fn before_store() {
    let Some(last) = LAST.get() else { return };
    if STORES.get() == last && !std::thread::panicking() {
        std::panic::resume_unwind(Box::new(Stopped));
    }
    STORES.set(STORES.get() + 1);
}

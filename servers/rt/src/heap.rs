//! The heap: the pages at `abi::layout::HEAP`, as many as the slot has. When they are used up the server panics.

use core::alloc::{GlobalAlloc, Layout};

use abi::layout::{HEAP, PAGE};
use talc::TalcCell;
use talc::source::Manual;

/// The allocator of a program with one thread.
struct Heap(TalcCell<Manual>);

// SAFETY: a server has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static ALLOCATOR: Heap = Heap(TalcCell::new(Manual));

// SAFETY: all of it is talc's, whose contract is the same.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}

/// Takes the slot's heap into use.
///
/// # Safety
/// At most once, with no more pages than are mapped.
pub(crate) unsafe fn claim(pages: u32) {
    let bytes = pages as usize * PAGE as usize;
    // SAFETY: the pages are mapped (the caller) and nobody else's.
    let _ =
        unsafe { ALLOCATOR.0.claim(core::ptr::with_exposed_provenance_mut(HEAP as usize), bytes) };
}

//! What Xen knows of this domain's memory: its map, and pages of Xen's own that the domain puts into it.

use boot::start_info::{MEMORY_ENTRIES, MemoryEntry};
use heapless::Vec;

use super::{DOMID_SELF, XenError, memory_op};
use ::core::cell::UnsafeCell;

/// What to put at a page number of the domain.
#[derive(Clone, Copy)]
pub enum Source {
    /// The page that all vCPUs share with Xen.
    SharedInfo,
    /// Frame of the grant table, by number.
    GrantFrame(u64),
}

#[derive(Clone, Copy)]
#[repr(C)]
struct AddToPhysmap {
    domain: u16,
    size: u16,
    space: u32,
    index: u64,
    page: u64,
}

/// Puts a page of Xen's at a page number. If memory was there, Xen frees it.
///
/// # Errors
/// Xen's refusal.
pub fn put(source: Source, page: u64) -> Result<(), XenError> {
    const ADD_TO_PHYSMAP: u64 = 7;
    let (space, index) = match source {
        Source::SharedInfo => (0, 0),
        Source::GrantFrame(index) => (1, index),
    };
    let argument = AddToPhysmap { domain: DOMID_SELF, size: 0, space, index, page };
    memory_op(ADD_TO_PHYSMAP, argument).map(|_| ())
}

#[derive(Clone, Copy)]
#[repr(C, packed)]
struct E820 {
    address: u64,
    size: u64,
    kind: u32,
}

struct Map(UnsafeCell<[E820; MEMORY_ENTRIES]>);

// SAFETY: used once, on the boot vCPU.
unsafe impl Sync for Map {}

static MAP: Map = Map(UnsafeCell::new([E820 { address: 0, size: 0, kind: 0 }; MEMORY_ENTRIES]));

#[derive(Clone, Copy)]
#[repr(C)]
struct MemoryMap {
    entries: u32,
    buffer: u64,
}

/// The memory map, for loaders that did not hand one over (domain 0). To be called on the boot vCPU only.
///
/// # Errors
/// Xen's refusal; a map with more than [`MEMORY_ENTRIES`] entries among them.
pub fn map() -> Result<Vec<MemoryEntry, MEMORY_ENTRIES>, XenError> {
    const MEMORY_MAP: u64 = 9;
    let argument = MemoryMap { entries: MEMORY_ENTRIES as u32, buffer: MAP.0.get() as u64 };
    let count = memory_op(MEMORY_MAP, argument)?.entries as usize;
    // SAFETY: Xen has returned and does not keep the pointer; no other reference exists.
    let entries = unsafe { &*MAP.0.get() };
    let convert =
        |entry: &E820| MemoryEntry { address: entry.address, size: entry.size, kind: entry.kind };
    Ok(entries.iter().take(count).map(convert).collect())
}

//! The grant table, version 1 (Xen public/grant_table.h). Mapped in the kernel only.
//!
//! An entry becomes valid by its last write and is taken back by one compare-and-swap, so the peer sees a whole grant or
//! none. References below 8 belong to the toolstack and are never touched.

use ::core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use crate::machine::layout::{GRANT_FRAMES, GRANTS};

/// References that belong to the toolstack.
pub const RESERVED: u32 = 8;
/// Entries in one frame of the table.
pub const PER_FRAME: u32 = 512;

const PERMIT_ACCESS: u16 = 1;
const READ_ONLY: u16 = 1 << 2;
const IN_USE: u16 = 3 << 3;

#[repr(C)]
struct Entry {
    flags: AtomicU16,
    domain: AtomicU16,
    frame: AtomicU32,
}

/// The mapped part of the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grants {
    entries: u32,
}

impl Grants {
    /// A table of which `frames` frames are mapped at [`GRANTS`].
    pub const fn new(frames: u32) -> Self {
        assert!(frames as u64 <= GRANT_FRAMES);
        Self { entries: frames * PER_FRAME }
    }

    fn entry(&self, reference: u32) -> Option<&'static Entry> {
        let ours = (RESERVED..self.entries).contains(&reference);
        let address = GRANTS + u64::from(reference) * size_of::<Entry>() as u64;
        // SAFETY: the entry is inside the mapped frames of the table; Xen and the kernel change it by atomic operations.
        ours.then(|| unsafe { &*(address as *const Entry) })
    }

    /// Lets the peer map a page by the reference. A reference outside the table grants nothing.
    pub fn grant(&self, reference: u32, peer: u16, page: u32, read_only: bool) {
        let Some(entry) = self.entry(reference) else { return };
        entry.frame.store(page, Ordering::Relaxed);
        entry.domain.store(peer, Ordering::Relaxed);
        let flags = if read_only { PERMIT_ACCESS | READ_ONLY } else { PERMIT_ACCESS };
        entry.flags.store(flags, Ordering::Release);
    }

    /// Takes a grant back; false while the peer has the page mapped.
    pub fn ungrant(&self, reference: u32) -> bool {
        let Some(entry) = self.entry(reference) else { return true };
        let free = |flags: u16| (flags & IN_USE == 0).then_some(0);
        entry.flags.fetch_update(Ordering::SeqCst, Ordering::Relaxed, free).is_ok()
    }
}

//! A disk: requests through one queue, data in the wire's own memory, granted to the backend once.
//!
//! Data to be written lies in the client's data area, data that was read in the server's; both are divided in pages, and a
//! request names its first page. Sectors are units of 512 bytes always. Answers come in any order; a flush is answered
//! after every write answered before it is on the disk.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use shared::queue::Layout;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Entries of the queue.
pub const ENTRIES: u32 = 64;
/// Its layout.
pub const QUEUE: Layout = Layout::new(ENTRIES);
/// Pages of each data area.
pub const DATA_PAGES: u32 = 64;
/// Most pages of one request (11 segments of a page, Xen public/io/blkif.h).
pub const REQUEST_PAGES: u32 = 11;

/// Pages at the end of the server's part that are the driver's own, for its ring with the backend: they must lie in memory
/// that can be granted. They mean nothing to the client.
pub const RING_PAGES: u32 = 1;

/// Headers, entries and data, and the driver's own page; the data and the driver's page are granted to the backend.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape {
    up: 2 + DATA_PAGES,
    down: 2 + DATA_PAGES + RING_PAGES,
    grantable: true,
};

/// Operation: read.
pub const READ: u32 = 0;
/// Operation: write.
pub const WRITE: u32 = 1;
/// Operation: flush.
pub const FLUSH: u32 = 2;

/// What the client submits.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Request {
    /// The client's number for it; comes back in the answer.
    pub id: u32,
    /// [`READ`], [`WRITE`] or [`FLUSH`].
    pub operation: u32,
    /// First sector.
    pub sector: u64,
    /// Number of sectors; 0 for a flush.
    pub sectors: u32,
    /// First page in the data area.
    pub page: u32,
}

/// Status: done.
pub const OK: u32 = 0;
/// Status: the device failed.
pub const FAILED: u32 = 1;
/// Status: the request was malformed or beyond the end of the disk.
pub const INVALID: u32 = 2;
/// Status: the device cannot do that (a write to a read-only disk).
pub const UNSUPPORTED: u32 = 3;

/// What the server answers.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Complete {
    /// As submitted.
    pub id: u32,
    /// Status.
    pub status: u32,
}

abi::interface! {
    /// A disk.
    interface "block";
    /// Why it refused.
    error Error {
        /// The device is not connected to its backend yet; the bell rings when it is.
        NotReady = 1,
        /// There is no such device.
        NoDevice = 2,
    }
    /// Starts a session: the client has set up its side of the queue and nothing is submitted; the server drops the old
    /// session and sets up its side; while the backend still does requests of the old one, it is not ready. A session
    /// whose device was removed or broke down is lost: all its requests fail, and the bell rings when a new one can be
    /// begun. Over a mere reconnect requests wait. Returns the size in sectors, the bytes of a sector that requests must be aligned to,
    /// whether it is read only, and whether it can flush.
    1 now fn open() -> (u64, u32, bool, bool);
}

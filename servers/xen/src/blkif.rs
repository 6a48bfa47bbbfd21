//! The block device: entries of its ring, limits, and what the two sides tell each other (Xen public/io/blkif.h).
//!
//! Invariant: none of its own; the checks are in [`Front`] and [`Disk`]. The layout is that of `x86_64-abi`. One ring of
//! one page; data in pages that are granted for good.

mod disk;
mod front;

pub use disk::Disk;
pub use front::{Done, Front, Outcome, State, Transfer};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the front end writes as `protocol`.
pub const PROTOCOL: &str = "x86_64-abi";
/// Bytes of a sector in requests, whatever the disk's own sector size.
pub const SECTOR: u32 = 512;
/// Sectors of a page.
pub const PAGE_SECTORS: u32 = 8;
/// The most pages of a request.
pub const SEGMENTS: usize = 11;
/// Requests that fit the ring.
pub const REQUESTS: usize = crate::ring::size::<Request, Response>(4096) as usize;

/// Operation: read.
pub const READ: u8 = 0;
/// Operation: write.
pub const WRITE: u8 = 1;
/// Operation: make the writes that were answered durable.
pub const FLUSH: u8 = 3;

/// Status: done.
pub const OKAY: i16 = 0;
/// Status: failed.
pub const ERROR: i16 = -1;
/// Status: the backend does not know the operation.
pub const UNSUPPORTED: i16 = -2;

/// A page of a request, or a part of it.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Segment {
    /// Grant reference of the page.
    pub grant: u32,
    /// First sector in the page.
    pub first: u8,
    /// Last sector in the page, included.
    pub last: u8,
    /// Zero.
    pub pad: u16,
}

/// A request.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Request {
    /// [`READ`], [`WRITE`] or [`FLUSH`].
    pub operation: u8,
    /// Segments in use.
    pub segments: u8,
    /// The number that xenstore gives the disk; no backend looks at it.
    pub handle: u16,
    /// Zero.
    pub pad: u32,
    /// Comes back in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector: u64,
    /// Where the data lies.
    pub segment: [Segment; SEGMENTS],
}

/// A response.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Response {
    /// Of the request.
    pub id: u64,
    /// Of the request.
    pub operation: u8,
    /// Zero.
    pub pad: u8,
    /// [`OKAY`] or below.
    pub status: i16,
    /// Zero.
    pub pad_end: u32,
}

const _: () = assert!(size_of::<Request>() == 112 && size_of::<Response>() == 16 && REQUESTS == 32);

//! Files of a volume, for reading: requests and their data through one queue.
//!
//! A request uses one of [`BUFFERS`] buffers, each with room for a name in the client's part and for data in the server's
//! part, which is good until the client uses that buffer again. Requests are answered in any order, whenever the disk has
//! delivered; a request never waits for another client's, and a client has one request open per buffer at most.
//!
//! | request | asks | the answer has |
//! |---|---|---|
//! | [`LOOKUP`] | for the file whose path, of `length` bytes, is in the buffer | its number, its size, in `length` whether it is a directory (1) |
//! | [`READ`] | for `length` bytes of a file from `offset` on | in `length` how many there are: fewer only at the end |
//! | [`LIST`] | for the entries of a directory from number `offset` on | a list of [`Entry`] of `length` bytes, in `size` the number to go on with (0: that was all) |
//! | [`RELEASE`] | nothing; the number is not used any more | |
//!
//! A path has `/` between its names, and none is needed before the first; the empty path is the root. `.` and `..` are not
//! followed: such a name is [`NOT_FOUND`]. Names are looked up without regard to case if no name has the same.
//!
//! # Sessions
//! [`Client::open`] begins one and returns its number, never 0, which the server keeps at [`SESSION`] of its part for as
//! long as the session lasts. A server that was started again has 0 there and rings; the client opens again then, and its
//! files are not open any more. The client sets its first page to zero before it calls, and opens its end of the queue
//! afterwards; the server does the same with its part while it is called. [`client::Files`] does all that.

pub mod client;

use alloc::string::String;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use shared::queue::Layout;
use shared::{PAGE, bytes::HEADER};

/// Entries of the queue.
pub const ENTRIES: u32 = 64;
/// Its layout.
pub const QUEUE: Layout = Layout::new(ENTRIES);
/// Buffers; also the most requests that are open at once, but for [`RELEASE`].
pub const BUFFERS: u16 = 32;
/// Most bytes of a path.
pub const PATH_BYTES: usize = 1024;
/// Bytes of data in a buffer.
pub const BUFFER_BYTES: usize = 8192;
/// Most files that a client has open.
pub const OPEN_FILES: usize = 128;
/// Where the server keeps the session's number, in its part.
pub const SESSION: usize = 2 * HEADER;

/// Headers, entries, and the buffers.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(
    2 + (BUFFERS as usize * PATH_BYTES / PAGE) as u32,
    2 + (BUFFERS as usize * BUFFER_BYTES / PAGE) as u32,
);

const _: () = assert!(QUEUE.data::<Request>() == 2 * PAGE && QUEUE.data::<Complete>() == 2 * PAGE);

/// Request: find a file.
pub const LOOKUP: u16 = 1;
/// Request: read a file.
pub const READ: u16 = 2;
/// Request: list a directory.
pub const LIST: u16 = 3;
/// Request: forget a file.
pub const RELEASE: u16 = 4;

/// What the client asks.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Request {
    /// The client's number for it; comes back in the answer.
    pub id: u32,
    /// What is asked.
    pub kind: u16,
    /// Which buffer; 0 for [`RELEASE`], which uses none.
    pub buffer: u16,
    /// Which file, but for [`LOOKUP`].
    pub file: u32,
    /// By kind; 0 otherwise.
    pub length: u32,
    /// By kind; 0 otherwise.
    pub offset: u64,
}

/// Status: done.
pub const OK: u32 = 0;
/// Status: the disk is not there yet, or is gone for the moment.
pub const NOT_READY: u32 = 1;
/// Status: no such file.
pub const NOT_FOUND: u32 = 2;
/// Status: a file where a directory is needed, or the other way round.
pub const WRONG_KIND: u32 = 3;
/// Status: the disk failed.
pub const FAILED: u32 = 4;
/// Status: what is on the disk contradicts itself, or is no file system that the server knows.
pub const CORRUPT: u32 = 5;
/// Status: the request makes no sense.
pub const INVALID: u32 = 6;
/// Status: too many files are open.
pub const FULL: u32 = 7;

/// What the server answers.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Complete {
    /// As requested.
    pub id: u32,
    /// Status.
    pub status: u32,
    /// Number of the file, for [`LOOKUP`].
    pub file: u32,
    /// By kind.
    pub length: u32,
    /// By kind.
    pub size: u64,
}

crate::state! {
    /// One entry of a directory; a [`LIST`] gives a sequence of them in `postcard`.
    pub struct Entry {
        /// Name, as it is shown.
        pub name: String,
        /// Size in bytes; 0 for a directory.
        pub size: u64,
        /// Whether it is a directory.
        pub is_directory: bool,
    }
}

abi::interface! {
    /// A file system.
    interface "files";
    /// Why it refused.
    error Error {
        /// The memory of the wire is unusable.
        Broken = 1,
    }
    /// Begins a session, as the module says; returns its number.
    1 now fn open() -> u32;
}

#[cfg(test)]
mod tests {
    use super::{BUFFER_BYTES, Entry};

    #[test]
    fn the_longest_entry_fits_a_buffer() {
        let entry = Entry { name: "\u{ffff}".repeat(255), size: u64::MAX, is_directory: true };
        assert!(postcard::to_allocvec(&[entry]).unwrap().len() < BUFFER_BYTES);
    }
}

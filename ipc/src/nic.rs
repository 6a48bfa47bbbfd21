//! A network interface: packets through one queue, buffers in the wire's own memory, granted to the backend once.
//!
//! The client submits buffers to be sent and buffers to be filled; each comes back with one answer. A buffer to be sent is a
//! half page of the client's data area, one to be filled a whole page of the server's. Frames are Ethernet, without
//! checksum of their own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use shared::queue::Layout;

/// Entries of the queue.
pub const ENTRIES: u32 = 512;
/// Its layout.
pub const QUEUE: Layout = Layout::new(ENTRIES);
/// Buffers to be sent.
pub const TRANSMIT_BUFFERS: u16 = 256;
/// So many buffers that were sent may stay unanswered until something else happens.
pub const TRANSMIT_LATE: u16 = 64;
/// Bytes of a buffer to be sent.
pub const TRANSMIT_BYTES: usize = 2048;
/// Buffers to be filled; the queue's other entries are never all in use, so nobody waits for room.
pub const RECEIVE_BUFFERS: u16 = 256;
/// Bytes of a buffer to be filled.
pub const RECEIVE_BYTES: usize = 4096;

/// Pages at the end of the server's part that are the driver's own, for its rings with the backend: they must lie in memory
/// that can be granted. They mean nothing to the client.
pub const RING_PAGES: u32 = 2;

/// Headers, entries (16 bytes each) and buffers, and the driver's own pages; the buffers and the driver's pages are granted
/// to the backend.
pub const WIRE: abi::wiring::WireShape =
    abi::wiring::WireShape { up: 3 + 128, down: 3 + 256 + RING_PAGES, grantable: true };

/// Submit: send a buffer.
pub const TRANSMIT: u16 = 1;
/// Submit: fill a buffer with the next frame.
pub const RECEIVE: u16 = 2;

/// Flag, submit: the transport checksum field holds the pseudo-header's sum only; the device or the peer completes it.
/// Complete: the same of a received frame (it is valid: it never crossed a wire).
pub const CHECKSUM_BLANK: u16 = 1;
/// Flag, complete: the transport checksum was checked and is right.
pub const CHECKSUM_VALID: u16 = 2;
/// Flag, complete: the frame goes on in the next completed receive buffer.
pub const MORE: u16 = 4;

/// What the client submits.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Submit {
    /// [`TRANSMIT`] or [`RECEIVE`].
    pub kind: u16,
    /// Number of the buffer.
    pub buffer: u16,
    /// Bytes to send, from the buffer's start; 0 for receive.
    pub length: u16,
    /// Flags.
    pub flags: u16,
    /// Zero.
    pub reserved: [u32; 2],
}

/// What the server answers.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Complete {
    /// As submitted.
    pub kind: u16,
    /// As submitted.
    pub buffer: u16,
    /// Bytes received; 0 means that the buffer came back unused (error, or the device was closed).
    pub length: u16,
    /// Flags.
    pub flags: u16,
    /// Where in the buffer they begin.
    pub offset: u16,
    /// Zero.
    pub reserved: [u16; 3],
}

abi::interface! {
    /// A network interface.
    interface "nic";
    /// Why it refused.
    error Error {
        /// The device is not connected to its backend yet; the bell rings when it is.
        NotReady = 1,
    }
    /// Starts a session: the client has set up its side of the queue and nothing is submitted; the server drops the old
    /// session and sets up its side. Returns the MAC address (six bytes, the first in the lowest byte) and the most
    /// bytes of an IP packet.
    1 now fn open() -> (u64, u32);
    /// Whether the backend is connected; the bell rings when it changes.
    2 now fn link() -> bool;
}

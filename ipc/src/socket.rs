//! TCP and UDP sockets: bytes in shared memory, what is asked of a socket through one queue.
//!
//! A client has [`SOCKETS`] sockets, numbered from 0. Each has two byte rings, at fixed places ([`send_parts`],
//! [`receive_parts`]): one that the client writes and the server sends, one that the server fills with what came. A request
//! names the socket that it is about and is answered when it is done, which may be any time later and in any order.
//!
//! | request | the socket is | and answered |
//! |---|---|---|
//! | [`LISTEN`] | unused | at once; takes TCP connections for `port` from then on, `value` of them in advance |
//! | [`ACCEPT`] | unused | when a connection for the listening socket `value` is there; the socket is its end then |
//! | [`CONNECT`] | unused | when the TCP connection to `address`, `port` is there, or failed |
//! | [`BIND`] | unused | at once; the socket sends and receives datagrams at UDP port `port` (0: one is chosen) |
//! | [`SHUTDOWN`] | connected | at once; what the ring holds is sent, then the peer learns that no more comes |
//! | [`CLOSE`] | any but unused | when what the ring holds is on its way; what still comes is thrown away |
//! | [`ABORT`] | any but unused | at once; the peer of a connection is told that it was broken off |
//!
//! The answers to [`CLOSE`] and [`ABORT`] make the socket unused: the server has emptied the ring to be sent and touches
//! neither any more; the client empties the other one before it uses the socket again. Requests of a socket that was closed
//! meanwhile are answered [`CLOSED`]. A request that finds the socket in another state is answered [`INVALID`].
//!
//! A connection that was accepted is a socket at once, so bytes may lie in its ring when the answer arrives. When the peer
//! sends no more, or the connection broke, the socket's [`state`](state_at) says so; it is set after the last byte is
//! shown, so: read the state, then the ring; if the ring is empty, the state read before is true.
//!
//! In the rings of a UDP socket each datagram follows a [`Datagram`] header; writers show whole datagrams only, and a
//! datagram for which the client has no room is lost.
//!
//! # Sessions
//! [`Client::open`] begins one and returns its number, never 0, which the server keeps at [`SESSION`] of its part for as
//! long as the session lasts. A server that was started again has 0 there and rings; the client opens again then, and all its
//! sockets are unused. The client sets its first [`HEADERS`] bytes to zero before it calls, and opens its ends of
//! queue and rings afterwards; the server does the same with its part while it is called. [`client::Sockets`] does all that.
//!
//! Pings are answered by the server itself, and are not seen here.

pub mod client;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use shared::bytes::{HEADER, Parts};
use shared::queue::Layout;
use shared::{Memory, PAGE};

/// Sockets of a client.
pub const SOCKETS: u16 = 80;
/// Entries of the queue: no socket has more than three requests open.
pub const ENTRIES: u32 = 256;
/// Its layout.
pub const QUEUE: Layout = Layout::new(ENTRIES);
/// Bytes of a socket's ring that the client writes.
pub const SEND_BYTES: usize = 8192;
/// Bytes of a socket's ring that the server writes.
pub const RECEIVE_BYTES: usize = 4096;

/// Bytes of a socket's headers in each part: of the ring to be sent, of the one received, and its state.
const STRIDE: usize = 3 * HEADER;
/// Where the sockets' headers begin in each part: behind header page and entries of the queue.
const SOCKET_HEADERS: usize = 2 * PAGE;
/// Where the rings' bytes begin in each part; all before is headers and entries.
pub const HEADERS: usize = (SOCKET_HEADERS + SOCKETS as usize * STRIDE).next_multiple_of(PAGE);
/// Where the server keeps the session's number, in its part.
pub const SESSION: usize = 2 * HEADER;

const fn pages(bytes: usize) -> u32 {
    bytes.div_ceil(PAGE) as u32
}

/// Headers, entries and rings.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(
    pages(HEADERS + SOCKETS as usize * SEND_BYTES),
    pages(HEADERS + SOCKETS as usize * RECEIVE_BYTES),
);

const _: () = assert!(QUEUE.data::<Request>() == SOCKET_HEADERS);
const _: () = assert!(QUEUE.data::<Complete>() == SOCKET_HEADERS);

/// Request: take connections for a TCP port.
pub const LISTEN: u16 = 1;
/// Request: become the end of the next connection.
pub const ACCEPT: u16 = 2;
/// Request: connect to a TCP port.
pub const CONNECT: u16 = 3;
/// Request: send and receive datagrams at a UDP port.
pub const BIND: u16 = 4;
/// Request: send no more.
pub const SHUTDOWN: u16 = 5;
/// Request: end in order.
pub const CLOSE: u16 = 6;
/// Request: end at once.
pub const ABORT: u16 = 7;

/// What the client asks.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Request {
    /// What is asked.
    pub kind: u16,
    /// Which socket.
    pub socket: u16,
    /// By kind; 0 otherwise.
    pub port: u16,
    /// By kind; 0 otherwise.
    pub value: u16,
    /// IPv4 address, by kind: the first byte is the highest.
    pub address: u32,
    /// Zero.
    pub reserved: u32,
}

/// Status: done.
pub const OK: u16 = 0;
/// Status: the request makes no sense in the socket's state.
pub const INVALID: u16 = 1;
/// Status: the port is taken.
pub const IN_USE: u16 = 2;
/// Status: the peer refused.
pub const REFUSED: u16 = 3;
/// Status: the peer did not answer.
pub const TIMED_OUT: u16 = 4;
/// Status: there is no address of our own yet, or no way to the peer.
pub const UNREACHABLE: u16 = 5;
/// Status: the server has no room for another connection.
pub const FULL: u16 = 6;
/// Status: the socket, or the one that it waited for, was closed meanwhile.
pub const CLOSED: u16 = 7;

/// What the server answers.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Complete {
    /// As requested.
    pub kind: u16,
    /// As requested.
    pub socket: u16,
    /// The peer's port, of a connection; the own one, of [`BIND`].
    pub port: u16,
    /// Status.
    pub status: u16,
    /// The peer's address, of a connection.
    pub address: u32,
    /// Zero.
    pub reserved: u32,
}

/// What precedes each datagram in the rings of a UDP socket.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Datagram {
    /// Bytes that follow.
    pub length: u16,
    /// The peer's port.
    pub port: u16,
    /// The peer's address.
    pub address: u32,
}

/// Most bytes of a datagram that the client may send.
pub const DATAGRAM_BYTES: usize = 1472;

/// State of a socket: the peer may send more.
pub const OPEN: u32 = 0;
/// State of a socket: what is in the ring is all that comes.
pub const ENDED: u32 = 1;
/// State of a socket: the connection broke; nothing comes any more, and nothing is sent.
pub const BROKEN: u32 = 2;

/// Where the state of a socket is, in the server's part.
#[must_use]
pub const fn state_at(socket: u16) -> usize {
    headers_of(socket) + 2 * HEADER
}

/// Where the headers of a socket are, in each part.
#[must_use]
pub const fn headers_of(socket: u16) -> usize {
    SOCKET_HEADERS + socket as usize * STRIDE
}

/// The ring of a socket that the client writes, in the two parts of a wire's memory; `None` without such a socket.
#[must_use]
pub fn send_parts(up: Memory, down: Memory, socket: u16) -> Option<Parts> {
    let number = number(socket)?;
    Some(Parts {
        producer: up.part(headers_of(socket), HEADER)?,
        entries: up.part(HEADERS + number * SEND_BYTES, SEND_BYTES)?,
        consumer: down.part(headers_of(socket), HEADER)?,
    })
}

/// The ring of a socket that the server writes, in the two parts of a wire's memory; `None` without such a socket.
#[must_use]
pub fn receive_parts(up: Memory, down: Memory, socket: u16) -> Option<Parts> {
    let number = number(socket)?;
    Some(Parts {
        producer: down.part(headers_of(socket) + HEADER, HEADER)?,
        entries: down.part(HEADERS + number * RECEIVE_BYTES, RECEIVE_BYTES)?,
        consumer: up.part(headers_of(socket) + HEADER, HEADER)?,
    })
}

fn number(socket: u16) -> Option<usize> {
    (socket < SOCKETS).then_some(usize::from(socket))
}

abi::interface! {
    /// A TCP/IP stack.
    interface "socket";
    /// Why it refused.
    error Error {
        /// There is no address yet; the bell rings when there is.
        NotReady = 1,
        /// The memory of the wire is unusable.
        Broken = 2,
    }
    /// Begins a session, as the module says; returns its number.
    1 now fn open() -> u32;
    /// The own IPv4 address (the first byte is the highest), the length of the network's prefix, and the gateway (0: none).
    2 now fn address() -> (u32, u8, u32);
}

#[cfg(test)]
mod tests {
    use super::{HEADERS, PAGE, SOCKETS, WIRE, receive_parts, send_parts, state_at};
    use shared::HostMemory;

    #[test]
    fn a_wire_is_about_a_megabyte() {
        assert!((WIRE.up + WIRE.down) as usize * PAGE <= 1 << 20);
    }

    #[test]
    fn every_socket_has_its_rings_and_no_other_has() {
        let (up, down) = (HostMemory::leak(WIRE.up as usize), HostMemory::leak(WIRE.down as usize));
        let last = SOCKETS - 1;
        assert!(send_parts(up, down, last).is_some() && receive_parts(up, down, last).is_some());
        assert!(send_parts(up, down, SOCKETS).is_none());
        assert!(receive_parts(up, down, SOCKETS).is_none());
        assert!(state_at(last) + 4 <= HEADERS);
    }

    #[test]
    fn too_little_memory_has_no_rings() {
        let small = HostMemory::leak(1);
        assert!(send_parts(small, small, 0).is_none() && receive_parts(small, small, 0).is_none());
    }
}

//! [`Sockets`]: a client's sockets.
//!
//! Invariant: a socket is handed out only when no request of it is open and its ring of received bytes is empty, so that
//! nothing of an earlier connection is ever seen in a later one. All that is written waits for [`Sockets::flush`], which
//! shows it and rings once. When the server's memory contradicts itself, the session counts as over.

mod swap;

use alloc::vec::Vec;

use abi::{CallError, Status, Traps};
use shared::Error;
use shared::bytes::{Consumer, Producer};
use shared::queue;
use zerocopy::{FromZeros, IntoBytes};

use super::{
    ABORT, ACCEPT, BIND, BROKEN, CLOSE, CONNECT, Complete, DATAGRAM_BYTES, Datagram, HEADERS,
    LISTEN, OK, OPEN, QUEUE, Request, SESSION, SHUTDOWN, SOCKETS, receive_parts, send_parts,
    state_at,
};
use crate::Wire;

pub use swap::{State, Used};

/// One socket, as its client sees it.
#[derive(Debug)]
struct End {
    send: Producer,
    receive: Consumer,
    /// Requests without an answer.
    pending: u8,
    is_used: bool,
    is_closing: bool,
    /// Whether there is something to show, or to ask for, at the next flush.
    is_touched: bool,
    /// Whether something was taken since the server was last asked to ring for more.
    is_hungry: bool,
    /// Bytes that shall have room before the server rings; 0 when nobody waits.
    wanted: usize,
}

/// The sockets of a session.
#[derive(Debug)]
pub struct Sockets<T> {
    traps: T,
    wire: Wire,
    session: u32,
    queue: queue::Client<Request, Complete>,
    ends: Vec<End>,
    touched: Vec<u16>,
    is_broken: bool,
}

impl<T: Traps> Sockets<T> {
    /// Begins a session over `wire`; all sockets are unused.
    ///
    /// # Errors
    /// As the call; [`super::Error::Broken`] when the wire has no usable memory.
    pub fn open(traps: T, wire: Wire) -> Result<Self, CallError<super::Error>> {
        const BROKEN: CallError<super::Error> = CallError::Refused(super::Error::Broken);
        if !wire.up.holds(0, HEADERS) || !wire.down.holds(0, HEADERS) {
            return Err(BROKEN);
        }
        wire.up.fill(0, HEADERS, 0);
        let client = super::Client::new(traps, wire.handle);
        let session = match client.open() {
            // Not delivered, because the server is a new one: now it knows us.
            Err(CallError::Status(Status::Reset)) => client.open()?,
            other => other?,
        };
        let queue = queue::Client::open(QUEUE, wire.up, wire.down).map_err(|_| BROKEN)?;
        let ends: Option<Vec<End>> = (0..SOCKETS).map(|socket| End::open(&wire, socket)).collect();
        let ends = ends.ok_or(BROKEN)?;
        Ok(Self { traps, wire, session, queue, ends, touched: Vec::new(), is_broken: false })
    }

    /// Whether the server still knows this session. If not, all sockets are gone: begin another one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.is_broken && self.wire.down.load_u32_acquire(SESSION) == self.session
    }

    /// Whether the server rang.
    #[must_use]
    pub const fn rang(&self, bits: u64) -> bool {
        self.wire.rang(bits)
    }

    /// Takes connections for a TCP port, up to `backlog` of them before they are accepted.
    pub fn listen(&mut self, port: u16, backlog: u16) -> Option<u16> {
        self.begin(Request { kind: LISTEN, port, value: backlog, ..Request::default() })
    }

    /// Makes a socket wait for a connection of the listening socket `listener`.
    pub fn accept(&mut self, listener: u16) -> Option<u16> {
        self.begin(Request { kind: ACCEPT, value: listener, ..Request::default() })
    }

    /// Connects a socket to a TCP port.
    pub fn connect(&mut self, address: u32, port: u16) -> Option<u16> {
        self.begin(Request { kind: CONNECT, address, port, ..Request::default() })
    }

    /// Binds a socket to a UDP port; 0 lets the server choose.
    pub fn bind(&mut self, port: u16) -> Option<u16> {
        self.begin(Request { kind: BIND, port, ..Request::default() })
    }

    /// Sends no more than what the ring holds.
    pub fn shutdown(&mut self, socket: u16) {
        self.submit(Request { kind: SHUTDOWN, socket, ..Request::default() });
    }

    /// Ends a socket in order; it is not to be used any more.
    pub fn close(&mut self, socket: u16) {
        self.end(socket, CLOSE);
    }

    /// Ends a socket at once; it is not to be used any more. May follow a [`Self::close`] that takes too long.
    pub fn abort(&mut self, socket: u16) {
        self.end(socket, ABORT);
    }

    /// The next answer, if there is one. A socket whose request was not answered [`OK`] is unused again.
    pub fn answer(&mut self) -> Option<Complete> {
        let complete = self.queue.complete();
        let complete = self.note(complete)??;
        let end = self.ends.get_mut(usize::from(complete.socket))?;
        end.pending = end.pending.saturating_sub(1);
        match complete.kind {
            CLOSE | ABORT => end.is_closing = true,
            ACCEPT | CONNECT | LISTEN | BIND if complete.status != OK => end.is_closing = true,
            SHUTDOWN => {}
            _ => self.hunger(complete.socket),
        }
        self.free(complete.socket);
        Some(complete)
    }

    /// How many bytes can be sent.
    pub fn room(&mut self, socket: u16) -> usize {
        let free = self.ends.get_mut(usize::from(socket)).map(|end| end.send.free());
        free.and_then(|free| self.note(free)).unwrap_or_default()
    }

    /// Makes the server ring when `bytes` can be sent.
    pub fn wait_for_room(&mut self, socket: u16, bytes: usize) {
        if let Some(end) = self.ends.get_mut(usize::from(socket)) {
            end.wanted = bytes;
            self.touch(socket);
        }
    }

    /// Sends as much of `bytes` as there is room for, and gives their number.
    pub fn send(&mut self, socket: u16, bytes: &[u8]) -> usize {
        let written = self.ends.get_mut(usize::from(socket)).map(|end| end.send.write(bytes));
        let written = written.and_then(|written| self.note(written)).unwrap_or_default();
        if written > 0 {
            self.touch(socket);
        }
        written
    }

    /// Takes what came, as much as fits in `to`, and gives the number of bytes.
    pub fn receive(&mut self, socket: u16, to: &mut [u8]) -> usize {
        let read = self.ends.get_mut(usize::from(socket)).map(|end| end.receive.read(to));
        let read = read.and_then(|read| self.note(read)).unwrap_or_default();
        if read > 0 {
            self.hunger(socket);
        }
        read
    }

    /// [`OPEN`], [`super::ENDED`] or [`BROKEN`]; good for what is in the ring when it is read before the ring.
    #[must_use]
    pub fn state(&self, socket: u16) -> u32 {
        if socket < SOCKETS { self.wire.down.load_u32_acquire(state_at(socket)) } else { BROKEN }
    }

    /// Sends a datagram; false if there is no room, or it is too long.
    pub fn send_to(&mut self, socket: u16, address: u32, port: u16, bytes: &[u8]) -> bool {
        let header = Datagram { length: bytes.len() as u16, port, address };
        let fits = bytes.len() <= DATAGRAM_BYTES
            && self.room(socket) >= size_of::<Datagram>() + bytes.len();
        fits && self.send(socket, header.as_bytes()) > 0 && self.send(socket, bytes) == bytes.len()
    }

    /// Takes the next datagram; what does not fit in `to` is lost. Gives its header, and how much was copied.
    pub fn receive_from(&mut self, socket: u16, to: &mut [u8]) -> Option<(Datagram, usize)> {
        let mut header = Datagram::new_zeroed();
        let end = self.ends.get_mut(usize::from(socket))?;
        let peeked = end.receive.peek(header.as_mut_bytes()).and_then(|peeked| {
            let whole = size_of::<Datagram>() + usize::from(header.length);
            Ok((peeked == size_of::<Datagram>() && end.receive.waiting()? >= whole)
                .then_some(whole))
        });
        let whole = self.note(peeked)??;
        let end = self.ends.get_mut(usize::from(socket))?;
        let copied = usize::from(header.length).min(to.len());
        let taken = end.receive.consume(size_of::<Datagram>()).and_then(|_| {
            end.receive.read(to.get_mut(..copied).unwrap_or_default())?;
            end.receive.consume(whole - size_of::<Datagram>() - copied)
        });
        self.note(taken)?;
        self.hunger(socket);
        Some((header, copied))
    }

    /// Shows the server all that was done since the last time, and rings it if it sleeps. To be called before waiting; if it
    /// says that there is more to do already, nobody rings for that.
    #[must_use = "nobody rings for what is there already"]
    pub fn flush(&mut self) -> bool {
        let (mut must_ring, mut has_more) = (false, false);
        for socket in core::mem::take(&mut self.touched) {
            let Some(end) = self.ends.get_mut(usize::from(socket)) else { continue };
            let shown = end.flush();
            let (ring, more) = self.note(shown).unwrap_or_default();
            must_ring |= ring;
            has_more |= more;
        }
        must_ring |= self.queue.publish();
        let armed = self.queue.arm();
        has_more |= self.note(armed).unwrap_or_default();
        if must_ring {
            self.wire.ring(&self.traps);
        }
        has_more
    }

    /// Submits the first request of an unused socket.
    fn begin(&mut self, request: Request) -> Option<u16> {
        let unused = self.ends.iter().position(|end| !end.is_used)?;
        let socket = u16::try_from(unused).ok()?;
        let end = self.ends.get_mut(unused)?;
        (end.is_used, end.is_closing, end.wanted) = (true, false, 0);
        self.submit(Request { socket, ..request });
        Some(socket)
    }

    fn end(&mut self, socket: u16, kind: u16) {
        if let Some(end) = self.ends.get_mut(usize::from(socket)) {
            end.is_closing = true;
            end.wanted = 0;
            self.submit(Request { kind, socket, ..Request::default() });
        }
    }

    fn submit(&mut self, request: Request) {
        let submitted = self.queue.submit(&request);
        if self.note(submitted).is_some()
            && let Some(end) = self.ends.get_mut(usize::from(request.socket))
        {
            end.pending += 1;
        }
    }

    /// Makes a socket that has ended, and of which no request is open, unused.
    fn free(&mut self, socket: u16) {
        let Some(end) = self.ends.get_mut(usize::from(socket)) else { return };
        if end.is_closing && end.pending == 0 {
            let emptied = end.receive.consume(usize::MAX);
            end.is_used = false;
            self.note(emptied);
            self.touch(socket);
        }
    }

    /// Something was taken: ask for more.
    fn hunger(&mut self, socket: u16) {
        if let Some(end) = self.ends.get_mut(usize::from(socket)) {
            end.is_hungry = true;
            self.touch(socket);
        }
    }

    fn touch(&mut self, socket: u16) {
        if let Some(end) = self.ends.get_mut(usize::from(socket))
            && !core::mem::replace(&mut end.is_touched, true)
        {
            self.touched.push(socket);
        }
    }

    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        self.is_broken |= result.is_err();
        result.ok()
    }
}

impl End {
    fn open(wire: &Wire, socket: u16) -> Option<Self> {
        Some(Self {
            send: Producer::open(send_parts(wire.up, wire.down, socket)?).ok()?,
            receive: Consumer::open(receive_parts(wire.up, wire.down, socket)?).ok()?,
            pending: 0,
            is_used: false,
            is_closing: false,
            is_touched: false,
            is_hungry: false,
            wanted: 0,
        })
    }

    /// Shows what was written and taken, and asks to be rung. Says whether to ring, and whether there is more already.
    fn flush(&mut self) -> Result<(bool, bool), Error> {
        self.is_touched = false;
        let must_ring = self.send.publish() | self.receive.publish();
        if self.is_closing || !self.is_used {
            return Ok((must_ring, false));
        }
        let wanted = core::mem::take(&mut self.wanted);
        let has_room = wanted > 0 && self.send.arm(wanted)?;
        let has_more = core::mem::take(&mut self.is_hungry) && self.receive.arm(1)?;
        Ok((must_ring, has_more || has_room))
    }
}

const _: () = assert!(OPEN == 0, "a socket's state begins as the zero of fresh memory");

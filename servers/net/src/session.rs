//! [`Session`]: one client's end: its queue, its sockets, and their rings.
//!
//! Invariant: a request is answered exactly once. Rings are touched only while their socket is used. What a client writes
//! is copied and then judged; a client whose memory contradicts itself loses its session, and nothing else happens.

use alloc::vec::Vec;

use abi::Traps;
use ipc::Wire;
use ipc::socket::{
    Complete, HEADERS, OK, OPEN, QUEUE, RECEIVE_BYTES, Request, SESSION, SOCKETS, receive_parts,
    send_parts, state_at,
};
use shared::Error;
use shared::bytes::{Consumer, Producer};
use shared::queue::Server;

/// What a socket is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Nothing.
    Unused,
    /// It listens.
    Listening,
    /// It waits for a connection.
    Accepting,
    /// It opens one.
    Connecting,
    /// It has one.
    Connected,
    /// It is bound to a UDP port.
    Bound,
}

/// One socket.
#[derive(Debug)]
pub struct End {
    /// What it is.
    pub usage: Usage,
    /// What the client sends.
    pub send: Consumer,
    /// What the client receives.
    pub receive: Producer,
    /// The client sends no more.
    pub is_shut: bool,
    /// The client has closed it.
    pub is_closing: bool,
    /// The ring for what is received is full, and more is there.
    pub is_full: bool,
    /// All that the client sent was taken since it was last asked to ring.
    pub is_drained: bool,
    /// Whether it was used since the last flush.
    is_touched: bool,
    /// State that the client was told.
    state: u32,
}

/// A client's session.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    queue: Server<Request, Complete>,
    ends: Vec<End>,
    must_ring: bool,
    is_broken: bool,
}

impl Session {
    /// Begins session number `number`; all sockets are unused.
    ///
    /// # Errors
    /// As the memory is.
    pub fn open(wire: Wire, number: u32) -> Result<Self, Error> {
        if !wire.down.holds(0, HEADERS) || !wire.up.holds(0, HEADERS) {
            return Err(Error::Shape);
        }
        wire.down.fill(0, HEADERS, 0);
        let queue = Server::open(QUEUE, wire.up, wire.down)?;
        let ends: Result<Vec<End>, Error> =
            (0..SOCKETS).map(|socket| End::open(&wire, socket)).collect();
        let mut session = Self { wire, queue, ends: ends?, must_ring: false, is_broken: false };
        session.queue.arm()?;
        wire.down.store_u32_release(SESSION, number);
        Ok(session)
    }

    /// Tells a client, before it opens a session, that there is none.
    pub fn none(wire: &Wire) {
        if wire.down.holds(0, HEADERS) {
            wire.down.store_u32_release(SESSION, 0);
        }
    }

    /// Whether its memory contradicts itself.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// A socket.
    pub fn end(&mut self, socket: u16) -> Option<&mut End> {
        self.ends.get_mut(usize::from(socket))
    }

    /// The next request.
    pub fn take(&mut self) -> Option<Request> {
        let taken = self.queue.take();
        self.note(taken)?
    }

    /// Answers a request of kind `kind`.
    pub fn answer(&mut self, kind: u16, socket: u16, status: u16) {
        self.complete(&Complete { kind, socket, status, ..Complete::default() });
    }

    /// Answers a request.
    pub fn complete(&mut self, complete: &Complete) {
        let answered = self.queue.answer(complete);
        self.note(answered);
    }

    /// Makes a socket the end of a connection, and says so.
    pub fn connected(&mut self, kind: u16, socket: u16, address: u32, port: u16) {
        let memory = self.wire.down;
        if let Some(end) = self.end(socket) {
            end.begin(Usage::Connected);
            memory.store_u32_release(state_at(socket), OPEN);
        }
        self.complete(&Complete { kind, socket, port, status: OK, address, reserved: 0 });
    }

    /// Tells the client a socket's state, if it is another than before.
    pub fn tell(&mut self, socket: u16, state: u32) {
        let memory = self.wire.down;
        let Some(end) = self.end(socket) else { return };
        if end.state == state {
            return;
        }
        end.state = state;
        let shown = end.receive.publish();
        memory.store_u32_release(state_at(socket), state);
        self.must_ring |= shown || state != OPEN;
    }

    /// Makes a socket unused: what the client sent is thrown away.
    pub fn free(&mut self, socket: u16) {
        if let Some(end) = self.end(socket) {
            let emptied = end.send.consume(usize::MAX);
            end.begin(Usage::Unused);
            self.note(emptied);
        }
    }

    /// Shows the client all that was done, rings it, and asks to be rung. Says whether there is more already.
    pub fn flush(&mut self, traps: &impl Traps) -> bool {
        let mut has_more = false;
        for index in 0..self.ends.len() {
            let Some(end) = self.ends.get_mut(index) else { break };
            let flushed = end.flush();
            let (must_ring, more) = self.note(flushed).unwrap_or_default();
            self.must_ring |= must_ring;
            has_more |= more;
        }
        self.must_ring |= self.queue.publish();
        let armed = self.queue.arm();
        has_more |= self.note(armed).unwrap_or_default();
        if core::mem::take(&mut self.must_ring) {
            self.wire.ring(traps);
        }
        has_more
    }

    /// Notes that the client's memory contradicts itself, if it does.
    pub fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        self.is_broken |= result.is_err();
        result.ok()
    }
}

impl End {
    fn open(wire: &Wire, socket: u16) -> Result<Self, Error> {
        let send = send_parts(wire.up, wire.down, socket).ok_or(Error::Shape)?;
        let receive = receive_parts(wire.up, wire.down, socket).ok_or(Error::Shape)?;
        Ok(Self {
            usage: Usage::Unused,
            send: Consumer::open(send)?,
            receive: Producer::open(receive)?,
            is_shut: false,
            is_closing: false,
            is_full: false,
            is_drained: false,
            is_touched: true,
            state: OPEN,
        })
    }

    /// Makes it something else.
    pub fn begin(&mut self, usage: Usage) {
        self.usage = usage;
        (self.is_shut, self.is_closing, self.is_full) = (false, false, false);
        self.is_touched = true;
        self.is_drained = matches!(usage, Usage::Connected | Usage::Bound);
        self.state = OPEN;
    }

    /// The state that the client was told last.
    pub const fn told(&self) -> u32 {
        self.state
    }

    /// Whether nothing waits to be sent.
    pub fn is_sent(&mut self) -> Result<bool, Error> {
        Ok(self.send.waiting()? == 0)
    }

    fn flush(&mut self) -> Result<(bool, bool), Error> {
        if self.usage == Usage::Unused && !core::mem::take(&mut self.is_touched) {
            return Ok((false, false));
        }
        let must_ring = self.receive.publish() | self.send.publish();
        let mut has_more = false;
        if core::mem::take(&mut self.is_drained) {
            has_more |= self.send.arm(1)?;
        }
        if core::mem::take(&mut self.is_full) {
            has_more |= self.receive.arm(RECEIVE_BYTES / 2)?;
        }
        Ok((must_ring, has_more))
    }
}

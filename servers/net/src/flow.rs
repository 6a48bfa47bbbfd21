//! [`Flows`]: the TCP connections, and whose each is.
//!
//! A connection has a socket of smoltcp with private buffers from its first segment on, and for as long as the protocol
//! needs after its owner has left. Sockets are made on demand, when a peer asks for a connection: there is no limit on
//! how many come at the same moment but the one on all of them together.
//!
//! Invariant: at most [`MOST`] connections exist. When that many do, one that nobody owns any more makes room, then one
//! that is only half open; if there is neither, a peer that asks gets no answer and asks again, by TCP's own rules.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Duration;

use crate::frame::Opening;

/// Most connections, all stages together.
pub const MOST: usize = 112;
/// Of these, so many have large buffers.
const LARGE: usize = 24;
/// Bytes of the buffers for what is received, and for what is sent, of a connection with large ones and of another.
const LARGE_BUFFERS: (usize, usize) = (8192, 24_576);
const SMALL_BUFFERS: (usize, usize) = (4096, 8192);
/// How many connections are remembered after their end, in case the peer's last segment is late (RFC 9293, TIME-WAIT).
const REMEMBERED: usize = 8;
/// Nanoseconds in which a half-open connection must be opened.
const HALF_OPEN: u64 = 10_000_000_000;
/// Nanoseconds after which a half-open connection may be given up for another.
const STALE: u64 = 1_000_000_000;
/// Nanoseconds that a connection has to end in order after its owner left.
const FAREWELL: u64 = 20_000_000_000;
/// Nanoseconds that one which was broken off has to say so.
const RESET: u64 = 1_000_000_000;
/// How long a peer may not acknowledge what it was sent.
const SILENCE: Duration = Duration::from_secs(60);

/// A socket of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// The client's number.
    pub client: u16,
    /// Its socket.
    pub socket: u16,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// A peer began to open it, for a listening socket.
    Opening(Owner),
    /// It is open, and waits to be accepted at a listening socket.
    Waiting(Owner),
    /// It is being opened for a socket.
    Connecting(Owner),
    /// It is a socket's.
    Held(Owner),
    /// Nobody's any more.
    Leaving,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Its socket in smoltcp.
    pub handle: SocketHandle,
    /// How far it is.
    pub stage: Stage,
    /// When it is given up, whatever happens; 0 for never.
    pub until: u64,
}

/// All connections, oldest first.
#[derive(Debug, Default)]
pub struct Flows {
    flows: Vec<Flow>,
}

/// What shall become of a peer's wish to open a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The stack decides: it knows the connection, or there is a socket for it now.
    Stack,
    /// Nobody answers; the peer will ask again.
    Later,
}

impl Flows {
    /// Connection number `index`, oldest first.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Flow> {
        self.flows.get_mut(index)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.flows.len()
    }

    /// Makes room and a socket for a peer that wants a connection with the listening socket `listener`.
    pub fn admit(
        &mut self,
        sockets: &mut SocketSet<'static>,
        opening: Opening,
        listener: Owner,
        backlog: usize,
        now: u64,
    ) -> Admission {
        if let Some(index) = self.known(sockets, opening) {
            if !self.is_in(sockets, index, State::TimeWait) {
                return Admission::Stack;
            }
            // The peer uses the ports again: the old connection is forgotten.
            self.remove(sockets, index);
        }
        let is_queued = |flow: &&Flow| {
            flow.stage == Stage::Opening(listener) || flow.stage == Stage::Waiting(listener)
        };
        let queued = self.flows.iter().filter(is_queued).count();
        let has_room = queued < backlog || self.give_up_half_open(sockets, now);
        if !has_room || !self.make_room(sockets, now) {
            return Admission::Later;
        }
        let mut socket = self.socket(sockets);
        if socket.listen(opening.local).is_err() {
            return Admission::Later;
        }
        self.add(sockets, socket, Stage::Opening(listener), now + HALF_OPEN);
        Admission::Stack
    }

    /// A socket for a new connection, if there is room for one.
    pub fn make(&mut self, sockets: &mut SocketSet<'static>, now: u64) -> Option<Socket<'static>> {
        self.make_room(sockets, now).then(|| self.socket(sockets))
    }

    /// Adds a connection.
    pub fn add(
        &mut self,
        sockets: &mut SocketSet<'static>,
        socket: Socket<'static>,
        stage: Stage,
        until: u64,
    ) {
        let handle = sockets.add(socket);
        self.flows.push(Flow { handle, stage, until });
    }

    /// Lets a connection end: in order if what it holds can be sent, else at once.
    pub fn leave(sockets: &mut SocketSet<'static>, flow: &mut Flow, is_orderly: bool, now: u64) {
        let socket = sockets.get_mut::<Socket<'_>>(flow.handle);
        flow.stage = Stage::Leaving;
        if is_orderly {
            socket.close();
            socket.set_timeout(Some(SILENCE));
            flow.until = now + FAREWELL;
        } else {
            socket.abort();
            flow.until = now + RESET;
        }
    }

    /// Removes the connections that are over, and breaks off those whose time is up.
    pub fn sweep(&mut self, sockets: &mut SocketSet<'static>, now: u64) {
        let mut index = 0;
        while let Some(flow) = self.flows.get_mut(index) {
            let socket = sockets.get_mut::<Socket<'_>>(flow.handle);
            let is_gone = socket.local_endpoint().is_none();
            let is_late = flow.until != 0 && flow.until <= now;
            let is_over = match flow.stage {
                // One that listens was broken off by its peer: it would take the next peer with the time that is left.
                Stage::Opening(_) => {
                    is_late || matches!(socket.state(), State::Closed | State::Listen)
                }
                Stage::Waiting(_) => is_gone,
                Stage::Connecting(_) | Stage::Held(_) => false,
                Stage::Leaving => is_gone || (is_late && socket.state() == State::Closed),
            };
            if is_over {
                self.remove(sockets, index);
                continue;
            }
            if flow.stage == Stage::Leaving {
                // Nobody will read it: the peer shall be able to finish.
                let _ = socket.recv(|bytes| (bytes.len(), ()));
                if is_late {
                    Self::leave(sockets, flow, false, now);
                }
            }
            index += 1;
        }
        self.forget_some(sockets);
    }

    /// The earliest time at which one is given up.
    pub fn deadline(&self) -> Option<u64> {
        self.flows.iter().map(|flow| flow.until).filter(|&until| until != 0).min()
    }

    /// Whether a connection has this port on our side.
    pub fn uses(&self, sockets: &SocketSet<'static>, port: u16) -> bool {
        self.flows.iter().any(|flow| {
            let local = sockets.get::<Socket<'_>>(flow.handle).local_endpoint();
            local.is_some_and(|local| local.port == port)
        })
    }

    /// The index of the connection that a peer's segment belongs to, or of a socket that still waits for such a one.
    fn known(&self, sockets: &SocketSet<'static>, opening: Opening) -> Option<usize> {
        self.flows.iter().position(|flow| {
            let socket = sockets.get::<Socket<'_>>(flow.handle);
            let ends = socket.local_endpoint().zip(socket.remote_endpoint());
            let listens = socket.is_listening() && socket.listen_endpoint() == opening.local.into();
            listens
                || ends.is_some_and(|(local, remote)| {
                    (local, remote) == (opening.local.into(), opening.peer.into())
                })
        })
    }

    fn is_in(&self, sockets: &SocketSet<'static>, index: usize, state: State) -> bool {
        self.flows
            .get(index)
            .is_some_and(|flow| sockets.get::<Socket<'_>>(flow.handle).state() == state)
    }

    fn socket(&self, sockets: &SocketSet<'static>) -> Socket<'static> {
        let is_large = |flow: &&Flow| {
            sockets.get::<Socket<'_>>(flow.handle).send_capacity() == LARGE_BUFFERS.1
        };
        let large = self.flows.iter().filter(is_large).count();
        let (receive, send) = if large < LARGE { LARGE_BUFFERS } else { SMALL_BUFFERS };
        let buffer = |bytes| SocketBuffer::new(vec![0; bytes]);
        let mut socket = Socket::new(buffer(receive), buffer(send));
        // What is written is written in whole pieces; a small last segment need not wait for the peer.
        socket.set_nagle_enabled(false);
        socket
    }

    /// Makes sure that there may be one more.
    fn make_room(&mut self, sockets: &mut SocketSet<'static>, now: u64) -> bool {
        if self.flows.len() < MOST {
            return true;
        }
        match self.flows.iter().position(|flow| flow.stage == Stage::Leaving) {
            Some(index) => {
                self.remove(sockets, index);
                true
            }
            None => self.give_up_half_open(sockets, now),
        }
    }

    /// Gives up the oldest half-open connection, if it had its time.
    fn give_up_half_open(&mut self, sockets: &mut SocketSet<'static>, now: u64) -> bool {
        let is_stale = |flow: &Flow| {
            matches!(flow.stage, Stage::Opening(_)) && now + HALF_OPEN >= flow.until + STALE
        };
        let stale = self.flows.iter().position(is_stale);
        stale.inspect(|&index| self.remove(sockets, index)).is_some()
    }

    /// Forgets the oldest of those that are only remembered, when there are too many.
    fn forget_some(&mut self, sockets: &mut SocketSet<'static>) {
        let is_remembered = |flow: &&Flow| {
            flow.stage == Stage::Leaving
                && sockets.get::<Socket<'_>>(flow.handle).state() == State::TimeWait
        };
        let remembered = self.flows.iter().filter(is_remembered).count();
        for _ in REMEMBERED..remembered {
            let oldest = (0..self.flows.len()).find(|&index| {
                self.is_in(sockets, index, State::TimeWait)
                    && self.flows.get(index).is_some_and(|flow| flow.stage == Stage::Leaving)
            });
            oldest.inspect(|&index| self.remove(sockets, index));
        }
    }

    fn remove(&mut self, sockets: &mut SocketSet<'static>, index: usize) {
        if index < self.flows.len() {
            sockets.remove(self.flows.remove(index).handle);
        }
    }
}

/// Adjusts a connection that was opened: how it reacts to loss, and how long it waits for a silent peer.
pub fn tune(socket: &mut Socket<'static>, is_near: bool) {
    // A neighbour is one queue away, and our buffers are small: nothing to congest.
    let control = if is_near { CongestionControl::None } else { CongestionControl::Reno };
    socket.set_congestion_control(control);
}

/// Keeps the limit on a peer's silence on exactly while it has something to acknowledge.
pub fn watch_silence(socket: &mut Socket<'static>) {
    socket.set_timeout((socket.send_queue() > 0).then_some(SILENCE));
}

#[cfg(test)]
mod tests {
    use super::{Admission, Flows, Opening, Owner, SocketSet};

    #[test]
    fn an_opening_that_listens_again_takes_nobody_else() {
        let (mut flows, mut sockets) = (Flows::default(), SocketSet::new(std::vec![]));
        let owner = Owner { client: 0, socket: 1 };
        let opening = |port| Opening {
            peer: ([10, 0, 3, 9].into(), port),
            local: ([10, 0, 3, 15].into(), 80),
        };
        assert_eq!(flows.admit(&mut sockets, opening(1), owner, 8, 0), Admission::Stack);
        // As smoltcp leaves it after a reset: it listens.
        flows.sweep(&mut sockets, 1);
        assert_eq!((flows.len(), sockets.iter().count()), (0, 0));
        assert_eq!(
            flows.admit(&mut sockets, opening(2), owner, 8, 9_000_000_000),
            Admission::Stack
        );
        assert_eq!(flows.deadline(), Some(19_000_000_000));
    }
}

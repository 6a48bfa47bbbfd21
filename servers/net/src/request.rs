//! Requests of clients: what each does to sockets and connections.
//!
//! Invariant: a request is judged by the state that the socket has when it is taken; one that makes no sense is answered
//! with `INVALID` and has no effect.

use abi::Traps;
use ipc::Host;
use ipc::socket::{
    ABORT, ACCEPT, BIND, CLOSE, CLOSED, CONNECT, Complete, ENTRIES, FULL, IN_USE, INVALID, LISTEN,
    OK, Request, SHUTDOWN, UNREACHABLE,
};
use smoltcp::wire::{IpEndpoint, Ipv4Address};

use crate::config::is_host;
use crate::flow::{Flows, MOST, Owner, Stage, tune};
use crate::server::Net;
use crate::session::{Session, Usage};

/// The first of the ports that we choose ourselves (RFC 6335, 6).
const DYNAMIC: u16 = 49_152;

impl<T: Traps, H: Host> Net<T, H> {
    /// Takes the clients' requests. Says whether there may be more.
    pub(crate) fn take_requests(&mut self, now: u64) -> bool {
        let mut has_more = false;
        for client in 0..self.clients.len() as u16 {
            let taken = (0..ENTRIES).take_while(|_| self.take_request(client, now)).count();
            has_more |= taken == ENTRIES as usize;
        }
        has_more
    }

    fn take_request(&mut self, client: u16, now: u64) -> bool {
        let Some(request) = self.session(client).and_then(Session::take) else { return false };
        let owner = Owner { client, socket: request.socket };
        let usage =
            self.session(client).and_then(|session| Some(session.end(request.socket)?.usage));
        let status = match (request.kind, usage) {
            (LISTEN, Some(Usage::Unused)) => Some(self.listen(owner, &request)),
            (ACCEPT, Some(Usage::Unused)) => self.accept(owner, &request),
            (CONNECT, Some(Usage::Unused)) => self.connect(owner, &request, now),
            (BIND, Some(Usage::Unused)) => return self.bind(owner, &request),
            (SHUTDOWN, Some(Usage::Connected)) => Some(self.shutdown(owner)),
            (CLOSE | ABORT, Some(usage)) => self.close(owner, usage, request.kind, now),
            _ => Some(INVALID),
        };
        if let (Some(status), Some(session)) = (status, self.session(client)) {
            session.answer(request.kind, request.socket, status);
        }
        true
    }

    /// A client's session.
    pub(crate) fn session(&mut self, client: u16) -> Option<&mut Session> {
        self.clients.get_mut(usize::from(client))?.session.as_mut()
    }

    /// Makes a socket something else.
    fn make(&mut self, owner: Owner, usage: Usage) {
        if let Some(end) = self.session(owner.client).and_then(|session| session.end(owner.socket))
        {
            end.begin(usage);
        }
    }

    fn listen(&mut self, owner: Owner, request: &Request) -> u16 {
        if request.port == 0 {
            return INVALID;
        }
        if self.listeners.at(request.port).is_some() {
            return IN_USE;
        }
        let backlog = request.value.clamp(1, MOST as u16);
        self.listeners.add(owner, request.port, backlog);
        self.make(owner, Usage::Listening);
        OK
    }

    fn accept(&mut self, owner: Owner, request: &Request) -> Option<u16> {
        let listening = Owner { client: owner.client, socket: request.value };
        match self.listeners.of(listening) {
            Some(listener) => listener.accepting.push_back(owner.socket),
            _ => return Some(INVALID),
        }
        self.make(owner, Usage::Accepting);
        None
    }

    fn connect(&mut self, owner: Owner, request: &Request, now: u64) -> Option<u16> {
        let peer = Ipv4Address::from(request.address);
        if request.port == 0 || !is_host(peer) {
            return Some(INVALID);
        }
        let Some(own) = self.stack.address() else { return Some(UNREACHABLE) };
        if !own.contains_addr(&peer) && self.stack.gateway().is_none() {
            return Some(UNREACHABLE);
        }
        let Some(local) = self.free_port(now) else { return Some(FULL) };
        let Some(mut socket) = self.flows.make(&mut self.stack.sockets, now) else {
            return Some(FULL);
        };
        let ends =
            (IpEndpoint::from((peer, request.port)), IpEndpoint::from((own.address(), local)));
        let Some((interface, sockets)) = self.stack.parts() else { return Some(UNREACHABLE) };
        if socket.connect(interface.context(), ends.0, ends.1).is_err() {
            return Some(UNREACHABLE);
        }
        tune(&mut socket, own.contains_addr(&peer));
        socket.set_timeout(Some(CONNECT_PATIENCE));
        self.flows.add(sockets, socket, Stage::Connecting(owner), 0);
        self.make(owner, Usage::Connecting);
        None
    }

    /// Binds a socket to a UDP port; answers itself, because the answer has the port.
    fn bind(&mut self, owner: Owner, request: &Request) -> bool {
        let port = match request.port {
            0 => self.free_port(self.host.now()).unwrap_or(0),
            port => port,
        };
        let status = self.bindings.add(&mut self.stack.sockets, owner, port);
        if status == OK {
            self.make(owner, Usage::Bound);
        }
        if let Some(session) = self.session(owner.client) {
            let (kind, socket) = (BIND, owner.socket);
            session.complete(&Complete { kind, socket, port, status, ..Complete::default() });
        }
        true
    }

    fn shutdown(&mut self, owner: Owner) -> u16 {
        if let Some(end) = self.session(owner.client).and_then(|session| session.end(owner.socket))
        {
            end.is_shut = true;
        }
        OK
    }

    /// Ends a socket; `None` if what its ring holds has to be sent first.
    fn close(&mut self, owner: Owner, usage: Usage, kind: u16, now: u64) -> Option<u16> {
        match usage {
            Usage::Unused => return Some(INVALID),
            Usage::Listening => self.close_listener(owner, now),
            Usage::Accepting => {
                self.listeners.withdraw(owner);
                self.session(owner.client)?.answer(ACCEPT, owner.socket, CLOSED);
            }
            Usage::Connecting => {
                self.abandon(now, |other| other == owner);
                self.session(owner.client)?.answer(CONNECT, owner.socket, CLOSED);
            }
            Usage::Connected | Usage::Bound if kind == CLOSE => {
                let end = self.session(owner.client)?.end(owner.socket)?;
                let was_closing = core::mem::replace(&mut end.is_closing, true);
                return was_closing.then_some(INVALID);
            }
            Usage::Connected => self.abandon(now, |other| other == owner),
            Usage::Bound => self.bindings.remove(owner, &mut self.stack.sockets),
        }
        let session = self.session(owner.client)?;
        if session.end(owner.socket)?.is_closing {
            session.answer(CLOSE, owner.socket, CLOSED);
        }
        session.free(owner.socket);
        Some(OK)
    }

    fn close_listener(&mut self, owner: Owner, now: u64) {
        let Some(listener) = self.listeners.remove(owner) else { return };
        for socket in listener.accepting {
            if let Some(session) = self.session(owner.client) {
                session.answer(ACCEPT, socket, CLOSED);
                session.free(socket);
            }
        }
        self.abandon(now, |other| other == owner);
    }

    /// Breaks off the connections whose owner is `whose`.
    pub(crate) fn abandon(&mut self, now: u64, whose: impl Fn(Owner) -> bool) {
        for index in 0..self.flows.len() {
            let Some(flow) = self.flows.get_mut(index) else { return };
            let (Stage::Opening(owner)
            | Stage::Waiting(owner)
            | Stage::Connecting(owner)
            | Stage::Held(owner)) = flow.stage
            else {
                continue;
            };
            if whose(owner) {
                Flows::leave(&mut self.stack.sockets, flow, false, now);
            }
        }
    }

    /// A port that nobody uses.
    fn free_port(&self, now: u64) -> Option<u16> {
        let count = u16::MAX - DYNAMIC;
        let first = (now / 1000 % u64::from(count)) as u16;
        (0..count).map(|step| DYNAMIC + (first + step) % count).find(|&port| {
            self.listeners.at(port).is_none()
                && !self.bindings.uses(port)
                && !self.flows.uses(&self.stack.sockets, port)
        })
    }
}

/// How long a peer may take to answer a wish to connect.
const CONNECT_PATIENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(20);

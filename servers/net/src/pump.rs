//! Moves bytes between connections and rings, and carries on what depends on how far a connection is.
//!
//! Invariant: what a peer sent is in its client's ring, or still in the connection's window; nothing is dropped between.
//! What a client sent leaves its ring only for the connection's buffer.

use abi::Traps;
use ipc::Host;
use ipc::socket::{ACCEPT, BROKEN, CLOSE, CONNECT, ENDED, OK, OPEN, REFUSED, TIMED_OUT};
use shared::Error;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::socket::udp;
use smoltcp::wire::IpAddress;

use crate::flow::{Flows, Owner, Stage, tune, watch_silence};
use crate::server::Net;
use crate::session::{End, Usage};

impl<T: Traps, H: Host> Net<T, H> {
    /// Carries on all connections and UDP sockets.
    pub(crate) fn pump(&mut self, now: u64) {
        for index in 0..self.flows.len() {
            let Some(flow) = self.flows.get_mut(index) else { break };
            let (handle, stage) = (flow.handle, flow.stage);
            match stage {
                Stage::Opening(listener) => self.opened(index, handle, listener),
                Stage::Waiting(listener) => self.accepted(index, handle, listener),
                Stage::Connecting(owner) => self.connected(index, handle, owner, now),
                Stage::Held(owner) => self.held(index, handle, owner, now),
                Stage::Leaving => {}
            }
        }
        self.pump_datagrams();
    }

    fn set_stage(&mut self, index: usize, stage: Stage) {
        if let Some(flow) = self.flows.get_mut(index) {
            (flow.stage, flow.until) = (stage, 0);
        }
    }

    fn tcp(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.stack.sockets.get_mut(handle)
    }

    /// A connection that a peer opens: is it open?
    fn opened(&mut self, index: usize, handle: SocketHandle, listener: Owner) {
        let own = self.stack.address();
        let socket = self.tcp(handle);
        if matches!(socket.state(), State::Listen | State::SynReceived | State::Closed) {
            return;
        }
        let peer = socket.remote_endpoint().map(|peer| peer.addr);
        let is_near =
            own.zip(peer).is_some_and(|(own, IpAddress::Ipv4(peer))| own.contains_addr(&peer));
        tune(socket, is_near);
        self.set_stage(index, Stage::Waiting(listener));
        self.accepted(index, handle, listener);
    }

    /// A connection that waits: does a socket wait for it?
    fn accepted(&mut self, index: usize, handle: SocketHandle, listening: Owner) {
        let Some(peer) = self.tcp(handle).remote_endpoint() else { return };
        let Some(listener) = self.listeners.of(listening) else { return };
        let Some(socket) = listener.accepting.pop_front() else { return };
        let IpAddress::Ipv4(address) = peer.addr;
        if let Some(session) = self.session(listening.client) {
            session.connected(ACCEPT, socket, address.into(), peer.port);
        }
        let owner = Owner { client: listening.client, socket };
        self.set_stage(index, Stage::Held(owner));
        self.held(index, handle, owner, 0);
    }

    /// A connection that we open: is it open, or refused?
    fn connected(&mut self, index: usize, handle: SocketHandle, owner: Owner, now: u64) {
        let socket = self.tcp(handle);
        match socket.state() {
            State::SynSent | State::SynReceived => {}
            State::Closed => {
                // A refusal leaves no trace of the peer; a time-out still has a reset to send.
                let status = if socket.local_endpoint().is_none() { REFUSED } else { TIMED_OUT };
                if let Some(session) = self.session(owner.client) {
                    session.answer(CONNECT, owner.socket, status);
                    session.free(owner.socket);
                }
                self.leave(index, false, now);
            }
            _ => {
                let peer = socket.remote_endpoint();
                if let (Some(peer), Some(session)) = (peer, self.session(owner.client)) {
                    let IpAddress::Ipv4(address) = peer.addr;
                    session.connected(CONNECT, owner.socket, address.into(), peer.port);
                }
                self.set_stage(index, Stage::Held(owner));
                self.held(index, handle, owner, now);
            }
        }
    }

    /// A connection of a socket: moves its bytes.
    fn held(&mut self, index: usize, handle: SocketHandle, owner: Owner, now: u64) {
        let Some(client) = self.clients.get_mut(usize::from(owner.client)) else { return };
        let Some(session) = &mut client.session else { return };
        let Some(end) = session.end(owner.socket) else { return };
        let socket = self.stack.sockets.get_mut::<Socket<'_>>(handle);
        let pumped = stream(socket, end);
        let Some((state, is_done)) = session.note(pumped) else { return };
        session.tell(owner.socket, state);
        if is_done {
            session.answer(CLOSE, owner.socket, OK);
            session.free(owner.socket);
            self.leave(index, state != BROKEN, now);
        }
    }

    fn leave(&mut self, index: usize, is_orderly: bool, now: u64) {
        let now = if now == 0 { self.host.now() } else { now };
        if let Some(flow) = self.flows.get_mut(index) {
            Flows::leave(&mut self.stack.sockets, flow, is_orderly, now);
        }
    }

    fn pump_datagrams(&mut self) {
        let mut finished = None;
        for (owner, handle) in self.bindings.iter() {
            let Some(client) = self.clients.get_mut(usize::from(owner.client)) else { continue };
            let Some(session) = &mut client.session else { continue };
            let Some(end) = session.end(owner.socket).filter(|end| end.usage == Usage::Bound)
            else {
                continue;
            };
            let socket = self.stack.sockets.get_mut::<udp::Socket<'_>>(handle);
            let pumped = crate::udp::pump(socket, end).and_then(|()| end.is_sent());
            let is_closing = end.is_closing;
            let is_sent = socket.send_queue() == 0 && session.note(pumped).unwrap_or(true);
            if is_closing && is_sent {
                session.answer(CLOSE, owner.socket, OK);
                session.free(owner.socket);
                finished = Some(owner);
            }
        }
        if let Some(owner) = finished {
            self.bindings.remove(owner, &mut self.stack.sockets);
        }
    }
}

/// Moves a connection's bytes; gives its state, and whether a socket that is being closed has no more to do.
fn stream(socket: &mut Socket<'static>, end: &mut End) -> Result<(u32, bool), Error> {
    if end.is_closing {
        let _ = socket.recv(|bytes| (bytes.len(), ()));
    } else {
        receive(socket, end)?;
    }
    send(socket, end)?;
    watch_silence(socket);
    let is_sent = end.is_sent()?;
    if (end.is_shut || end.is_closing) && is_sent && socket.may_send() {
        socket.close();
    }
    let state = match socket.state() {
        State::Closed if end.told() != ENDED => BROKEN,
        _ if !socket.may_recv() && socket.recv_queue() == 0 => ENDED,
        _ => OPEN,
    };
    Ok((state, end.is_closing && (is_sent || state == BROKEN)))
}

fn receive(socket: &mut Socket<'static>, end: &mut End) -> Result<(), Error> {
    while socket.can_recv() {
        let written = socket.recv(|bytes| match end.receive.write(bytes) {
            Ok(written) => (written, Ok(written)),
            Err(error) => (0, Err(error)),
        });
        match written {
            Ok(Ok(0)) => {
                end.is_full = true;
                break;
            }
            Ok(result) => _ = result?,
            Err(_) => break,
        }
    }
    Ok(())
}

fn send(socket: &mut Socket<'static>, end: &mut End) -> Result<(), Error> {
    if !socket.may_send() {
        // Nobody will ever take it.
        end.send.consume(usize::MAX)?;
        return Ok(());
    }
    let mut has_taken = false;
    while socket.can_send() {
        let read = socket.send(|bytes| match end.send.read(bytes) {
            Ok(read) => (read, Ok(read)),
            Err(error) => (0, Err(error)),
        });
        match read {
            Ok(Ok(0)) | Err(_) => break,
            Ok(result) => has_taken |= result? > 0,
        }
    }
    // While something is left, the peer's next acknowledgement makes us look again.
    end.is_drained |= has_taken && end.is_sent()?;
    Ok(())
}

//! [`Httpd`]: the server: sessions with the network and the file system, and all connections.
//!
//! Invariant: while there are unused sockets, some of them wait for connections. When there are none, the connection that has
//! waited longest for its client to say something makes room.

use alloc::vec::Vec;

use abi::trap::BIT_TIMER;
use abi::{Answer, Call, CallError, Handle, Traps, kernel::own};
use ipc::serve::Serve;
use ipc::socket::client::Sockets;
use ipc::socket::{ABORT, ACCEPT, CLOSE, Complete, LISTEN, OK};
use ipc::state::{Damaged, Full, Reader, Writer};
use ipc::{Host, Wire};

use crate::connection::{Connection, Env};
use crate::page::Front;
use crate::settings::Settings;
use crate::site::Site;
use crate::state;
use crate::store::Store;

/// Sockets that wait for connections.
const ACCEPTING: usize = 12;
/// Connections that wait in the network until they are accepted.
const BACKLOG: u16 = 32;
/// Rounds of one turn.
const ROUNDS: usize = 8;
/// Nanoseconds until something that failed is tried again.
const RETRY: u64 = 1_000_000_000;
/// Nanoseconds that a socket has to end in order.
const FAREWELL: u64 = 10_000_000_000;
/// Nanoseconds that a connection may wait for its client when others wait for its place.
const PATIENCE: u64 = 1_000_000_000;

/// The wires of a web server.
#[derive(Clone, Copy, Debug)]
pub struct Wires {
    /// To the network.
    pub sockets: Wire,
    /// To the file system; without memory, there are no files.
    pub files: Wire,
    /// To who knows the state of the system.
    pub status: Wire,
}

/// A session with the network.
struct Network<T> {
    sockets: Sockets<T>,
    listener: u16,
    /// The status of listening, once it is known.
    listening: Option<u16>,
    /// Sockets that wait for a connection.
    accepting: usize,
    connections: Vec<Connection>,
    /// Sockets that are being closed, and until when.
    closing: Vec<(u16, u64)>,
}

/// The server.
pub struct Httpd<T, H> {
    traps: T,
    host: H,
    port: u16,
    wire: Wire,
    network: Option<Network<T>>,
    store: Store<T>,
    site: Site<T>,
    /// Whether somebody would have liked a session and there was none.
    retry: u64,
    /// What the timer is set to; 0 when it is not.
    timer: u64,
    /// Whether it is a successor that has not had a turn.
    is_adopted: bool,
}

impl<T: Traps, H: Host> Httpd<T, H> {
    /// A server whose page at `/` is made by `front`. Nothing happens before [`Self::start`].
    pub fn new(traps: T, host: H, settings: Settings, wires: Wires, front: Front) -> Self {
        let store = Store::new(traps, wires.files);
        let Settings { port, title } = settings;
        let site = Site::new(traps, wires.status, title, front, store.exists());
        let wire = wires.sockets;
        let (retry, timer, is_adopted) = (0, 0, false);
        Self { traps, host, port, wire, network: None, store, site, retry, timer, is_adopted }
    }

    /// The successor of another one. Nothing that is shared is touched before the first turn.
    ///
    /// # Errors
    /// The state is not a web server's.
    pub fn adopt(
        traps: T,
        host: H,
        settings: Settings,
        wires: Wires,
        front: Front,
        state: Reader<'_>,
    ) -> Result<Self, Damaged> {
        let state::Server { retry, network, store } = state.one()?.ok_or(Damaged)?;
        let store = Store::adopted(traps, wires.files, store).ok_or(Damaged)?;
        let connections = state::connections(state)?;
        let network = match network {
            Some(network) => Some(Network::adopted(traps, wires.sockets, network, connections)?),
            None => None,
        };
        let new = Self::new(traps, host, settings, wires, front);
        Ok(Self { network, store, retry, is_adopted: true, ..new })
    }

    /// Begins; to be called once, before the first wait.
    pub fn start(&mut self) {
        self.turn();
    }

    fn turn(&mut self) {
        if core::mem::take(&mut self.is_adopted) {
            self.store.resume();
            self.network.iter_mut().for_each(|network| network.sockets.resume());
        }
        let mut has_more = true;
        for _ in 0..ROUNDS {
            if !has_more {
                break;
            }
            has_more = self.round();
        }
        self.set_timer(has_more);
    }

    /// Does all that there is to do once. Says whether there is more.
    fn round(&mut self) -> bool {
        let now = self.host.now();
        self.ensure_network(now);
        let has_lost_files = self.store.ensure(now);
        let mut has_more = false;
        if let Some(network) = &mut self.network {
            if has_lost_files {
                network.connections.iter_mut().for_each(Connection::lost_files);
            }
            network.take_answers(now);
            let mut env = Env {
                sockets: &mut network.sockets,
                store: &mut self.store,
                site: &mut self.site,
                now,
            };
            take_files(&mut network.connections, &mut env);
            for connection in &mut network.connections {
                has_more |= connection.step(&mut env);
            }
            network.sweep(&mut self.store, now);
            network.accept(&mut self.store, now);
            has_more |= network.sockets.flush();
        }
        has_more | self.store.flush()
    }

    /// Sees to it that there is a session with the network.
    fn ensure_network(&mut self, now: u64) {
        let is_refused =
            |network: &Network<T>| network.listening.is_some_and(|status| status != OK);
        if self.network.as_ref().is_some_and(|one| one.sockets.is_current() && !is_refused(one)) {
            return;
        }
        if let Some(mut network) = self.network.take() {
            if is_refused(&network) {
                self.host.log(format_args!("port {} is taken", self.port));
                self.retry = now + RETRY;
            } else {
                self.host.log(format_args!("the network was started again"));
            }
            network.connections.iter_mut().for_each(|one| one.let_go(&mut self.store));
        }
        if now < self.retry {
            return;
        }
        match Sockets::open(self.traps, self.wire) {
            Ok(mut sockets) => {
                let listener = sockets.listen(self.port, BACKLOG);
                self.network = listener.map(|listener| Network::new(sockets, listener));
                self.retry = 0;
            }
            Err(error) => {
                if !matches!(error, CallError::Status(_)) {
                    self.host.log(format_args!("the network refuses: {error:?}"));
                }
                self.retry = now + RETRY;
            }
        }
    }

    /// Sets the timer to the earliest time at which there is something to do, if it is not set to an earlier one.
    fn set_timer(&mut self, has_more: bool) {
        let network = self.network.as_ref().map(Network::deadline);
        let retry = (self.network.is_none()).then_some(self.retry.max(1));
        let at_once = has_more.then_some(1);
        let earliest = [network, retry, at_once].into_iter().flatten().min();
        if let Some(at) = earliest.filter(|&at| at != u64::MAX)
            && (self.timer == 0 || at < self.timer)
        {
            self.timer = at;
            let _ = own::Client::new(self.traps, Handle::OWN).timer(at);
        }
    }
}

/// Gives the file system's answers to who asked.
fn take_files<T: Traps>(connections: &mut [Connection], env: &mut Env<'_, T>) {
    while let Some(answer) = env.store.answer() {
        let owner = connections.iter_mut().find(|one| one.question == Some(answer.id));
        if let Some(connection) = owner {
            connection.answered(&answer, env);
        }
        env.store.free(answer.buffer);
    }
}

impl<T: Traps> Network<T> {
    const fn new(sockets: Sockets<T>, listener: u16) -> Self {
        Self {
            sockets,
            listener,
            listening: None,
            accepting: 0,
            connections: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// The session of a predecessor.
    fn adopted(
        traps: T,
        wire: Wire,
        state: state::Network,
        connections: Vec<Connection>,
    ) -> Result<Self, Damaged> {
        let state::Network { sockets, listener, listening, accepting, closing } = state;
        let sockets = Sockets::adopted(traps, wire, &sockets).ok_or(Damaged)?;
        let accepting = accepting as usize;
        Ok(Self { sockets, listener, listening, accepting, connections, closing })
    }

    fn save(&self) -> state::Network {
        state::Network {
            sockets: self.sockets.save(),
            listener: self.listener,
            listening: self.listening,
            accepting: self.accepting as u32,
            closing: self.closing.clone(),
        }
    }

    fn is_listening(&self) -> bool {
        self.listening == Some(OK)
    }

    fn take_answers(&mut self, now: u64) {
        while let Some(Complete { kind, socket, status, .. }) = self.sockets.answer() {
            match (kind, status) {
                (LISTEN, _) => self.listening = Some(status),
                (ACCEPT, _) => {
                    self.accepting = self.accepting.saturating_sub(1);
                    if status == OK {
                        self.connections.push(Connection::new(socket, now));
                    }
                }
                (CLOSE | ABORT, _) => self.closing.retain(|(closing, _)| *closing != socket),
                _ => {}
            }
        }
    }

    /// Ends the connections that are over, and the sockets that take too long to end.
    fn sweep(&mut self, store: &mut Store<T>, now: u64) {
        let Self { sockets, connections, closing, .. } = self;
        connections.retain_mut(|connection| {
            let Some(is_orderly) = connection.is_over() else { return true };
            connection.let_go(store);
            if is_orderly {
                sockets.close(connection.socket);
                closing.push((connection.socket, now + FAREWELL));
            } else {
                sockets.abort(connection.socket);
            }
            false
        });
        closing.retain(|&(socket, until)| {
            if until <= now {
                sockets.abort(socket);
            }
            until > now
        });
    }

    /// Lets sockets wait for connections.
    fn accept(&mut self, store: &mut Store<T>, now: u64) {
        while self.is_listening() && self.accepting < ACCEPTING {
            if self.sockets.accept(self.listener).is_none() {
                break;
            }
            self.accepting += 1;
        }
        if self.is_listening() && self.accepting == 0 && self.closing.is_empty() {
            self.make_room(store, now);
        }
    }

    /// Ends the connection that has waited longest for its client; those between two requests come first.
    fn make_room(&mut self, store: &mut Store<T>, now: u64) {
        let waits = self
            .connections
            .iter_mut()
            .filter(|one| one.idle_since().is_some_and(|since| since + PATIENCE <= now));
        if let Some(victim) = waits.min_by_key(|one| (one.has_begun(), one.idle_since())) {
            victim.end(true);
            self.sweep(store, now);
        }
    }

    /// When something has to be done without anybody ringing.
    fn deadline(&self) -> u64 {
        let connections = self.connections.iter().map(Connection::deadline).min();
        let closing = self.closing.iter().map(|(_, until)| *until).min();
        // When all sockets are used, somebody may wait whom nobody tells us of.
        let is_full = self.is_listening() && self.accepting == 0 && self.closing.is_empty();
        let full = is_full.then(|| {
            self.connections
                .iter()
                .filter_map(Connection::idle_since)
                .min()
                .map_or(u64::MAX, |since| since + PATIENCE)
        });
        [connections, closing, full].into_iter().flatten().min().unwrap_or(u64::MAX)
    }
}

impl<T: Traps, H: Host> Serve for Httpd<T, H> {
    fn bits(&mut self, bits: u64) {
        if bits & BIT_TIMER != 0 {
            self.timer = 0;
        }
        self.turn();
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        let network = self.network.as_ref().map(Network::save);
        to.put(&state::Server { retry: self.retry, network, store: self.store.save() })?;
        let connections = self.network.as_ref().map(|network| network.connections.as_slice());
        state::save(connections.unwrap_or_default(), to)
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }
}

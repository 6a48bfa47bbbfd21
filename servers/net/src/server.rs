//! [`Net`]: the server: what a turn does, and in which order.
//!
//! Invariant: a turn takes at most a ring's worth of frames and of requests, then waits again; what is left over is done in
//! the next turn, which the timer begins at once. Received bytes are shown to clients before the stack acknowledges them.

use alloc::vec::Vec;

use abi::trap::BIT_TIMER;
use abi::{Answer, Badge, Call, CallError, Handle, Traps, kernel::own};
use ipc::serve::Serve;
use ipc::socket::{self, Error};
use ipc::{Host, Wire, nic};

use crate::config::Config;
use crate::device::Device;
use crate::flow::{Admission, Flows};
use crate::frame::{Opening, Verdict, judge};
use crate::listener::Listeners;
use crate::session::Session;
use crate::stack::Stack;
use crate::udp::Bindings;

/// Most frames that one turn takes.
const FRAMES: usize = 256;
/// Nanoseconds until the device is asked how it is when it does not answer.
const RETRY: u64 = 1_000_000_000;
/// Nanoseconds until the stack is looked at again when it could not do all it wanted.
const SOON: u64 = 1_000_000;

/// One place for a client.
#[derive(Debug)]
pub(crate) struct Client {
    pub wire: Wire,
    pub session: Option<Session>,
}

/// The server.
pub struct Net<T, H> {
    pub(crate) traps: T,
    pub(crate) host: H,
    pub(crate) device: Device<T>,
    pub(crate) stack: Stack,
    pub(crate) clients: Vec<Client>,
    pub(crate) listeners: Listeners,
    pub(crate) flows: Flows,
    pub(crate) bindings: Bindings,
    /// Number of the last session.
    sessions: u32,
    is_up: bool,
    /// When the device last had nothing to do or did something.
    progress: u64,
    /// When the device is to be opened again; 0 when its bell will tell.
    reopen: u64,
    /// What the timer is set to; 0 when it is not.
    timer: u64,
}

impl<T: Traps, H: Host> Net<T, H> {
    /// A stack over the interface behind `device`, for the clients behind `clients`, by number. Nothing happens before
    /// [`Self::start`].
    pub fn new(traps: T, host: H, config: Config, device: Wire, clients: Vec<Wire>) -> Self {
        let clients =
            clients.into_iter().map(|wire| Client { wire, session: None }).collect::<Vec<_>>();
        Self {
            traps,
            host,
            device: Device::new(traps, device),
            stack: Stack::new(config),
            clients,
            listeners: Listeners::default(),
            flows: Flows::default(),
            bindings: Bindings::default(),
            sessions: 0,
            is_up: false,
            progress: 0,
            reopen: 0,
            timer: 0,
        }
    }

    /// Begins; to be called once, before the first wait.
    pub fn start(&mut self) {
        for client in &self.clients {
            Session::none(&client.wire);
            if !client.wire.down.is_empty() {
                client.wire.ring(&self.traps);
            }
        }
        // Numbers differ from those of an earlier incarnation, which clients may remember.
        self.sessions = (self.host.now() >> 20) as u32;
        self.open_device();
        self.turn(false);
    }

    /// Begins a session with the device, or sees to it that it is tried again.
    fn open_device(&mut self) {
        self.reopen = 0;
        let opened = self.device.open();
        match opened {
            Ok(facts) => {
                self.is_up = true;
                if !self.stack.begin(facts, &mut self.device, &self.host) {
                    self.host.log(format_args!("the interface has no usable hardware address"));
                    self.device.close();
                }
            }
            Err(CallError::Refused(nic::Error::NotReady)) => {}
            Err(error) => {
                self.host.log(format_args!("the interface does not answer: {error:?}"));
                self.reopen = self.host.now() + RETRY;
            }
        }
    }

    /// The device rang, but not for frames: it may be another one, or have lost or found its backend.
    fn check_device(&mut self) {
        let is_up = if self.device.is_open() { self.device.is_up().ok() } else { None };
        match is_up {
            None => self.open_device(),
            Some(is_up) if is_up != self.is_up => {
                self.host.log(format_args!("the link is {}", if is_up { "up" } else { "down" }));
                self.is_up = is_up;
                if is_up {
                    self.stack.renew(&mut self.device, &self.host);
                }
            }
            Some(_) => {}
        }
    }

    /// Asks the device how it is when it rang for nothing, or does not go on.
    fn watch_device(&mut self, has_rung: bool, now: u64) {
        let is_busy = self.device.was_busy();
        if is_busy || !self.device.is_waiting() {
            self.progress = now;
        }
        if (has_rung && !is_busy) || self.progress + RETRY <= now {
            self.progress = now;
            self.check_device();
        }
    }

    /// Everything that there is to do, as far as one turn goes.
    fn turn(&mut self, has_rung: bool) {
        let now = self.host.now();
        let mut has_more = self.take_frames(now) == FRAMES;
        self.watch_device(has_rung, now);
        has_more |= self.take_requests(now);
        self.pump(now);
        self.stack.egress(&mut self.device, now);
        if self.stack.settle(&mut self.device, &self.host) {
            self.ring_all();
        }
        self.flows.sweep(&mut self.stack.sockets, now);
        has_more |= self.flush();
        self.set_timer(now, has_more);
    }

    /// Takes what was received, and gives it to the stack. Says how many frames there were.
    fn take_frames(&mut self, now: u64) -> usize {
        for taken in 0..FRAMES {
            let Some(flags) = self.device.load() else { return taken };
            let admission = match judge(self.device.frame(), flags) {
                Verdict::Accept => Admission::Stack,
                Verdict::Open(opening) => self.admit(opening, now),
                Verdict::Drop => Admission::Later,
            };
            if admission == Admission::Stack {
                self.stack.ingress(&mut self.device, now);
            }
        }
        FRAMES
    }

    /// Makes room for a connection that a peer wants.
    fn admit(&mut self, opening: Opening, now: u64) -> Admission {
        let (address, port) = opening.local;
        let is_ours = self.stack.address().is_some_and(|own| own.address() == address);
        match self.listeners.at(port) {
            Some(listener) if is_ours => {
                let (owner, backlog) = (listener.owner, usize::from(listener.backlog));
                self.flows.admit(&mut self.stack.sockets, opening, owner, backlog, now)
            }
            _ => Admission::Stack,
        }
    }

    /// Rings all clients: there is an address, or there is none any more.
    fn ring_all(&self) {
        for client in self.clients.iter().filter(|client| client.session.is_some()) {
            client.wire.ring(&self.traps);
        }
    }

    /// Shows everybody what was done. Says whether there is more to do already.
    fn flush(&mut self) -> bool {
        let mut has_more = self.device.flush();
        for number in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(number) else { break };
            let Some(session) = &mut client.session else { continue };
            has_more |= session.flush(&self.traps);
            if session.is_broken() {
                self.host.log(format_args!("client {number} broke its session"));
                self.end_session(number as u16);
            }
        }
        has_more
    }

    /// Sets the timer to the earliest time at which there is something to do, if it is not set to an earlier one.
    fn set_timer(&mut self, now: u64, has_more: bool) {
        let stack = match self.stack.deadline(now) {
            // What the device has no room for, its bell brings.
            Some(at) if at <= now => (self.device.room() > 0).then_some(now + SOON),
            other => other,
        };
        let reopen = (self.reopen != 0).then_some(self.reopen);
        let stuck = self.device.is_waiting().then_some(self.progress + RETRY);
        let at_once = has_more.then_some(1);
        let earliest =
            [stack, self.flows.deadline(), reopen, stuck, at_once].into_iter().flatten().min();
        if let Some(at) = earliest
            && (self.timer == 0 || at < self.timer)
        {
            self.timer = at;
            let _ = own::Client::new(self.traps, Handle::OWN).timer(at);
        }
    }

    /// Forgets all that a client has.
    pub(crate) fn end_session(&mut self, number: u16) {
        let Some(client) = self.clients.get_mut(usize::from(number)) else { return };
        client.session = None;
        Session::none(&client.wire);
        let now = self.host.now();
        self.listeners.forget(number);
        self.bindings.forget(number, &mut self.stack.sockets);
        self.abandon(now, |owner| owner.client == number);
    }
}

impl<T: Traps, H: Host> Serve for Net<T, H> {
    fn bits(&mut self, bits: u64) {
        if bits & BIT_TIMER != 0 {
            self.timer = 0;
            if self.reopen != 0 && self.reopen <= self.host.now() {
                self.open_device();
            }
        }
        self.turn(self.device.rang(bits));
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        socket::dispatch(self, call)
    }

    fn closed(&mut self, client: Badge) {
        self.end_session(client.client());
    }
}

impl<T: Traps, H: Host> socket::Server for Net<T, H> {
    fn open(&mut self, from: Badge) -> Result<u32, Error> {
        self.end_session(from.client());
        self.sessions = self.sessions.wrapping_add(1).max(1);
        let client = self.clients.get_mut(usize::from(from.client())).ok_or(Error::Broken)?;
        let session = Session::open(client.wire, self.sessions).map_err(|_| Error::Broken)?;
        client.session = Some(session);
        Ok(self.sessions)
    }

    fn address(&mut self, _: Badge) -> Result<(u32, u8, u32), Error> {
        let address = self.stack.address().ok_or(Error::NotReady)?;
        let gateway = self.stack.gateway().map_or(0, u32::from);
        Ok((u32::from(address.address()), address.prefix_len(), gateway))
    }
}

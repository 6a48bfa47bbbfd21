//! Between clients and xenstored: whose turn it is, whose reply it is.
//!
//! Invariant: a reply reaches the session that asked, or nobody; what xenstored made for a session that is gone (a watch, a
//! transaction) is undone. Clients take turns; this server's own requests go first.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt::Arguments;

use abi::kernel::control::Shutdown;
use abi::{Badge, Handle, Traps};
use ipc::Wire;
use ipc::xenstore::Failure;
use xen::store::{Connection, Operation};

use crate::client::failed;
use crate::control::{self, Control, Outcome};
use crate::grant::Grant;
use crate::link::{Incoming, Link, Sent};
use crate::request::{Purpose, Request, end, parse_token, unwatch};
use crate::session::Session;

/// Most messages of xenstored in a turn.
const MESSAGES: usize = 64;

/// What lies outside: the supervisor and the log.
pub trait Domain {
    /// Makes `domain` the peer of a client's ports and windows; says whether that was done.
    fn peer(&mut self, client: u16, domain: u16) -> bool;
    /// Ends the domain.
    fn shutdown(&mut self, reason: Shutdown);
    /// Sets this server's timer to now: there is more to do, but others first.
    fn again(&mut self);
    /// A line for the log.
    fn log(&mut self, line: Arguments<'_>);
}

/// The server's state.
#[derive(Debug)]
pub struct Broker<T, D> {
    pub(crate) traps: T,
    /// The port to xenstored.
    port: Handle,
    pub(crate) link: Link,
    /// By client number.
    pub(crate) sessions: Vec<Option<Session>>,
    /// Whose turn it is.
    next: usize,
    control: Control,
    pub(crate) domain: D,
    pub(crate) serial: u32,
    is_told_broken: bool,
}

impl<T: Traps, D: Domain> Broker<T, D> {
    /// A broker for clients with these wires and grants, by number; `connection` is `None` where there is no XenStore.
    pub fn new(
        traps: T,
        port: Handle,
        connection: Option<Connection>,
        clients: Vec<Option<(Wire, Grant)>>,
        domain: D,
    ) -> Self {
        let session = |(wire, grant)| Session::new(wire, grant);
        let mut link = Link::new(connection.map(Box::new));
        if !link.is_broken() {
            link.own.extend(Control::start());
        }
        Self {
            traps,
            port,
            link,
            sessions: clients.into_iter().map(|client| client.map(session)).collect(),
            next: 0,
            control: Control::default(),
            domain,
            serial: 0,
            is_told_broken: false,
        }
    }

    /// One turn: takes what came in, sends what waits. If more came than a turn takes, the timer brings another.
    pub fn turn(&mut self) {
        let mut left = MESSAGES;
        while left > 0
            && let Some(incoming) = self.link.receive()
        {
            left -= 1;
            self.take(incoming);
        }
        self.send();
        self.fail_lost();
        if self.link.take_ring() {
            self.traps.notify(self.port);
        }
        if left == 0 {
            self.domain.again();
        }
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Event { token, .. } if token == control::TOKEN => {
                let first = self.control.fired();
                self.link.own.extend(first);
            }
            Incoming::Event { path, token } => self.fired(&path, &token),
            Incoming::Reply(Purpose::Control(step), result) => {
                let outcome = self.control.reply(step, result.as_deref().map_err(|error| *error));
                self.take_outcome(outcome);
            }
            Incoming::Reply(Purpose::Client { client, session, number, what }, result) => {
                self.reply(client, session, number, what, result);
            }
            Incoming::Reply(Purpose::Nobody, _) => {}
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ask(request) => self.link.own.push_back(request),
            Outcome::Idle => {}
            Outcome::Wish(wish) => match control::meaning(&wish) {
                Some(reason) => self.domain.shutdown(reason),
                None => {
                    let wish = alloc::string::String::from_utf8_lossy(&wish);
                    self.domain
                        .log(format_args!("domain 0 wants `{wish}`, which is not known here"));
                }
            },
        }
        let again = self.control.again();
        self.link.own.extend(again);
    }

    fn fired(&mut self, path: &[u8], token: &[u8]) {
        let Some((client, serial)) = parse_token(token) else { return };
        if let Some(session) = self.session(client)
            && session.fired(serial, path)
        {
            self.ring(client);
        }
    }

    /// Sends what waits, each client in turn, as far as the connection takes it.
    fn send(&mut self) {
        if !self.link.send_own() {
            return;
        }
        let count = self.sessions.len();
        let mut idle = 0;
        while idle < count {
            match self.send_next(self.next) {
                Some(true) => idle = 0,
                Some(false) => idle += 1,
                None => return,
            }
            self.next = (self.next + 1) % count;
        }
    }

    /// Sends the next request of a client, if there is one; `None` if the connection does not take it now.
    fn send_next(&mut self, client: usize) -> Option<bool> {
        let Some(Some(session)) = self.sessions.get_mut(client) else { return Some(false) };
        let Some(request) = session.waiting.front() else { return Some(false) };
        let sent = self.link.send(request);
        if sent == Sent::NotNow {
            return None;
        }
        let request = session.waiting.pop_front()?;
        if sent == Sent::Never
            && let Purpose::Client { number, what, .. } = &request.purpose
        {
            failed(session, *number, what, Failure::Invalid);
            self.ring(client as u16);
        }
        Some(true)
    }

    /// When the connection broke: nobody's request will be answered any more.
    fn fail_lost(&mut self) {
        for purpose in self.link.take_lost() {
            if let Purpose::Client { client, session, number, what } = purpose
                && let Some(session) = self.session(client).filter(|s| s.id == session)
            {
                failed(session, number, &what, Failure::Other);
                self.ring(client);
            }
        }
        if self.link.is_broken() && !core::mem::replace(&mut self.is_told_broken, true) {
            self.domain.log(format_args!("there is no connection to XenStore"));
        }
    }

    /// Ends a client's session and begins a new one for the same.
    pub(crate) fn begin_session(&mut self, badge: Badge) {
        self.serial = self.serial.wrapping_add(1);
        let (client, id) = (badge.client(), self.serial);
        let Some(session) = self.session(client) else { return };
        session.id = id;
        session.badge = badge;
        let waiting = core::mem::take(&mut session.waiting);
        session.answers.clear();
        session.grant.forget_backends();
        (session.open, session.beginning) = (0, 0);
        let watches = core::mem::take(&mut session.watches);
        let transactions = core::mem::take(&mut session.transactions);
        let own = &mut self.link.own;
        own.extend(waiting.into_iter().filter_map(undoing));
        let made = watches.iter().filter(|watch| watch.is_made);
        own.extend(made.map(|w| unwatch(client, &w.path, w.serial, Purpose::Nobody)));
        own.extend(transactions.iter().map(|&number| end(number, false, Purpose::Nobody)));
    }

    pub(crate) fn session(&mut self, client: u16) -> Option<&mut Session> {
        self.sessions.get_mut(usize::from(client))?.as_mut()
    }

    /// Rings a client: there is something to collect.
    pub(crate) fn ring(&mut self, client: u16) {
        if let Some(Some(session)) = self.sessions.get(usize::from(client)) {
            session.wire.ring(&self.traps);
        }
    }
}

/// What a request that was not sent would have undone is undone all the same: a watch ends, a transaction is abandoned.
fn undoing(request: Request) -> Option<Request> {
    let purpose = Purpose::Nobody;
    match request.operation {
        Operation::Unwatch => Some(Request { purpose, ..request }),
        Operation::End => Some(end(request.transaction, false, purpose)),
        _ => None,
    }
}

//! [`Drive`]: the disk and its client's session, and the requests on their way between the two.
//!
//! Invariant: a request is taken from the client only when the ring has room for it, so at most a ring's worth is ever open.
//! Each turn does at most that much and says whether there is more; before it says that there is not, whoever can bring
//! more was asked to ring. A ring that is broken is not looked at again.

use alloc::string::ToString;
use alloc::vec::Vec;

use front::{Driver, Node, Offer, Span, Texts, Turn};
use ipc::Wire;
use ipc::block::{Error, FAILED, OK, UNSUPPORTED};
use xen::Broken;
use xen::blkif::{Disk, Done, Front, Outcome, PROTOCOL, REQUESTS, State};
use xen::xenbus::Class;

use crate::Pool;
use crate::judge::judge;
use crate::session::Session;

/// The disk and its client.
#[derive(Debug)]
pub struct Drive {
    wire: Wire,
    pool: Pool,
    /// The window's first reference.
    reference: u32,
    ring: Option<Front>,
    /// What a ring that is gone left undone.
    undone: Option<State>,
    disk: Option<Disk>,
    is_present: bool,
    is_online: bool,
    /// Something changed that the client wants to know.
    has_changed: bool,
    /// The client waits until the backend is done with its old session.
    is_awaited: bool,
    session: Option<Session>,
}

impl Drive {
    /// A device that is not connected, without a session.
    #[must_use]
    pub const fn new(wire: Wire, pool: Pool) -> Self {
        Self {
            wire,
            pool,
            reference: 0,
            ring: None,
            undone: None,
            disk: None,
            is_present: false,
            is_online: false,
            has_changed: false,
            is_awaited: false,
            session: None,
        }
    }

    /// Begins a session of the client; gives the disk.
    ///
    /// # Errors
    /// There is no device, it is not connected, or the backend still does requests of the session before.
    pub fn open(&mut self) -> Result<Disk, Error> {
        self.close();
        if !self.is_present {
            return Err(Error::NoDevice);
        }
        let disk = self.disk.filter(|_| self.is_online).ok_or(Error::NotReady)?;
        if self.in_flight() > 0 {
            self.is_awaited = true;
            return Err(Error::NotReady);
        }
        match Session::open(&self.wire) {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                rt::log!("the client's queue is of no use: {error:?}");
                return Err(Error::NotReady);
            }
        }
        Ok(disk)
    }

    /// Ends the session. Requests that the backend has are answered to nobody.
    pub fn close(&mut self) {
        self.session = None;
        self.undone = None;
        self.is_awaited = false;
    }

    /// Moves requests to the backend and answers to the client.
    pub fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        let collected = self.collect();
        turn.has_more |= self.submit();
        if let Some(ring) = self.ring.as_mut().filter(|_| self.is_online) {
            turn.ring_backend = ring.publish();
        }
        match collected.and_then(|()| self.arm_ring()) {
            Ok(has_more) => turn.has_more |= has_more,
            Err(Broken) => {
                turn.is_broken = true;
                self.give_up();
            }
        }
        turn.has_more |= self.settle_session();
        turn.ring_client |= self.session.as_mut().is_some_and(Session::publish);
        turn.ring_client |= core::mem::take(&mut self.has_changed);
        turn
    }

    /// Takes what the backend has done, which is at most what it was asked.
    fn collect(&mut self) -> Result<(), Broken> {
        let Some(ring) = self.ring.as_mut().filter(|_| self.is_online) else { return Ok(()) };
        for _ in 0..REQUESTS {
            let Some(done) = ring.complete()? else { break };
            if let Some(session) = &mut self.session {
                session.answer(done.transfer.tag, status(&done));
            }
        }
        if self.is_awaited && ring.in_flight() == 0 {
            self.is_awaited = false;
            self.has_changed = true;
        }
        Ok(())
    }

    /// Takes what the client asks, as far as the ring has room. Says whether there is more that can be done now.
    fn submit(&mut self) -> bool {
        let Some(session) = &mut self.session else { return false };
        if session.is_lost() {
            return session.fail();
        }
        let (Some(ring), Some(disk), true) = (&mut self.ring, &self.disk, self.is_online) else {
            return false;
        };
        for _ in 0..ipc::block::ENTRIES {
            if ring.free() == 0 {
                return false;
            }
            let Some(request) = session.take() else { return false };
            match judge(&request, disk, self.reference) {
                Ok(transfer) if ring.submit(transfer).is_ok() => {}
                Ok(_) => session.answer(request.id, FAILED),
                Err(status) => session.answer(request.id, status),
            }
        }
        true
    }

    fn arm_ring(&mut self) -> Result<bool, Broken> {
        match self.ring.as_mut().filter(|_| self.is_online) {
            Some(ring) => ring.arm(),
            None => Ok(false),
        }
    }

    /// Arms the client's queue if its requests can be taken; a session whose queue is broken ends. Says whether there is
    /// more.
    fn settle_session(&mut self) -> bool {
        let has_room = self.is_online && self.ring.as_ref().is_some_and(|ring| ring.free() > 0);
        let Some(session) = &mut self.session else { return false };
        let has_more = (has_room || session.is_lost()) && session.arm();
        if let Some(fault) = session.fault() {
            rt::log!("the client's queue is of no use: {fault:?}");
            self.close();
            self.has_changed = true;
        }
        has_more && self.session.is_some()
    }

    fn in_flight(&self) -> u32 {
        self.ring.as_ref().map_or(0, Front::in_flight)
    }

    /// What is open fails, and whatever the session asks from now on.
    fn give_up(&mut self) {
        self.is_online = false;
        self.undone = None;
        self.ring = None;
        if let Some(session) = &mut self.session {
            session.lose();
        }
    }

    /// A ring, with what the one before left undone.
    fn make_ring(&mut self, reference: u32) -> Front {
        let page = self.pool.ring();
        let undone = self.undone.take().filter(|_| self.session.is_some());
        match undone.map(|state| Front::reconnect(page, state)) {
            Some(Ok(ring)) if reference == self.reference => ring,
            Some(_) => {
                self.give_up();
                Front::create(page)
            }
            None => Front::create(page),
        }
    }

    fn describe(&mut self, facts: &Texts) -> bool {
        let text = |at: usize| facts.get(at).and_then(Option::as_deref);
        let Some(sectors) = text(0) else { return false };
        let disk = Disk::parse(sectors, text(1), text(2), text(3));
        self.has_changed |= disk != self.disk;
        self.disk = disk;
        disk.is_some()
    }
}

/// What the client is told of a request that is done.
const fn status(done: &Done) -> u32 {
    match done.outcome {
        Outcome::Okay => OK,
        Outcome::Failed => FAILED,
        Outcome::Unsupported => UNSUPPORTED,
    }
}

impl Driver for Drive {
    const CLASS: Class = Class::Block;
    const FEATURES: &'static [Node] = &[];
    const FACTS: &'static [Node] = &[
        Node::Backend("sectors"),
        Node::Backend("sector-size"),
        Node::Backend("info"),
        Node::Backend("feature-flush-cache"),
    ];

    fn spans(&self) -> Vec<Span> {
        self.pool.spans()
    }

    fn offer(&mut self, reference: u32, port: u32, _: &Texts) -> Option<Offer> {
        self.ring = Some(self.make_ring(reference));
        self.reference = reference;
        Some(alloc::vec![
            ("ring-ref", (reference + Pool::RING).to_string()),
            ("event-channel", port.to_string()),
            ("protocol", PROTOCOL.to_string()),
        ])
    }

    fn online(&mut self, facts: &Texts) -> bool {
        if !self.describe(facts) {
            return false;
        }
        self.is_online = self.ring.is_some();
        self.has_changed = true;
        true
    }

    fn refresh(&mut self, facts: &Texts) -> bool {
        self.describe(facts)
    }

    fn offline(&mut self) {
        self.is_online = false;
    }

    fn release(&mut self) {
        self.is_online = false;
        self.undone = self.ring.take().map(|ring| ring.state()).or(self.undone);
    }

    fn abandon(&mut self) {
        self.give_up();
    }

    fn present(&mut self, is_present: bool) {
        self.has_changed |= self.is_present != is_present;
        self.is_present = is_present;
    }
}

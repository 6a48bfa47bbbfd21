//! [`Card`]: the network device and its client's session, and the buffers on their way between the two.
//!
//! Invariant: each turn does at most a ring's worth of each kind of work and says whether there is more; before it says that
//! there is not, every ring and the queue were asked to ring. A ring that is broken is not looked at again.

use alloc::vec::Vec;

use front::{Driver, Node, Offer, Span, Texts, Turn};
use ipc::Wire;
use ipc::nic::TRANSMIT_LATE;
use xen::netif;
use xen::xenbus::Class;
use xen::{Broken, number};

use crate::Pool;
use crate::rings::Rings;
use crate::session::Session;

/// Packets and sent buffers that are handled in one turn, of each.
const TURN: u32 = 256;

/// The device and its client.
#[derive(Debug)]
pub struct Card {
    wire: Wire,
    pool: Pool,
    rings: Option<Rings>,
    is_online: bool,
    /// The link changed since the client was rung.
    has_changed: bool,
    mac: [u8; 6],
    mtu: u16,
    session: Option<Session>,
}

impl Card {
    /// A device that is not connected, without a session.
    #[must_use]
    pub const fn new(wire: Wire, pool: Pool) -> Self {
        Self {
            wire,
            pool,
            rings: None,
            is_online: false,
            has_changed: false,
            mac: [0; 6],
            mtu: 0,
            session: None,
        }
    }

    /// Whether the backend is connected.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.is_online
    }

    /// Begins a session of the client; gives the MAC address and the MTU, or `None` while there is no link.
    pub fn open(&mut self) -> Option<(u64, u32)> {
        self.close();
        if !self.is_online {
            return None;
        }
        match Session::open(&self.wire) {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                rt::log!("the client's queue is of no use: {error:?}");
                return None;
            }
        }
        let mac = self.mac.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        Some((mac, u32::from(self.mtu)))
    }

    /// Ends the session. What the backend has of it comes back to nobody.
    pub fn close(&mut self) {
        self.session = None;
    }

    /// Moves buffers between the client and the backend.
    pub fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        let back = self.collect();
        if let Some(session) = &mut self.session {
            turn.has_more |= session.submitted(self.rings.as_mut().filter(|_| self.is_online));
        }
        if let Some(rings) = self.rings.as_mut().filter(|_| self.is_online) {
            turn.ring_backend = rings.publish();
        }
        match back.and_then(|has_more| Ok(self.arm_rings()? || has_more)) {
            Ok(has_more) => turn.has_more |= has_more,
            Err(Broken) => {
                turn.is_broken = true;
                self.down();
            }
        }
        turn.has_more |= self.settle_session();
        turn.ring_client |= self.session.as_mut().is_some_and(Session::publish);
        turn.ring_client |= core::mem::take(&mut self.has_changed);
        turn
    }

    /// Takes what the backend is done with. Says whether there may be more.
    fn collect(&mut self) -> Result<bool, Broken> {
        let Some(rings) = self.rings.as_mut().filter(|_| self.is_online) else { return Ok(false) };
        let packets = collect_packets(rings, &mut self.session)?;
        let buffers = collect_sent(rings, &mut self.session)?;
        Ok(packets == TURN || buffers == TURN)
    }

    fn arm_rings(&mut self) -> Result<bool, Broken> {
        // That a buffer was sent is nobody's hurry, unless another frame waits for it.
        let is_holding = self.session.as_ref().is_some_and(Session::is_holding);
        let sent = if is_holding { 1 } else { TRANSMIT_LATE };
        match self.rings.as_mut().filter(|_| self.is_online) {
            Some(rings) => rings.arm(sent),
            None => Ok(false),
        }
    }

    /// Shows the client its answers and arms its queue; a session whose queue is broken ends. Says whether there is more.
    fn settle_session(&mut self) -> bool {
        let Some(session) = &mut self.session else { return false };
        let has_more = session.arm();
        if let Some(fault) = session.fault() {
            rt::log!("the client's queue is of no use: {fault:?}");
            self.close();
            self.has_changed = true;
        }
        has_more && self.session.is_some()
    }

    /// The rings may not be used any more.
    fn down(&mut self) {
        if core::mem::take(&mut self.is_online) {
            self.has_changed = true;
            if let Some(session) = &mut self.session {
                session.disconnected();
            }
        }
    }

    fn describe(&mut self, facts: &Texts) -> bool {
        let text = |at: usize| facts.get(at).and_then(Option::as_deref);
        let Some(mac) = text(0).or(text(1)).and_then(number::mac) else { return false };
        let mtu = netif::mtu(text(2));
        self.has_changed |= (mac, mtu) != (self.mac, self.mtu);
        (self.mac, self.mtu) = (mac, mtu);
        true
    }
}

/// Takes packets, at most a turn's worth; says how many.
fn collect_packets(rings: &mut Rings, session: &mut Option<Session>) -> Result<u32, Broken> {
    for count in 0..TURN {
        let Some(packet) = rings.take()? else { return Ok(count) };
        if let Some(session) = session {
            session.received(&packet);
        }
    }
    Ok(TURN)
}

/// Takes buffers that were sent, at most a turn's worth; says how many.
fn collect_sent(rings: &mut Rings, session: &mut Option<Session>) -> Result<u32, Broken> {
    for count in 0..TURN {
        let Some(sent) = rings.sent()? else { return Ok(count) };
        if let Some(session) = session {
            session.sent(sent, Some(rings));
        }
    }
    Ok(TURN)
}

impl Driver for Card {
    const CLASS: Class = Class::Network;
    const FEATURES: &'static [Node] = &[Node::Backend("feature-rx-copy")];
    const FACTS: &'static [Node] = &[Node::Own("mac"), Node::Backend("mac"), Node::Own("mtu")];

    fn spans(&self) -> Vec<Span> {
        self.pool.spans()
    }

    fn offer(&mut self, reference: u32, port: u32, features: &Texts) -> Option<Offer> {
        let rx_copy = features.first().and_then(Option::as_deref);
        if !netif::is_usable(rx_copy) {
            return None;
        }
        let rings = Rings::create(&self.pool, reference);
        let offer = rings.offer(port);
        self.rings = Some(rings);
        Some(offer)
    }

    fn online(&mut self, facts: &Texts) -> bool {
        if !self.describe(facts) {
            return false;
        }
        if let (Some(session), Some(rings)) = (&self.session, &mut self.rings) {
            session.connected(rings);
        }
        self.is_online = self.rings.is_some();
        self.has_changed = true;
        true
    }

    fn refresh(&mut self, facts: &Texts) -> bool {
        self.describe(facts)
    }

    fn offline(&mut self) {
        self.down();
    }

    fn release(&mut self) {
        self.down();
        self.rings = None;
    }

    fn abandon(&mut self) {
        self.down();
    }

    fn present(&mut self, _: bool) {}
}

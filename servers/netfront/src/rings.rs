//! [`Rings`]: the two rings with the backend, by the numbers of buffers.
//!
//! Invariant: a buffer is shown to the backend only while the backend has not got it.

use front::Offer;
use ipc::nic::{CHECKSUM_BLANK, Submit};
use xen::netif::{self, Packet, Receive, Sent, Transmit};
use xen::{Broken, Refused};

use alloc::string::ToString;

use crate::Pool;

/// The rings with the backend.
#[derive(Debug)]
pub(crate) struct Rings {
    transmit: Transmit,
    receive: Receive,
    /// The window's first reference.
    reference: u32,
}

/// What became of a buffer that is to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// The backend gets it.
    Queued,
    /// The backend still has the buffer from before.
    Held,
    /// It cannot be sent.
    Refused,
}

impl Rings {
    /// New rings in the pool's pages.
    pub fn create(pool: &Pool, reference: u32) -> Self {
        Self {
            transmit: Transmit::create(pool.ring(0)),
            receive: Receive::create(pool.ring(1)),
            reference,
        }
    }

    /// What the backend must be told.
    pub fn offer(&self, port: u32) -> Offer {
        let ring = |number| (self.reference + Pool::ring_reference(number)).to_string();
        let mut offer = alloc::vec![
            ("tx-ring-ref", ring(0)),
            ("rx-ring-ref", ring(1)),
            ("event-channel", port.to_string()),
        ];
        offer.extend(netif::OFFERED.map(|(name, text)| (name, text.to_string())));
        offer
    }

    /// Queues a frame.
    pub fn send(&mut self, submit: Submit) -> Fate {
        if self.transmit.with_backend().has(submit.buffer) {
            return Fate::Held;
        }
        let (reference, offset) = Pool::transmit(submit.buffer);
        let grant = self.reference + reference;
        let is_blank = submit.flags & CHECKSUM_BLANK != 0;
        match self.transmit.send(submit.buffer, grant, offset, submit.length, is_blank) {
            Ok(()) => Fate::Queued,
            Err(_) => Fate::Refused,
        }
    }

    /// Queues a page to be filled; one that the backend has already stays there.
    pub fn post(&mut self, buffer: u16) {
        let posted = self.receive.post(buffer, self.reference + Pool::receive(buffer));
        // There are as many entries as buffers, and no buffer is there twice.
        debug_assert_ne!(posted, Err(Refused::Full));
    }

    /// The next packet.
    pub fn take(&mut self) -> Result<Option<Packet>, Broken> {
        self.receive.take()
    }

    /// The next buffer that was sent.
    pub fn sent(&mut self) -> Result<Option<Sent>, Broken> {
        self.transmit.complete()
    }

    /// Shows the backend what was queued. Says whether to ring it.
    #[must_use = "the backend sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        let for_sending = self.transmit.publish();
        self.receive.publish() || for_sending
    }

    /// Asks to be rung when a packet comes, or when `sent` buffers were sent. Says whether that is so already.
    pub fn arm(&mut self, sent: u16) -> Result<bool, Broken> {
        let was_sent = self.transmit.arm_after(sent)?;
        Ok(self.receive.arm()? || was_sent)
    }
}

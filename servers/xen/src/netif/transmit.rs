//! Sending: packets of one piece each, from buffers that the backend may read at any time.
//!
//! Invariant: a buffer is with the backend from `send` until its response, and each buffer at most once; a response
//! for a buffer that is not there breaks the device. A buffer's number is its request's id.

use shared::Memory;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{DROPPED, LEAST, OKAY, PAGE, TX_CSUM_BLANK, TX_DATA_VALIDATED, TxRequest, TxResponse};
use crate::{Broken, Marks, Refused, ring};

/// What the sending side is resumed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TransmitState {
    /// Indices of the ring.
    pub ring: ring::State,
    /// The buffers that the backend has.
    pub with_backend: Marks,
    /// The buffer of each of the last requests, by the lower bits of the request's position.
    pub order: [u16; 256],
}

/// A buffer that came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Its number.
    pub buffer: u16,
    /// Whether the backend took the packet.
    pub is_sent: bool,
}

/// The sending side of a network device.
#[derive(Debug)]
pub struct Transmit {
    ring: ring::Front<TxRequest, TxResponse>,
    with_backend: Marks,
    order: [u16; 256],
    /// Buffers whose request the backend never saw.
    lost: Marks,
}

impl Transmit {
    /// A new ring in `page`, which is written over.
    #[must_use]
    pub fn create(page: Memory) -> Self {
        Self {
            ring: ring::Front::create(page),
            with_backend: Marks::default(),
            order: [0; 256],
            lost: Marks::default(),
        }
    }

    /// Goes on from `state`. Packets that were queued but never shown to the backend come back from
    /// [`Self::complete`] as not sent.
    ///
    /// # Errors
    /// When the state contradicts itself.
    pub fn resume(page: Memory, state: TransmitState) -> Result<Self, Broken> {
        let TransmitState { mut ring, mut with_backend, order } = state;
        let in_flight = ring.req_prod.wrapping_sub(ring.rsp_cons);
        if with_backend.count().wrapping_add(1) == in_flight {
            // Died after the last response was taken, before that was noted.
            ring.rsp_cons = ring.rsp_cons.wrapping_add(1);
        } else if with_backend.count() < in_flight {
            return Err(Broken);
        }
        let unseen = with_backend.count().saturating_sub(in_flight);
        let mut lost = Marks::default();
        for position in (0..unseen).map(|ahead| ring.req_prod.wrapping_add(ahead)) {
            let buffer = order.get(position as usize % 256).copied().unwrap_or_default();
            if !with_backend.remove(buffer) || !lost.add(buffer) {
                return Err(Broken);
            }
        }
        let ring = ring::Front::resume(page, ring);
        if ring.is_broken() { Err(Broken) } else { Ok(Self { ring, with_backend, order, lost }) }
    }

    /// What to resume from.
    #[must_use]
    pub const fn state(&self) -> TransmitState {
        TransmitState {
            ring: self.ring.state(),
            with_backend: self.with_backend,
            order: self.order,
        }
    }

    /// How many packets can be sent now.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.ring.free()
    }

    /// Queues the packet of `len` bytes at `offset` of the page with this grant; the backend sees it after
    /// [`Self::publish`]. With `is_blank` its checksum is left to the backend.
    ///
    /// # Errors
    /// [`Refused::Invalid`] when the buffer is with the backend already, or the bytes are too few, or not in the page.
    pub fn send(
        &mut self,
        buffer: u16,
        grant: u32,
        offset: u16,
        len: u16,
        is_blank: bool,
    ) -> Result<(), Refused> {
        let is_inside = u32::from(offset) + u32::from(len) <= PAGE;
        if len < LEAST || !is_inside || buffer >= Marks::SIZE || self.is_out(buffer) {
            return Err(Refused::Invalid);
        }
        let flags = if is_blank { TX_CSUM_BLANK | TX_DATA_VALIDATED } else { 0 };
        let position = self.ring.position();
        self.ring.push(&TxRequest { grant, offset, flags, id: buffer, size: len })?;
        if let Some(entry) = self.order.get_mut(position as usize % 256) {
            *entry = buffer;
        }
        self.with_backend.add(buffer);
        Ok(())
    }

    /// Shows the backend what was queued. Says whether to ring it.
    #[must_use = "the backend sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    /// The next buffer that came back, if one did.
    ///
    /// # Errors
    /// When the response is not to one of our requests.
    pub fn complete(&mut self) -> Result<Option<Sent>, Broken> {
        if let Some(buffer) = self.lost.iter().next() {
            self.lost.remove(buffer);
            return Ok(Some(Sent { buffer, is_sent: false }));
        }
        let Some(response) = self.ring.peek()? else { return Ok(None) };
        let is_known = (i16::MIN..=OKAY).contains(&response.status);
        if !is_known || !self.with_backend.remove(response.id) {
            return Err(self.ring.break_down());
        }
        self.ring.advance(1);
        Ok(Some(Sent { buffer: response.id, is_sent: response.status == OKAY }))
    }

    /// Asks to be rung when `count` buffers have come back, from now on. Says whether they did already: then nobody rings.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn arm_after(&mut self, count: u16) -> Result<bool, Broken> {
        self.ring.arm_after(u32::from(count))
    }

    fn is_out(&self, buffer: u16) -> bool {
        self.with_backend.has(buffer) || self.lost.has(buffer)
    }

    /// The buffers that the backend has: when the device is closed, these come back unsent.
    #[must_use]
    pub const fn with_backend(&self) -> &Marks {
        &self.with_backend
    }
}

const _: () =
    assert!(DROPPED < OKAY && size_of::<TxRequest>() == 12 && size_of::<TxResponse>() == 4);

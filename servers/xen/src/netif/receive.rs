//! Receiving: pages that the backend fills, packets of one or more pieces.
//!
//! Invariant: responses come in the order of the requests, each for the page that was posted in its entry; a packet is
//! taken whole or not at all, and its chain is bounded. A page is with the backend from `post` until the packet that
//! uses it is taken. What lies in a page is not looked at here.

use heapless::Vec;
use shared::Memory;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{
    EXTRA_KINDS, EXTRA_MORE, LEAST, PAGE, RX_CSUM_BLANK, RX_DATA_VALIDATED, RX_EXTRA, RX_MORE,
    RxRequest, RxResponse,
};
use crate::{Broken, Marks, Refused, ring};

/// The most entries of one packet: 18 pieces are the most that a backend needs for 65,535 bytes
/// (`XEN_NETIF_NR_SLOTS_MIN`), one more for a short first one, and extra information of each kind.
pub const PIECES: usize = 19 + EXTRA_KINDS as usize;

/// What the receiving side is resumed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ReceiveState {
    /// Indices of the ring.
    pub ring: ring::State,
    /// The page posted in each entry, by the lower bits of its position.
    pub posted: [u16; 256],
}

/// A page that came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its number.
    pub buffer: u16,
    /// Where in the page the bytes begin.
    pub offset: u16,
    /// How many there are; 0 when the page came back unused.
    pub len: u16,
}

/// A packet that was received, or pages that came back in place of one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packet {
    /// The pages, in the order of the bytes. Those without bytes are to be given back all the same.
    pub pieces: Vec<Piece, PIECES>,
    /// Whether there is a packet; if not, no piece has bytes.
    pub is_good: bool,
    /// The transport checksum was checked, or is blank.
    pub is_checked: bool,
    /// The transport checksum is blank: the packet comes from a domain of the same host and crossed no wire.
    pub is_blank: bool,
}

/// The receiving side of a network device.
#[derive(Debug)]
pub struct Receive {
    ring: ring::Front<RxRequest, RxResponse>,
    posted: [u16; 256],
    with_backend: Marks,
}

impl Receive {
    /// A new ring in `page`, which is written over.
    #[must_use]
    pub fn create(page: Memory) -> Self {
        let ring = ring::Front::create(page);
        Self { ring, posted: [0; 256], with_backend: Marks::default() }
    }

    /// Goes on from `state`. Pages that were posted but never shown to the backend are not with it.
    ///
    /// # Errors
    /// When the state contradicts itself.
    pub fn resume(page: Memory, state: ReceiveState) -> Result<Self, Broken> {
        let ring = ring::Front::resume(page, state.ring);
        if ring.is_broken() {
            return Err(Broken);
        }
        let mut front = Self { ring, posted: state.posted, with_backend: Marks::default() };
        let in_flight = state.ring.req_prod.wrapping_sub(state.ring.rsp_cons);
        for position in (0..in_flight).map(|ahead| state.ring.rsp_cons.wrapping_add(ahead)) {
            if !front.with_backend.add(front.posted_at(position)) {
                return Err(Broken);
            }
        }
        Ok(front)
    }

    /// What to resume from.
    #[must_use]
    pub const fn state(&self) -> ReceiveState {
        ReceiveState { ring: self.ring.state(), posted: self.posted }
    }

    /// How many pages can be posted now.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.ring.free()
    }

    /// Gives the page with this grant to the backend to fill; it sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Refused::Invalid`] when it is with the backend already, or there is no such number.
    pub fn post(&mut self, buffer: u16, grant: u32) -> Result<(), Refused> {
        if buffer >= Marks::SIZE || self.with_backend.has(buffer) {
            return Err(Refused::Invalid);
        }
        let position = self.ring.position();
        self.ring.push(&RxRequest { id: buffer, pad: 0, grant })?;
        if let Some(entry) = self.posted.get_mut(position as usize % 256) {
            *entry = buffer;
        }
        self.with_backend.add(buffer);
        Ok(())
    }

    /// Shows the backend what was posted. Says whether to ring it.
    #[must_use = "the backend sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    /// Takes the next packet, if all of it is there.
    ///
    /// # Errors
    /// When a response does not fit its request, is not inside its page, or the chain is too long.
    pub fn take(&mut self) -> Result<Option<Packet>, Broken> {
        if self.ring.is_broken() {
            return Err(Broken);
        }
        loop {
            let packet = self.gather().map_err(|_| self.ring.break_down())?;
            if let Some(packet) = packet {
                return Ok(Some(self.hand_over(packet)));
            }
            let seen = self.ring.seen();
            if self.ring.waiting()? == seen {
                return Ok(None);
            }
        }
    }

    /// Asks to be rung at the next response, those of an unfinished packet not counted. Says whether it came already:
    /// then nobody rings.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn arm(&mut self) -> Result<bool, Broken> {
        self.ring.arm()
    }

    /// The pages that the backend has: when the device is closed, these come back unused.
    #[must_use]
    pub const fn with_backend(&self) -> &Marks {
        &self.with_backend
    }

    /// The packet that begins at the next response, if all its responses were seen. Changes nothing.
    fn gather(&self) -> Result<Option<Packet>, Broken> {
        let mut chain = Chain::default();
        for ahead in 0.. {
            let Some(response) = self.ring.peek_at(ahead) else { break };
            let position = self.ring.state().rsp_cons.wrapping_add(ahead);
            if chain.add(response, self.posted_at(position))? {
                return Ok(Some(chain.finish()));
            }
        }
        Ok(None)
    }

    /// The pages of `packet` are not with the backend any more.
    fn hand_over(&mut self, packet: Packet) -> Packet {
        for piece in &packet.pieces {
            self.with_backend.remove(piece.buffer);
        }
        self.ring.advance(u32::try_from(packet.pieces.len()).unwrap_or(u32::MAX));
        packet
    }

    fn posted_at(&self, position: u32) -> u16 {
        self.posted.get(position as usize % 256).copied().unwrap_or_default()
    }
}

/// A packet in the making: what was seen of its responses.
#[derive(Default)]
struct Chain {
    packet: Packet,
    bytes: u32,
    has_failed: bool,
    /// The next response is extra information.
    expects_extra: bool,
    /// The last piece said that the packet goes on.
    has_more: bool,
}

impl Chain {
    /// Adds a response, whose page is `posted`. Says whether it was the last of the packet.
    fn add(&mut self, response: RxResponse, posted: u16) -> Result<bool, Broken> {
        let piece = if self.expects_extra {
            self.extra(response)?;
            Piece { buffer: posted, offset: 0, len: 0 }
        } else {
            self.piece(response, posted)?
        };
        self.packet.pieces.push(piece).map_err(|_| Broken)?;
        Ok(!self.expects_extra && !self.has_more)
    }

    fn piece(&mut self, response: RxResponse, posted: u16) -> Result<Piece, Broken> {
        let len = u16::try_from(response.status).unwrap_or(0);
        let is_inside = u32::from(response.offset) + u32::from(len) <= PAGE;
        if response.id != posted || !is_inside {
            return Err(Broken);
        }
        let is_first = self.packet.pieces.is_empty();
        if is_first {
            self.packet.is_blank = response.flags & RX_CSUM_BLANK != 0;
            self.packet.is_checked = response.flags & (RX_DATA_VALIDATED | RX_CSUM_BLANK) != 0;
            self.expects_extra = response.flags & RX_EXTRA != 0;
        }
        self.bytes += u32::from(len);
        self.has_more = response.flags & RX_MORE != 0;
        self.has_failed |= len == 0 || is_first && len < LEAST;
        Ok(Piece { buffer: posted, offset: response.offset, len })
    }

    /// Extra information is not offered: it is checked, and its packet is not used.
    fn extra(&mut self, response: RxResponse) -> Result<(), Broken> {
        let (kind, flags) = response.extra();
        if kind == 0 || kind > EXTRA_KINDS {
            return Err(Broken);
        }
        self.expects_extra = flags & EXTRA_MORE != 0;
        self.has_failed = true;
        Ok(())
    }

    fn finish(self) -> Packet {
        let mut packet = self.packet;
        packet.is_good = !self.has_failed && self.bytes <= u32::from(u16::MAX);
        if !packet.is_good {
            packet.pieces.iter_mut().for_each(|piece| piece.len = 0);
        }
        packet
    }
}

const _: () = assert!(size_of::<RxRequest>() == 8 && size_of::<RxResponse>() == 8);

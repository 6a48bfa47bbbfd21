//! Bytes of messages to and from the ring page, as many as fit at a time.
//!
//! Invariant: a message goes out whole and in order, and comes in whole, however few bytes the ring takes at once; the
//! own indices are kept privately; an index of xenstored that cannot be, or a message that is too long, is [`Broken`].
//! Never waits.

use shared::Memory;
use zerocopy::{FromBytes, IntoBytes};

use super::PAYLOAD;
use super::message::{HEADER, Header};
use crate::Broken;
use crate::console::pieces;

const SIZE: u32 = 1024;
const REQ: usize = 0;
const RSP: usize = 1024;
const REQ_CONS: usize = 2048;
const REQ_PROD: usize = 2052;
const RSP_CONS: usize = 2056;
const RSP_PROD: usize = 2060;

/// The most bytes of a message.
const MESSAGE: usize = HEADER + PAYLOAD;
/// Room for what waits to go out: one message of any size and some small ones.
const OUT: usize = 2 * MESSAGE;

/// What is left of a message of which the ring saw a part: what a server that starts anew must know to find where
/// messages begin. A message that fits the ring goes in and comes out whole, so this is 0 but for larger ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rest {
    /// Bytes that are still to come.
    pub incoming: u32,
    /// Bytes that xenstored still waits for.
    pub outgoing: u32,
}

/// The two directions of a ring page.
#[derive(Debug)]
pub(super) struct Transport {
    page: Memory,
    req_prod: u32,
    rsp_cons: u32,
    incoming: [u8; MESSAGE],
    /// Bytes of the present message that were taken.
    taken: usize,
    /// Bytes to be taken and dropped.
    skipped: usize,
    outgoing: [u8; OUT],
    /// Bytes in `outgoing`.
    waiting: usize,
    /// What is left of its first message, if a part of that is out; else 0.
    started: usize,
    /// Whether the ring was touched since the last call of `take_ring`.
    is_touched: bool,
}

impl Transport {
    /// Takes the ring as it is: its indices need not be zero. What is left of messages of a server that died is dropped
    /// on the way in, and made up with zeros on the way out.
    pub(super) fn open(page: Memory, rest: Rest) -> Result<Self, Broken> {
        let (skipped, started) = (rest.incoming as usize, rest.outgoing as usize);
        if skipped > PAYLOAD || started > PAYLOAD {
            return Err(Broken);
        }
        let transport = Self {
            page,
            req_prod: page.load_u32_acquire(REQ_PROD),
            rsp_cons: page.load_u32_acquire(RSP_CONS),
            incoming: [0; MESSAGE],
            taken: 0,
            skipped,
            outgoing: [0; OUT],
            waiting: started,
            started,
            is_touched: false,
        };
        transport.room()?;
        transport.available()?;
        Ok(transport)
    }

    pub(super) fn rest(&self) -> Rest {
        let incoming = match self.taken {
            0 => self.skipped,
            taken => HEADER + self.header().len as usize - taken,
        };
        Rest { incoming: incoming as u32, outgoing: self.started as u32 }
    }

    /// Whether xenstored is to be rung: bytes were written, or room was made that it may wait for.
    pub(super) fn take_ring(&mut self) -> bool {
        core::mem::take(&mut self.is_touched)
    }

    /// Whether a message with `len` bytes of payload can be queued.
    pub(super) const fn has_room(&self, len: usize) -> bool {
        self.waiting + HEADER + len <= OUT
    }

    /// Queues a message, if there is room, and writes what the ring takes.
    pub(super) fn send(&mut self, header: Header, parts: &[&[u8]]) -> Result<(), Broken> {
        debug_assert!(self.has_room(header.len as usize));
        self.queue(header.as_bytes());
        parts.iter().for_each(|part| self.queue(part));
        self.flush()
    }

    /// Writes as many messages as the ring takes; of a message larger than the ring, as many bytes.
    pub(super) fn flush(&mut self) -> Result<(), Broken> {
        while self.waiting > 0 {
            let room = self.room()?;
            let first = if self.started > 0 { self.started } else { self.first_message() };
            let has_part = self.started > 0 || first > SIZE as usize;
            if room == 0 || (first > room && !has_part) {
                break;
            }
            let len = first.min(room);
            self.put(len);
            self.started = first - len;
        }
        Ok(())
    }

    /// The next message's header, if all of the message is there; then its payload is in [`Self::payload`].
    pub(super) fn receive(&mut self) -> Result<Option<Header>, Broken> {
        let before = self.rsp_cons;
        let is_whole = self.gather();
        if self.rsp_cons != before {
            self.page.store_u32_release(RSP_CONS, self.rsp_cons);
            self.is_touched = true;
        }
        Ok(is_whole?.then(|| self.header()))
    }

    /// The payload of the message that [`Self::receive`] gave last.
    pub(super) fn payload(&self) -> &[u8] {
        let end = HEADER + self.header().len as usize;
        self.incoming.get(HEADER..end).unwrap_or_default()
    }

    /// Takes bytes until a message is whole. Says whether it is.
    fn gather(&mut self) -> Result<bool, Broken> {
        while self.skipped > 0 {
            let len = self.available()?.min(self.skipped);
            if len == 0 {
                return Ok(false);
            }
            self.rsp_cons = self.rsp_cons.wrapping_add(len as u32);
            self.skipped -= len;
        }
        if self.taken == 0 && !self.begin()? {
            return Ok(false);
        }
        let end = HEADER + self.header().len as usize;
        while self.taken < end {
            let len = self.available()?.min(end - self.taken);
            if len == 0 {
                return Ok(false);
            }
            self.take(len);
        }
        self.taken = 0;
        Ok(true)
    }

    /// Takes a header, if it is there, and the rest of the message with it unless that is larger than the ring.
    fn begin(&mut self) -> Result<bool, Broken> {
        let available = self.available()?;
        if available < HEADER {
            return Ok(false);
        }
        self.copy(HEADER);
        let end = (self.header().len as usize).saturating_add(HEADER);
        if end > MESSAGE {
            return Err(Broken);
        }
        if end > available && end <= SIZE as usize {
            return Ok(false);
        }
        self.skip(HEADER);
        Ok(true)
    }

    fn take(&mut self, len: usize) {
        self.copy(len);
        self.skip(len);
    }

    fn skip(&mut self, len: usize) {
        self.taken += len;
        self.rsp_cons = self.rsp_cons.wrapping_add(len as u32);
    }

    /// Copies the next `len` bytes of the ring behind those taken of the message.
    fn copy(&mut self, len: usize) {
        let (start, first) = pieces(self.rsp_cons, SIZE, len);
        let to = self.incoming.get_mut(self.taken..self.taken + len).unwrap_or_default();
        let (head, tail) = to.split_at_mut(first.min(to.len()));
        self.page.copy_from(RSP + start, head);
        self.page.copy_from(RSP, tail);
    }

    fn header(&self) -> Header {
        Header::read_from_prefix(&self.incoming).map(|(header, _)| header).unwrap_or_default()
    }

    /// Bytes of the first message that waits to go out.
    fn first_message(&self) -> usize {
        let header = Header::read_from_prefix(&self.outgoing).map(|(header, _)| header);
        HEADER + header.unwrap_or_default().len as usize
    }

    fn queue(&mut self, bytes: &[u8]) {
        let end = self.waiting + bytes.len();
        if let Some(room) = self.outgoing.get_mut(self.waiting..end) {
            room.copy_from_slice(bytes);
            self.waiting = end;
        }
    }

    /// Moves the first `len` bytes that wait into the ring, where there is room.
    fn put(&mut self, len: usize) {
        let len = len.min(self.waiting);
        let (start, first) = pieces(self.req_prod, SIZE, len);
        let (head, tail) = self.outgoing.get(..len).unwrap_or_default().split_at(first);
        self.page.copy_to(REQ + start, head);
        self.page.copy_to(REQ, tail);
        self.req_prod = self.req_prod.wrapping_add(len as u32);
        self.page.store_u32_release(REQ_PROD, self.req_prod);
        self.outgoing.copy_within(len..self.waiting, 0);
        self.waiting -= len;
        self.is_touched = true;
    }

    fn room(&self) -> Result<usize, Broken> {
        let used = self.req_prod.wrapping_sub(self.page.load_u32_acquire(REQ_CONS));
        Ok(SIZE.checked_sub(used).ok_or(Broken)? as usize)
    }

    fn available(&self) -> Result<usize, Broken> {
        let available = self.page.load_u32_acquire(RSP_PROD).wrapping_sub(self.rsp_cons);
        if available > SIZE { Err(Broken) } else { Ok(available as usize) }
    }
}

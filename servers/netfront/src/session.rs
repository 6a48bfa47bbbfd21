//! [`Session`]: the client's queue, and which buffers it has submitted.
//!
//! Invariant: a buffer is open from its submission to its one answer; a submission that makes no sense is answered at once,
//! with length 0. A queue that is broken is not used any more, and ends the session, not the driver.

use alloc::vec::Vec;

use ipc::Wire;
use ipc::nic::{
    CHECKSUM_BLANK, CHECKSUM_VALID, Complete, ENTRIES, MORE, QUEUE, RECEIVE, RECEIVE_BUFFERS,
    Submit, TRANSMIT, TRANSMIT_BUFFERS, TRANSMIT_BYTES,
};
use shared::queue::{Error, Server};
use xen::Marks;
use xen::netif::{LEAST, Packet, Sent};

use crate::rings::{Fate, Rings};

/// A session of the client.
#[derive(Debug)]
pub(crate) struct Session {
    queue: Server<Submit, Complete>,
    /// Buffers to be sent without an answer.
    transmit: Marks,
    /// Buffers to be filled without an answer.
    receive: Marks,
    /// Of the former, those that the backend still has from an earlier session.
    held: Vec<Submit>,
    /// Lengths of the buffers that are to be sent.
    lengths: [u16; TRANSMIT_BUFFERS as usize],
    /// Why the queue cannot be used any more.
    fault: Option<Error>,
}

impl Session {
    /// Begins one; what is left in the queue belongs to an earlier one, and is dropped.
    pub fn open(wire: &Wire) -> Result<Self, Error> {
        let mut queue = Server::open(QUEUE, wire.up, wire.down)?;
        for _ in 0..ENTRIES {
            if queue.take()?.is_none() {
                break;
            }
            queue.forget(1);
        }
        let _ = queue.publish();
        queue.arm()?;
        Ok(Self {
            queue,
            transmit: Marks::default(),
            receive: Marks::default(),
            held: Vec::new(),
            lengths: [0; TRANSMIT_BUFFERS as usize],
            fault: None,
        })
    }

    /// Why the session cannot go on.
    pub const fn fault(&self) -> Option<Error> {
        self.fault
    }

    /// Takes what the client submitted, at most a queue's worth. Says whether there may be more. Without rings, nothing can
    /// be sent, and what is to be filled waits.
    pub fn submitted(&mut self, mut rings: Option<&mut Rings>) -> bool {
        for _ in 0..ENTRIES {
            let taken = self.queue.take();
            let Some(submit) = self.note(taken).flatten() else { return false };
            match submit.kind {
                TRANSMIT if self.may_send(&submit) => self.send(submit, rings.as_deref_mut()),
                RECEIVE if self.may_fill(&submit) => {
                    if let Some(rings) = rings.as_deref_mut() {
                        rings.post(submit.buffer);
                    }
                }
                _ => self.refuse(submit),
            }
        }
        true
    }

    fn may_send(&mut self, submit: &Submit) -> bool {
        let lengths = LEAST..=TRANSMIT_BYTES as u16;
        submit.buffer < TRANSMIT_BUFFERS
            && lengths.contains(&submit.length)
            && self.transmit.add(submit.buffer)
    }

    fn may_fill(&mut self, submit: &Submit) -> bool {
        submit.buffer < RECEIVE_BUFFERS && self.receive.add(submit.buffer)
    }

    fn send(&mut self, submit: Submit, rings: Option<&mut Rings>) {
        if let Some(length) = self.lengths.get_mut(usize::from(submit.buffer)) {
            *length = submit.length;
        }
        match rings.map_or(Fate::Refused, |rings| rings.send(submit)) {
            Fate::Queued => {}
            Fate::Held => self.held.push(submit),
            Fate::Refused => self.sent(Sent { buffer: submit.buffer, is_sent: false }, None),
        }
    }

    /// Whether a frame waits for its buffer to come back from the backend, which has it of an earlier session.
    pub const fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// A buffer came back from the backend. If it was of an earlier session, and this one waits to use it, it goes out now.
    pub fn sent(&mut self, sent: Sent, rings: Option<&mut Rings>) {
        let held = self.held.iter().position(|submit| submit.buffer == sent.buffer);
        if let Some(at) = held {
            let submit = self.held.swap_remove(at);
            return self.send(submit, rings);
        }
        if self.transmit.remove(sent.buffer) {
            let length = self.lengths.get(usize::from(sent.buffer)).copied().unwrap_or_default();
            let length = if sent.is_sent { length } else { 0 };
            let buffer = sent.buffer;
            self.answer(Complete { kind: TRANSMIT, buffer, length, ..Complete::default() });
        }
    }

    /// A packet came. If one of its pages is not this session's, the others come back unused.
    pub fn received(&mut self, packet: &Packet) {
        let is_ours = packet.pieces.iter().all(|piece| self.receive.has(piece.buffer));
        let is_good = packet.is_good && is_ours;
        for (number, piece) in packet.pieces.iter().enumerate() {
            if !self.receive.remove(piece.buffer) {
                continue;
            }
            let is_last = number + 1 == packet.pieces.len();
            let mut complete =
                Complete { kind: RECEIVE, buffer: piece.buffer, ..Complete::default() };
            if is_good {
                complete.length = piece.len;
                complete.offset = piece.offset;
                complete.flags = flags(packet) | if is_last { 0 } else { MORE };
            }
            self.answer(complete);
        }
    }

    /// The backend has nothing any more: what was to be sent is lost.
    pub fn disconnected(&mut self) {
        self.held.clear();
        for buffer in self.transmit.iter() {
            self.sent(Sent { buffer, is_sent: false }, None);
        }
    }

    /// The backend is there: it gets the pages to be filled.
    pub fn connected(&self, rings: &mut Rings) {
        self.receive.iter().for_each(|buffer| rings.post(buffer));
    }

    fn refuse(&mut self, submit: Submit) {
        let Submit { kind, buffer, .. } = submit;
        self.answer(Complete { kind, buffer, ..Complete::default() });
    }

    fn answer(&mut self, complete: Complete) {
        let answered = self.queue.answer(&complete);
        self.note(answered);
    }

    /// Shows the client what was done. Says whether to ring it.
    #[must_use = "the client sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.queue.publish()
    }

    /// Asks to be rung at the next submission. Says whether there is one already.
    pub fn arm(&mut self) -> bool {
        let armed = self.queue.arm();
        self.note(armed).unwrap_or_default()
    }

    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        result.inspect_err(|error| self.fault = Some(*error)).ok()
    }
}

/// What the client is told of a packet's checksum.
fn flags(packet: &Packet) -> u16 {
    let blank = if packet.is_blank { CHECKSUM_BLANK } else { 0 };
    let valid = if packet.is_checked { CHECKSUM_VALID } else { 0 };
    blank | valid
}

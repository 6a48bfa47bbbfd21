//! [`Device`]: the network interface as the stack sees it: one frame in, one frame out, through the queue of `netfront`.
//!
//! Each byte is copied once each way here: from the wire's memory to a private frame, and back. The stack reads and writes
//! private frames only.
//!
//! Invariant: a buffer is submitted only while nobody else has it; an answer about a buffer that was not submitted breaks
//! the session, which is opened anew. Nothing that the queue says makes this panic.

use alloc::vec::Vec;

use abi::{CallError, Status, Traps};
use ipc::Wire;
use ipc::nic::{
    self, Complete, MORE, QUEUE, RECEIVE, RECEIVE_BUFFERS, RECEIVE_BYTES, Submit, TRANSMIT,
    TRANSMIT_BUFFERS, TRANSMIT_BYTES, TRANSMIT_LATE,
};
use shared::queue::{Client, Error};
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::echo::{Mender, Step};
use crate::frame::{self, ETHERNET};

/// Most bytes of a frame that is taken; a longer one is dropped.
const LARGEST: usize = 2 * RECEIVE_BYTES;
/// Least and most bytes of an IP packet: what every host must take (RFC 791), and what fits a buffer.
const MTU: core::ops::RangeInclusive<usize> = 576..=TRANSMIT_BYTES - ETHERNET;

/// What is known of the interface when a session begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The hardware address.
    pub mac: [u8; 6],
    /// Most bytes of an IP packet.
    pub mtu: usize,
}

/// The interface.
#[derive(Debug)]
pub struct Device<T> {
    link: Link<T>,
    frame: Vec<u8>,
    is_loaded: bool,
    mtu: usize,
}

/// The queue and its buffers.
#[derive(Debug)]
struct Link<T> {
    traps: T,
    wire: Wire,
    queue: Option<Client<Submit, Complete>>,
    /// Buffers to be sent that are free.
    free: Vec<u16>,
    /// Buffers to be sent that are submitted.
    sent: Marks,
    /// Buffers to be filled that are submitted.
    posted: Marks,
    /// The frame that is being made.
    draft: Vec<u8>,
    /// Whether there was an answer since somebody asked.
    is_busy: bool,
    mender: Mender,
    /// Frames made so far.
    made: u64,
}

/// Which buffers are submitted.
type Marks = [bool; 256];
const _: () = assert!(TRANSMIT_BUFFERS == 256 && RECEIVE_BUFFERS == 256);

impl<T: Traps> Device<T> {
    /// A device without a session.
    pub fn new(traps: T, wire: Wire) -> Self {
        let link = Link {
            traps,
            wire,
            queue: None,
            free: Vec::new(),
            sent: [false; 256],
            posted: [false; 256],
            draft: Vec::new(),
            is_busy: false,
            mender: Mender::default(),
            made: 0,
        };
        Self { link, frame: Vec::new(), is_loaded: false, mtu: *MTU.end() }
    }

    /// Begins a session: all buffers are to be filled or free.
    ///
    /// # Errors
    /// As the call; [`nic::Error::NotReady`] also when the queue's memory is unusable.
    pub fn open(&mut self) -> Result<Facts, CallError<nic::Error>> {
        const UNUSABLE: CallError<nic::Error> = CallError::Refused(nic::Error::NotReady);
        self.link.queue = None;
        self.is_loaded = false;
        let Wire { up, down, .. } = self.link.wire;
        let queue = Client::open(QUEUE, up, down).map_err(|_| UNUSABLE)?;
        let server = nic::Client::new(self.link.traps, self.link.wire.handle);
        let (mac, mtu) = match server.open() {
            // Not delivered, because the server is a new one: now it knows us.
            Err(CallError::Status(Status::Reset)) => server.open()?,
            other => other?,
        };
        self.link.begin(queue).map_err(|_| UNUSABLE)?;
        self.mtu = (mtu as usize).clamp(*MTU.start(), *MTU.end());
        let [a, b, c, d, e, f, ..] = mac.to_le_bytes();
        Ok(Facts { mac: [a, b, c, d, e, f], mtu: self.mtu })
    }

    /// Whether there is a session.
    pub const fn is_open(&self) -> bool {
        self.link.queue.is_some()
    }

    /// Ends the session.
    pub fn close(&mut self) {
        self.link.queue = None;
        self.is_loaded = false;
    }

    /// Whether the interface rang.
    pub const fn rang(&self, bits: u64) -> bool {
        self.link.wire.rang(bits)
    }

    /// Whether the server answered anything since this was asked last.
    pub const fn was_busy(&mut self) -> bool {
        core::mem::replace(&mut self.link.is_busy, false)
    }

    /// Whether frames get through, by asking: an error means that the session is over.
    ///
    /// # Errors
    /// As the call.
    pub fn is_up(&self) -> Result<bool, CallError<nic::Error>> {
        nic::Client::new(self.link.traps, self.link.wire.handle).link()
    }

    /// Takes the next frame, if there is one, and gives its flags. [`phy::Device::receive`] gives it to the stack.
    pub fn load(&mut self) -> Option<u16> {
        self.frame.clear();
        self.is_loaded = false;
        loop {
            let complete = self.link.complete()?;
            self.link.append(&complete, &mut self.frame);
            self.link.post(complete.buffer);
            if complete.flags & MORE == 0 {
                if self.frame.len() <= LARGEST && !self.frame.is_empty() {
                    self.is_loaded = true;
                    return Some(complete.flags);
                }
                self.frame.clear();
            }
        }
    }

    /// The frame that was taken last.
    pub fn frame(&mut self) -> &mut [u8] {
        &mut self.frame
    }

    /// Sends a frame that is not the stack's; it is lost when there is no room.
    pub fn send(&mut self, frame: &[u8]) {
        phy::TxToken::consume(Sending(&mut self.link), frame.len(), |to| {
            to.copy_from_slice(frame);
        });
    }

    /// How many frames can be sent.
    pub const fn room(&self) -> usize {
        if self.is_open() { self.link.free.len() } else { 0 }
    }

    /// Whether frames are on their way that the server should have answered.
    pub const fn is_waiting(&self) -> bool {
        self.is_open() && self.link.free.len() < (TRANSMIT_BUFFERS - TRANSMIT_LATE) as usize
    }

    /// How many frames the stack has made so far.
    pub const fn made(&self) -> u64 {
        self.link.made
    }

    /// Shows the server what was done, rings it, and asks to be rung. Says whether there is more already.
    pub fn flush(&mut self) -> bool {
        let Some(queue) = &mut self.link.queue else { return false };
        if queue.publish() {
            self.link.wire.ring(&self.link.traps);
        }
        let armed = queue.arm();
        self.link.note(armed).unwrap_or_default()
    }
}

impl<T: Traps> Link<T> {
    fn begin(&mut self, mut queue: Client<Submit, Complete>) -> Result<(), Error> {
        // Answers of an earlier session.
        while queue.complete()?.is_some() {}
        (self.sent, self.posted) = ([false; 256], [false; 256]);
        self.free = (0..TRANSMIT_BUFFERS).rev().collect();
        self.queue = Some(queue);
        (0..RECEIVE_BUFFERS).for_each(|buffer| self.post(buffer));
        Ok(())
    }

    /// The next answer about a buffer to be filled; takes back buffers that were sent on the way.
    fn complete(&mut self) -> Option<Complete> {
        loop {
            let complete = self.queue.as_mut()?.complete();
            let complete = self.note(complete)??;
            self.is_busy = true;
            let marks = match complete.kind {
                TRANSMIT => Some(&mut self.sent),
                RECEIVE => Some(&mut self.posted),
                _ => None,
            };
            let mark = marks.and_then(|marks| marks.get_mut(usize::from(complete.buffer)));
            if !mark.is_some_and(core::mem::take) {
                self.queue = None;
                return None;
            }
            match complete.kind {
                RECEIVE => return Some(complete),
                _ => self.free.push(complete.buffer),
            }
        }
    }

    /// Copies a piece of a frame to its end, unless the frame is too long already.
    fn append(&self, complete: &Complete, frame: &mut Vec<u8>) {
        let (offset, length) = (usize::from(complete.offset), usize::from(complete.length));
        let Some(queue) = &self.queue else { return };
        if offset + length > RECEIVE_BYTES || frame.len() > LARGEST {
            return;
        }
        let begin = frame.len();
        frame.resize(begin + length, 0);
        let at = usize::from(complete.buffer) * RECEIVE_BYTES + offset;
        queue.down().copy_from(at, frame.get_mut(begin..).unwrap_or_default());
    }

    /// Submits a buffer to be filled.
    fn post(&mut self, buffer: u16) {
        if self.submit(&Submit { kind: RECEIVE, buffer, ..Submit::default() })
            && let Some(mark) = self.posted.get_mut(usize::from(buffer))
        {
            *mark = true;
        }
    }

    /// Sends the draft, and what had to wait for it.
    fn send(&mut self) {
        self.made += 1;
        match self.mender.pass(&self.draft) {
            Step::Keep => {}
            Step::Send => self.transmit(),
            Step::SendBoth => {
                self.transmit();
                self.draft.clear();
                self.draft.extend_from_slice(self.mender.first());
                self.transmit();
            }
        }
    }

    fn transmit(&mut self) {
        let flags = frame::prepare(&mut self.draft);
        let Some(buffer) = self.free.pop() else { return };
        let Some(queue) = &self.queue else { return };
        queue.up().copy_to(usize::from(buffer) * TRANSMIT_BYTES, &self.draft);
        let length = self.draft.len() as u16;
        if self.submit(&Submit { kind: TRANSMIT, buffer, length, flags, ..Submit::default() })
            && let Some(mark) = self.sent.get_mut(usize::from(buffer))
        {
            *mark = true;
        }
    }

    fn submit(&mut self, submit: &Submit) -> bool {
        let submitted = self.queue.as_mut().map(|queue| queue.submit(submit));
        submitted.is_some_and(|submitted| self.note(submitted).is_some())
    }

    /// Ends the session when the queue contradicts itself.
    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        if result.is_err() {
            self.queue = None;
        }
        result.ok()
    }
}

/// The frame that was taken.
#[derive(Debug)]
pub struct Received<'a>(&'a [u8]);

/// The right to send one frame; it is lost when there is no room.
#[derive(Debug)]
pub struct Sending<'a, T>(&'a mut Link<T>);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

impl<T: Traps> phy::TxToken for Sending<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, make: F) -> R {
        self.0.draft.clear();
        self.0.draft.resize(length, 0);
        let made = make(&mut self.0.draft);
        if length <= TRANSMIT_BYTES {
            self.0.send();
        }
        made
    }
}

impl<T: Traps> phy::Device for Device<T> {
    type RxToken<'a>
        = Received<'a>
    where
        T: 'a;
    type TxToken<'a>
        = Sending<'a, T>
    where
        T: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sending<'_, T>)> {
        let is_loaded = core::mem::take(&mut self.is_loaded);
        is_loaded.then_some((Received(&self.frame), Sending(&mut self.link)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_, T>> {
        (self.room() > 0).then_some(Sending(&mut self.link))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + ETHERNET;
        // `frame` judges and completes those of TCP.
        capabilities.checksum.tcp = Checksum::None;
        capabilities
    }
}

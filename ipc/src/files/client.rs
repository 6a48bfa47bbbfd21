//! [`Files`]: a client's end of a file system.
//!
//! Invariant: a buffer belongs to one request from its submission to [`Files::release_buffer`], which follows its answer.
//! All that is submitted waits for [`Files::flush`]. When the server's memory contradicts itself, the session counts as
//! over.

mod swap;

use alloc::vec::Vec;

use abi::{CallError, Status, Traps};
use shared::{Error, PAGE, queue};

use super::{
    BUFFER_BYTES, BUFFERS, Complete, Entry, LIST, LOOKUP, PATH_BYTES, QUEUE, READ, RELEASE,
    Request, SESSION,
};
use crate::Wire;

pub use swap::State;

/// The client's end of a session.
#[derive(Debug)]
pub struct Files<T> {
    traps: T,
    wire: Wire,
    session: u32,
    queue: queue::Client<Request, Complete>,
    /// Buffers that are free.
    free: Vec<u16>,
    is_broken: bool,
}

impl<T: Traps> Files<T> {
    /// Begins a session over `wire`; no file is open.
    ///
    /// # Errors
    /// As the call; [`super::Error::Broken`] when the wire has no usable memory.
    pub fn open(traps: T, wire: Wire) -> Result<Self, CallError<super::Error>> {
        const BROKEN: CallError<super::Error> = CallError::Refused(super::Error::Broken);
        if !wire.up.holds(0, PAGE) || !wire.down.holds(0, PAGE) {
            return Err(BROKEN);
        }
        wire.up.fill(0, PAGE, 0);
        let client = super::Client::new(traps, wire.handle);
        let session = match client.open() {
            // Not delivered, because the server is a new one: now it knows us.
            Err(CallError::Status(Status::Reset)) => client.open()?,
            other => other?,
        };
        let queue = queue::Client::open(QUEUE, wire.up, wire.down).map_err(|_| BROKEN)?;
        let free = (0..BUFFERS).rev().collect();
        Ok(Self { traps, wire, session, queue, free, is_broken: false })
    }

    /// Whether the server still knows this session. If not, all files are gone: begin another one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.is_broken && self.wire.down.load_u32_acquire(SESSION) == self.session
    }

    /// Whether the server rang.
    #[must_use]
    pub const fn rang(&self, bits: u64) -> bool {
        self.wire.rang(bits)
    }

    /// Takes a free buffer, if there is one.
    pub fn take_buffer(&mut self) -> Option<u16> {
        self.free.pop()
    }

    /// Gives back a buffer whose request was answered.
    pub fn release_buffer(&mut self, buffer: u16) {
        debug_assert!(buffer < BUFFERS && !self.free.contains(&buffer));
        self.free.push(buffer);
    }

    /// Asks for the file at `path`; false if the path is too long.
    pub fn lookup(&mut self, id: u32, buffer: u16, path: &[u8]) -> bool {
        if path.len() > PATH_BYTES {
            return false;
        }
        self.queue.up().copy_to(usize::from(buffer) * PATH_BYTES, path);
        let length = path.len() as u32;
        self.submit(Request { id, kind: LOOKUP, buffer, length, ..Request::default() })
    }

    /// Asks for `length` bytes of a file, at most [`BUFFER_BYTES`].
    pub fn read(&mut self, id: u32, buffer: u16, file: u32, offset: u64, length: u32) -> bool {
        self.submit(Request { id, kind: READ, buffer, file, length, offset })
    }

    /// Asks for the entries of a directory from number `from` on.
    pub fn list(&mut self, id: u32, buffer: u16, file: u32, from: u64) -> bool {
        self.submit(Request { id, kind: LIST, buffer, file, length: 0, offset: from })
    }

    /// Gives up a file; the answer has the id `id` and says nothing. False if too much is open: try again later.
    pub fn release(&mut self, id: u32, file: u32) -> bool {
        self.submit(Request { id, kind: RELEASE, file, ..Request::default() })
    }

    /// The next answer, if there is one.
    pub fn answer(&mut self) -> Option<Complete> {
        let complete = self.queue.complete();
        self.note(complete)?
    }

    /// Copies data out of a buffer, from `offset` on; what is not inside is zero.
    pub fn copy(&self, buffer: u16, offset: usize, to: &mut [u8]) {
        if offset.saturating_add(to.len()) <= BUFFER_BYTES && buffer < BUFFERS {
            self.queue.down().copy_from(usize::from(buffer) * BUFFER_BYTES + offset, to);
        } else {
            to.fill(0);
        }
    }

    /// The entries that a [`LIST`] gave; `None` if the bytes are none.
    #[must_use]
    pub fn entries(&self, buffer: u16, length: u32) -> Option<Vec<Entry>> {
        let mut bytes = alloc::vec![0; (length as usize).min(BUFFER_BYTES)];
        self.copy(buffer, 0, &mut bytes);
        postcard::from_bytes(&bytes).ok()
    }

    /// Shows the server what was submitted, and rings it if it sleeps. To be called before waiting; if it says that there is
    /// an answer already, nobody rings for that.
    #[must_use = "nobody rings for what is there already"]
    pub fn flush(&mut self) -> bool {
        if self.queue.publish() {
            self.wire.ring(&self.traps);
        }
        let armed = self.queue.arm();
        self.note(armed).unwrap_or_default()
    }

    fn submit(&mut self, request: Request) -> bool {
        let submitted = self.queue.submit(&request);
        self.note(submitted).is_some()
    }

    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        self.is_broken |= matches!(result, Err(Error::Broken | Error::Shape));
        result.ok()
    }
}

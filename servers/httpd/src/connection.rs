//! [`Connection`]: one client's connection: a request at a time, in order.
//!
//! Invariant: a request is answered before the next one is looked at; bytes of later ones wait in the socket's ring, and
//! then in the client. At most one question is open at the file system, and it was asked only when the socket has room
//! for the answer, so that the answer leaves its buffer at once.

use alloc::vec::Vec;

use abi::Traps;
use ipc::socket::client::Sockets;
use ipc::socket::{BROKEN, OPEN};

use crate::body::Body;
use crate::request::{HEAD, Parsed, Request, parse};
use crate::site::Site;
use crate::store::{Answer, Ask, Store};

/// Nanoseconds in which a head must come, from its first byte on.
const HEAD_TIME: u64 = 10_000_000_000;
/// Nanoseconds that a connection may do nothing.
const IDLE_TIME: u64 = 15_000_000_000;
/// Nanoseconds in which a client must take something of an answer.
const STALL_TIME: u64 = 20_000_000_000;
/// Nanoseconds in which the disk must deliver.
const DISK_TIME: u64 = 30_000_000_000;
/// Requests of one connection that one turn answers.
const REQUESTS: usize = 8;
/// Bytes that are moved at once.
pub(crate) const PIECE: usize = 2048;

/// What all connections use.
pub struct Env<'a, T> {
    /// The network.
    pub sockets: &'a mut Sockets<T>,
    /// The files.
    pub store: &'a mut Store<T>,
    /// The pages.
    pub site: &'a mut Site<T>,
    /// The time.
    pub now: u64,
}

ipc::state! {
    /// What a connection does.
    pub enum Phase {
        /// It reads a head, or waits for one.
        Reading,
        /// It looks for a file.
        Finding(Finding),
        /// It sends an answer.
        Sending,
        /// It is over; the flag says whether in order.
        Over(bool),
    }
    /// A file that is looked for.
    pub struct Finding {
        /// For whom.
        pub request: Request,
        /// The directory whose `index.html` is looked for; before, the path itself is.
        pub directory: Option<u32>,
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub socket: u16,
    pub(crate) phase: Phase,
    pub(crate) input: Vec<u8>,
    /// Whether all of the input was looked at, and is a part of a head.
    pub(crate) is_partial: bool,
    /// What is to be sent before the body.
    pub(crate) out: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) body: Body,
    pub(crate) keep_alive: bool,
    /// The question at the file system.
    pub(crate) question: Option<u32>,
    /// Since when the phase lasts, or when something last came of it.
    pub(crate) since: u64,
}

impl Connection {
    /// A new one.
    pub const fn new(socket: u16, now: u64) -> Self {
        Self {
            socket,
            phase: Phase::Reading,
            input: Vec::new(),
            is_partial: true,
            out: Vec::new(),
            sent: 0,
            body: Body::Empty,
            keep_alive: true,
            question: None,
            since: now,
        }
    }

    /// Whether it is over, and if so, whether in order.
    pub const fn is_over(&self) -> Option<bool> {
        match self.phase {
            Phase::Over(is_orderly) => Some(is_orderly),
            _ => None,
        }
    }

    /// Since when it has done nothing but wait for a request, or for the rest of one.
    pub const fn idle_since(&self) -> Option<u64> {
        match self.phase {
            Phase::Reading => Some(self.since),
            _ => None,
        }
    }

    /// Whether a part of a request has come.
    pub const fn has_begun(&self) -> bool {
        !self.input.is_empty()
    }

    /// When its time is up.
    pub const fn deadline(&self) -> u64 {
        let limit = match self.phase {
            Phase::Reading if self.input.is_empty() => IDLE_TIME,
            Phase::Reading => HEAD_TIME,
            Phase::Finding(_) => DISK_TIME,
            Phase::Sending if self.question.is_some() => DISK_TIME,
            Phase::Sending => STALL_TIME,
            Phase::Over(_) => return u64::MAX,
        };
        self.since.saturating_add(limit)
    }

    /// Does what there is to do. True if there is more, which waits for the next turn.
    pub fn step<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        if env.now >= self.deadline() {
            self.expire(env);
        }
        for _ in 0..REQUESTS {
            let goes_on = match self.phase {
                Phase::Reading => self.read(env),
                Phase::Finding(_) => self.find(env),
                Phase::Sending => self.send(env),
                Phase::Over(_) => false,
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    /// Its time is up.
    fn expire<T: Traps>(&mut self, env: &mut Env<'_, T>) {
        match self.phase {
            Phase::Reading if self.input.is_empty() => self.end(true),
            Phase::Reading => self.refuse(408, env.now),
            Phase::Finding(_) => {
                self.let_go(env.store);
                self.refuse(503, env.now);
            }
            Phase::Sending | Phase::Over(_) => self.end(false),
        }
    }

    /// It is over.
    pub(crate) fn end(&mut self, is_orderly: bool) {
        self.phase = Phase::Over(is_orderly);
    }

    /// Reads what came; true if something was begun.
    fn read<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        let state = env.sockets.state(self.socket);
        let was_empty = self.input.is_empty();
        let got = self.receive(env);
        if was_empty && got > 0 {
            self.since = env.now;
        }
        if got == 0 && self.is_partial {
            if state != OPEN {
                self.end(state != BROKEN);
            }
            return false;
        }
        match parse(&self.input) {
            Parsed::Request(request, length) => {
                self.input.drain(..length);
                self.since = env.now;
                self.begin(request, env);
                true
            }
            Parsed::Refused(status) => {
                self.refuse(status, env.now);
                true
            }
            Parsed::Partial => {
                self.is_partial = true;
                false
            }
        }
    }

    /// Takes bytes as far as a head may need them.
    fn receive<T: Traps>(&mut self, env: &mut Env<'_, T>) -> usize {
        let begin = self.input.len();
        let mut piece = [0; PIECE];
        while self.input.len() < HEAD {
            let most = PIECE.min(HEAD - self.input.len());
            let got = env.sockets.receive(self.socket, piece.get_mut(..most).unwrap_or_default());
            if got == 0 {
                break;
            }
            self.input.extend_from_slice(piece.get(..got).unwrap_or_default());
        }
        self.input.len() - begin
    }

    /// What became of a question: when there is nobody to ask, an answer that was begun cannot be finished.
    pub(crate) fn asked(&mut self, asked: Ask, now: u64) {
        match asked {
            Ask::Asked(id) => {
                self.question = Some(id);
                self.since = now;
            }
            Ask::Later => {}
            Ask::Never => self.end(false),
        }
    }

    /// The file system answered.
    pub fn answered<T: Traps>(&mut self, answer: &Answer, env: &mut Env<'_, T>) {
        self.question = None;
        match (&self.phase, &self.body) {
            (Phase::Finding(_), _) => self.found(answer, env),
            (Phase::Sending, Body::File(..)) => self.copy_bytes(answer, env),
            (Phase::Sending, Body::Listing(_)) => self.take_entries(answer, env),
            _ => {}
        }
    }

    /// The answer was sent.
    pub(crate) fn finish<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        if !self.keep_alive {
            self.end(true);
            return false;
        }
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        self.is_partial = self.input.is_empty();
        self.phase = Phase::Reading;
        self.since = env.now;
        true
    }

    /// The file system is another one: what was found is gone.
    pub fn lost_files(&mut self) {
        if let Phase::Finding(finding) = &mut self.phase {
            finding.directory = None;
        }
        if matches!(self.body, Body::File(..) | Body::Listing(_)) {
            self.body = Body::Empty;
            self.end(false);
        }
    }

    /// Gives up the question at the file system.
    fn forget_question<T: Traps>(&mut self, store: &mut Store<T>) {
        self.question.take().into_iter().for_each(|id| store.forget(id));
    }

    /// Gives up all that it holds at the file system.
    pub fn let_go<T: Traps>(&mut self, store: &mut Store<T>) {
        self.forget_question(store);
        if let Phase::Finding(Finding { directory: Some(file), .. }) = self.phase {
            store.release(file);
        }
        match core::mem::replace(&mut self.body, Body::Empty) {
            Body::File(file, ..) => store.release(file),
            Body::Listing(listing) => store.release(listing.file),
            Body::Empty | Body::Bytes(..) => {}
        }
    }
}

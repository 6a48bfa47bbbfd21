//! A client's session: its requests, answers, watches and transactions.
//!
//! Invariant: each of them is bounded by a constant, so a client can use up its own share and nothing else.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use abi::Badge;
use ipc::Wire;
use ipc::xenstore::{Failure, Kind, MOST_OPEN};

use crate::grant::Grant;
use crate::request::Request;

/// Most watches of a client.
pub const WATCHES: usize = 8;
/// Most transactions of a client.
pub const TRANSACTIONS: usize = 2;

/// What can be collected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub kind: Kind,
    pub number: u32,
    pub code: u32,
    pub bytes: Vec<u8>,
}

/// A watch that xenstored has, or will have when the request gets there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Watch {
    /// Number of the client's request.
    pub number: u32,
    /// Number by which its token knows it.
    pub serial: u32,
    pub path: String,
    /// Whether xenstored has it for sure.
    pub is_made: bool,
}

/// A client's session.
#[derive(Debug)]
pub(crate) struct Session {
    pub wire: Wire,
    pub grant: Grant,
    pub badge: Badge,
    /// Differs between any two sessions, of whichever clients.
    pub id: u32,
    pub waiting: VecDeque<Request>,
    pub answers: VecDeque<Answer>,
    pub watches: Vec<Watch>,
    pub transactions: Vec<u32>,
    /// Requests that were posted and whose answer is not there yet.
    pub open: usize,
    /// Transactions that are being begun.
    pub beginning: usize,
    number: u32,
}

impl Session {
    pub const fn new(wire: Wire, grant: Grant) -> Self {
        Self {
            wire,
            grant,
            badge: Badge::from_bits(0),
            id: 0,
            waiting: VecDeque::new(),
            answers: VecDeque::new(),
            watches: Vec::new(),
            transactions: Vec::new(),
            open: 0,
            beginning: 0,
            number: 0,
        }
    }

    /// Whether another request may be posted.
    pub fn is_full(&self) -> bool {
        let answers = self.answers.iter().filter(|answer| answer.kind != Kind::Fired).count();
        self.open + answers >= MOST_OPEN
    }

    /// The number of the next request.
    pub const fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        if self.number == 0 {
            self.number = 1;
        }
        self.number
    }

    /// Answers a request.
    pub fn done(&mut self, number: u32, code: u32, bytes: Vec<u8>) {
        self.open = self.open.saturating_sub(1);
        self.answers.push_back(Answer { kind: Kind::Done, number, code, bytes });
    }

    /// Answers a request by why it failed.
    pub fn failed(&mut self, number: u32, failure: Failure) {
        self.open = self.open.saturating_sub(1);
        let code = failure as u32;
        self.answers.push_back(Answer { kind: Kind::Failed, number, code, bytes: Vec::new() });
    }

    /// A watch fired. Of a watch at most one event waits; when more than one node changed, it names the watched one.
    pub fn fired(&mut self, serial: u32, path: &[u8]) -> bool {
        let Some(watch) = self.watches.iter().find(|watch| watch.serial == serial) else {
            return false;
        };
        let is_its =
            |answer: &&mut Answer| answer.kind == Kind::Fired && answer.number == watch.number;
        match self.answers.iter_mut().find(is_its) {
            Some(answer) if answer.bytes == path => {}
            Some(answer) => answer.bytes = Vec::from(watch.path.as_bytes()),
            None => self.answers.push_back(Answer {
                kind: Kind::Fired,
                number: watch.number,
                code: 0,
                bytes: Vec::from(path),
            }),
        }
        true
    }

    /// Takes a watch out, by the number of the request that made it.
    pub fn remove_watch(&mut self, number: u32) -> Option<Watch> {
        let at = self.watches.iter().position(|watch| watch.number == number)?;
        self.answers.retain(|answer| answer.kind != Kind::Fired || answer.number != number);
        Some(self.watches.remove(at))
    }
}

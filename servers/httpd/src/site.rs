//! [`Site`]: the pages about the system, made anew when they are old.
//!
//! Invariant: a page shows the system as it was at most [`FRESH`] nanoseconds ago, however many ask.

use alloc::rc::Rc;
use alloc::string::String;

use abi::Traps;
use ipc::Wire;
use ipc::status::{self, Snapshot};

use crate::page::{Facts, Front, status_json};

/// How old a page may be.
const FRESH: u64 = 200_000_000;

/// The pages.
pub struct Site<T> {
    traps: T,
    wire: Wire,
    title: String,
    front: Front,
    has_files: bool,
    made: Option<Made>,
}

#[derive(Clone)]
struct Made {
    at: u64,
    front: Rc<[u8]>,
    json: Rc<[u8]>,
}

impl<T: Traps> Site<T> {
    /// Pages about the system behind `wire`.
    pub const fn new(traps: T, wire: Wire, title: String, front: Front, has_files: bool) -> Self {
        Self { traps, wire, title, front, has_files, made: None }
    }

    /// The front page; `None` if the system does not tell its state.
    pub fn front(&mut self, now: u64) -> Option<Rc<[u8]>> {
        Some(self.fresh(now)?.front.clone())
    }

    /// The same facts for programs.
    pub fn json(&mut self, now: u64) -> Option<Rc<[u8]>> {
        Some(self.fresh(now)?.json.clone())
    }

    fn fresh(&mut self, now: u64) -> Option<&Made> {
        let is_fresh = self.made.as_ref().is_some_and(|made| made.at + FRESH > now);
        if !is_fresh {
            let snapshot = self.snapshot()?;
            let (title, has_files) = (self.title.as_str(), self.has_files);
            let front = (self.front)(&Facts { snapshot: &snapshot, title, has_files });
            let json = status_json(&snapshot);
            self.made = Some(Made { at: now, front: shared(front), json: shared(json) });
        }
        self.made.as_ref()
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let client = status::Client::new(self.traps, self.wire.handle);
        // A supervisor that was started again says so once.
        let length = client.snapshot().or_else(|_| client.snapshot()).ok()?;
        Snapshot::read(self.wire.down, length)
    }
}

fn shared(text: String) -> Rc<[u8]> {
    text.into_bytes().into()
}

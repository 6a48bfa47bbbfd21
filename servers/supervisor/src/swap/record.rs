//! What is remembered of swaps.

use abi::Caller;
use ipc::operator::{Outcome, Reason};
use ipc::supervisor::Error;

use crate::load::Loaded;

/// The steps of a swap, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Built,
    Quiesced,
    Adopted,
    Committed,
    Proved,
}

/// The last swap of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub outcome: Outcome,
    pub reason: Reason,
    /// When it began.
    pub began: u64,
    /// How long after that each step was done, in nanoseconds; 0: not yet.
    pub steps: [u64; 5],
    /// For how long nobody served.
    pub stopped: u64,
    /// Bytes of state.
    pub bytes: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self::new(Outcome::None, 0)
    }
}

impl Record {
    pub const fn new(outcome: Outcome, began: u64) -> Self {
        Self { outcome, reason: Reason::None, began, steps: [0; 5], stopped: 0, bytes: 0 }
    }

    /// Notes that a step was done.
    pub fn done(&mut self, step: Step, now: u64) {
        if let Some(place) = self.steps.get_mut(step as usize) {
            *place = now.saturating_sub(self.began).max(1);
        }
    }

    /// When a step was done, in microseconds after the beginning.
    pub fn micros(&self, step: Step) -> u64 {
        self.steps.get(step as usize).copied().unwrap_or_default() / 1000
    }
}

/// A swap before its commit.
#[derive(Debug)]
pub(crate) struct Swap {
    pub slot: u16,
    /// Number of the new image.
    pub program: u16,
    pub candidate: Loaded,
    /// When it is given up.
    pub until: u64,
    /// What the old server offered, once it has.
    pub offer: Option<Offer>,
}

/// The state that an old server offers; it waits.
#[derive(Debug)]
pub(crate) struct Offer {
    pub caller: Caller<(), Error>,
    pub state: (u64, u64),
    pub digest: u64,
}

/// A server that another has taken the place of; it never runs again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retired {
    pub slot: u16,
    pub loaded: Loaded,
    /// When it is taken apart.
    pub until: u64,
}

/// A new server that has not proved itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Probation {
    pub until: u64,
    /// The image to go back to.
    pub program: u16,
    /// Whether it has died once.
    pub has_died: bool,
}

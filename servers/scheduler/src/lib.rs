//! A scheduler: shares CPU time out among the servers that it manages, by weight, round after round.
//!
//! In each round every child is due a part by its weight, and gets a budget of what it is due and has not used; when that is
//! used up it rests until the next. What a child overdrew, by the kernel's count, is missing from its later rounds; what it
//! left over it may use later, up to a round's part. A child of weight 0 is stopped, and goes on where it was.
//!
//! Invariant: all that is due in a round is eight tenths of it, so it can be used up in time; the rest is for who is less
//! urgent. Nothing here needs anything of the kernel but a manager's handle, which decides whose time this is to share.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use abi::kernel::control::{Client, MAX_PERIOD, MIN_BUDGET, NO_SERVER};
use abi::{Badge, Traps};
use ipc::scheduler::Error;

/// A child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Child {
    slot: u16,
    weight: u32,
    /// CPU time that it may have used by the end of this round, in nanoseconds, by the clock of its account.
    due: u64,
}

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler<T> {
    kernel: Client<T>,
    /// Nanoseconds of a round.
    round: u64,
    children: Vec<Child>,
}

impl<T: Traps> Scheduler<T> {
    /// A scheduler with rounds of so many nanoseconds, for children of these slots and weights.
    pub fn new(
        kernel: Client<T>,
        round: u64,
        children: impl IntoIterator<Item = (u16, u32)>,
    ) -> Self {
        let children =
            children.into_iter().map(|(slot, weight)| Child { slot, weight, due: 0 }).collect();
        Self { kernel, round, children }
    }

    /// Begins a round: gives each child its part of it.
    pub fn begin_round(&mut self) {
        let all: u64 = self.children.iter().map(|child| u64::from(child.weight)).sum();
        for child in self.children.iter_mut().filter(|child| child.weight != 0) {
            let part = self.round / 10 * 8 / all * u64::from(child.weight);
            let Ok((_, _, used, ..)) = self.kernel.account_read(child.slot) else { continue };
            child.due = if child.due == 0 { used } else { child.due };
            child.due = (child.due + part).min(used + 2 * part);
            let left = child.due.saturating_sub(used).min(MAX_PERIOD);
            if left >= MIN_BUDGET {
                let _ = self.kernel.account_set(child.slot, left, MAX_PERIOD);
            }
        }
    }

    /// Stops the server of a slot, or lets it go on.
    fn set_running(&self, slot: u16, runs: bool) -> Option<()> {
        let (_, server, ..) = self.kernel.slot_info(slot).ok()?;
        if server == NO_SERVER {
            return Some(());
        }
        let set =
            if runs { self.kernel.thread_resume(server) } else { self.kernel.thread_stop(server) };
        set.ok()
    }

    /// A child was started anew: it runs, and is stopped if it has no weight.
    pub fn opened(&self, slot: u16) {
        if self.children.iter().any(|child| child.slot == slot && child.weight == 0) {
            let _ = self.set_running(slot, false);
        }
    }
}

impl<T: Traps> ipc::scheduler::Server for Scheduler<T> {
    fn weigh(&mut self, _: Badge, slot: u16, weight: u32) -> Result<(), Error> {
        let known = self.children.iter_mut().find(|child| child.slot == slot);
        let before = known.as_ref().map(|child| child.weight);
        // Whether it may is for the kernel to say: one that is no child is tried as well.
        if before.is_none_or(|before| (before == 0) != (weight == 0)) {
            self.set_running(slot, weight != 0).ok_or(Error::NotAllowed)?;
        }
        match self.children.iter_mut().find(|child| child.slot == slot) {
            Some(child) => *child = Child { slot, weight, due: 0 },
            None => self.children.push(Child { slot, weight, due: 0 }),
        }
        self.begin_round();
        Ok(())
    }
}

//! The naive model's clock: whoever runs uses it up, and somebody pays.

use super::naive::{Does, Goes, Naive};

/// An account, if there is a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    pub budget: i128,
    pub period: i128,
    pub left: i128,
    pub refill_at: i128,
}

impl Account {
    fn refill(&mut self, now: u64) {
        while i128::from(now) >= self.refill_at {
            self.left = (self.left + self.budget).min(self.budget);
            self.refill_at += self.period;
        }
    }

    fn begin(&mut self, now: u64) {
        let unused = i128::from(now) >= self.refill_at;
        self.refill(now);
        if unused && self.left == self.budget {
            self.refill_at = i128::from(now) + self.period;
        }
    }

    fn wake_at(mut self) -> i128 {
        let mut at = self.refill_at - self.period;
        while self.left <= 0 {
            self.left += self.budget;
            at += self.period;
        }
        at
    }
}

impl Naive {
    pub fn limit(&mut self, slot: usize, budget: u64, period: u64) {
        let account = Account {
            budget: budget.into(),
            period: period.into(),
            left: budget.into(),
            refill_at: i128::from(self.now) + i128::from(period),
        };
        self.slots[slot].account = (budget != 0).then_some(account);
        if let Some(server) = self.slots[slot].server {
            self.end_rest(server);
        }
    }

    /// Time passes, of which whoever runs did not get all.
    pub fn pass(&mut self, time: u64, stolen: u64) {
        self.now += time;
        if let Some(thread) = self.runs() {
            let used = time - stolen;
            self.threads[thread].slice = self.threads[thread].slice.saturating_sub(used);
            let payer = self.threads[thread].payer;
            if let Some(account) = &mut self.slots[payer].account
                && used != 0
            {
                account.left -= i128::from(used);
                account.refill(self.now);
            }
        }
        self.interrupted();
        self.resting.sort_by_key(|(wake_at, _)| *wake_at);
        while let Some((_, thread)) =
            self.resting.first().copied().filter(|(wake_at, _)| *wake_at <= i128::from(self.now))
        {
            let slot = self.threads[thread].slot;
            if let Some(account) = &mut self.slots[slot].account {
                account.refill(self.now);
            }
            self.end_rest(thread);
        }
    }

    fn end_rest(&mut self, thread: usize) {
        if self.resting.iter().any(|(_, other)| *other == thread) {
            self.resting.retain(|(_, other)| *other != thread);
            self.make_ready(thread);
        }
    }

    /// A caller came.
    pub fn end_rest_of_waiter(&mut self, slot: usize) {
        if let Some(server) = self.slots[slot].server
            && self.threads[server].goes == Goes::Inbox
        {
            self.end_rest(server);
        }
    }

    pub fn must_rest(&mut self, thread: usize) -> bool {
        let slot = self.threads[thread].slot;
        let (bits, called) = (self.slots[slot].bits, !self.slots[slot].callers.is_empty());
        let waits = self.threads[thread].goes == Goes::Inbox;
        let now = self.now;
        let Some(account) = &mut self.slots[slot].account else { return false };
        if self.threads[thread].payer != slot || account.left > 0 {
            return false;
        }
        if waits && (called || bits == 0) {
            return false;
        }
        account.begin(now);
        account.left <= 0
    }

    pub fn rest(&mut self, thread: usize) {
        let slot = self.threads[thread].slot;
        let wake_at = self.slots[slot].account.map_or(0, Account::wake_at);
        self.threads[thread].does = Does::Ready;
        self.resting.push((wake_at, thread));
    }

    /// Somebody pays for what runs from here on.
    pub fn begin(&mut self, thread: usize) {
        let payer = self.threads[thread].payer;
        if let Some(account) = &mut self.slots[payer].account {
            account.begin(self.now);
        }
    }
}

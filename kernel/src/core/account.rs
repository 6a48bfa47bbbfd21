//! Accounts: how much CPU time each slot may use in a period, and who rests when it is used up.
//!
//! An account is charged for its own server and, while a call of it is served, for whoever serves. It gets its budget anew
//! at the end of each period, as far as it fits; periods that passed unseen are made up for at the next look. One that stayed
//! full for a period begins the next when it is used. So it spends at most its budget as often as a window of time has
//! periods, begun ones counted, and once more; and what a server overdraws (below).
//!
//! Nobody is stopped in the middle of serving. An account that is used up *while somebody serves it* is overdrawn: the server
//! runs on, at most as long as its slot's `longest` lets it, and the client rests until all of that is paid back. Only a
//! server that runs on its own account rests when that is used up: it is Ready, but in the list of those that rest, ordered
//! by the time of the refill, instead of a run queue. A server whose own account is used up still serves calls: the caller
//! pays.
//!
//! Whether a thread rests is decided where the next thread is picked. Answers that the machine gives without the core must
//! not get past that: whoever serves an account that is used up has [`ATTENTION_DRY`] set, so its answer comes to the core.

use abi::kernel::control::{Error, is_limit};

use super::Core;
use super::hardware::{Hardware, Vcpu};
use super::schedule::Place;
use super::slot::{SUPERVISOR, Slot};
use super::table::{SlotId, ThreadId, VcpuId};
use super::thread::{Saved, Thread};

/// In [`Slot::attention`]: the server serves an account that is used up.
pub const ATTENTION_DRY: u32 = 1 << 31;

/// An account.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// CPU time that it gets in each period, in nanoseconds; 0 if it is not limited, and then nothing below counts.
    pub budget: u64,
    /// Its period, in nanoseconds.
    pub period: u64,
    /// What is left, in nanoseconds; less than nothing if it is overdrawn.
    pub left: i64,
    /// When it gets more.
    pub refill_at: u64,
    /// CPU time that it was given so far, in nanoseconds.
    pub granted: u64,
    /// When something will be left again; set while its server rests.
    pub wake_at: u64,
    /// How often its server had to rest.
    pub rests: u32,
    /// Next in the list of those that rest.
    pub next: SlotId,
    /// Its server rests.
    pub resting: bool,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            budget: 0,
            period: 0,
            left: 0,
            refill_at: 0,
            granted: 0,
            wake_at: 0,
            rests: 0,
            next: SlotId::NONE,
            resting: false,
        }
    }
}

impl Account {
    /// Nothing is left.
    pub fn is_dry(&self) -> bool {
        self.budget != 0 && self.left <= 0
    }

    /// Takes what was spent up to `now`.
    pub fn spend(&mut self, spent: u64, now: u64) {
        if self.budget != 0 && spent != 0 {
            self.left = self.left.saturating_sub_unsigned(spent);
            self.refill(now);
        }
    }

    /// Gives what is due.
    fn refill(&mut self, now: u64) {
        let Some(late) = now.checked_sub(self.refill_at) else { return };
        // A period of 0 is not set.
        let periods = late.checked_div(self.period).unwrap_or(0).saturating_add(1);
        let missing = self.budget.cast_signed().abs_diff(self.left);
        let given = self.budget.saturating_mul(periods).min(missing);
        self.left = self.left.saturating_add_unsigned(given);
        self.granted = self.granted.saturating_add(given);
        self.refill_at = self.refill_at.saturating_add(self.period.saturating_mul(periods));
    }

    /// It is used from `now` on. If it was full for a whole period, the next one begins now.
    fn begin(&mut self, now: u64) {
        let unused = now >= self.refill_at;
        self.refill(now);
        if unused && self.left == self.budget.cast_signed() {
            self.refill_at = self.refill_at.max(now.saturating_add(self.period));
        }
    }

    /// When something is left again.
    fn wake_time(&self) -> u64 {
        let periods = self.left.min(0).unsigned_abs().checked_div(self.budget).unwrap_or(0);
        self.refill_at.saturating_add(self.period.saturating_mul(periods))
    }
}

impl Core<'_> {
    /// Limits a slot's account, which begins anew with a full budget; a budget of 0 is no limit.
    pub(super) fn account_set(
        &mut self,
        hardware: &mut impl Hardware,
        id: SlotId,
        budget: u64,
        period: u64,
    ) -> Result<(), Error> {
        if !is_limit(budget, period) || id == SUPERVISOR {
            return Err(Error::Invalid);
        }
        for vcpu in self.vcpus.numbers() {
            self.charge(hardware, vcpu);
            if vcpu != self.here {
                // It has to ask anew how long what it runs may go on.
                hardware.kick(Vcpu(vcpu.0));
            }
        }
        if budget != 0 {
            self.limits = true;
            self.look_always();
        }
        self.end_rest(hardware, id);
        let now = hardware.now();
        let account = &mut self.slots[id].account;
        (account.budget, account.period) = (budget, period);
        account.left = budget.cast_signed();
        account.refill_at = now.saturating_add(period);
        account.granted = account.granted.saturating_add(budget);
        Ok(())
    }

    /// Charges an account.
    #[cold]
    pub(super) fn account_spend(&mut self, id: SlotId, spent: u64, now: u64) {
        self.slots[id].account.spend(spent, now);
    }

    /// A thread runs on its own account, nothing is left there, and it is not about to be paid by a caller.
    #[inline(always)]
    pub(super) fn must_rest(&mut self, hardware: &mut impl Hardware, thread: ThreadId) -> bool {
        self.limits && self.is_used_up(hardware, thread)
    }

    #[cold]
    fn is_used_up(&mut self, hardware: &mut impl Hardware, thread: ThreadId) -> bool {
        let Thread { payer, own, inbox, saved, .. } = self.threads[thread];
        if payer != own || !self.slots[own].account.is_dry() {
            return false;
        }
        // A caller pays, and one who finds nothing waits on.
        let (bits, caller) = (self.slots[inbox].bits, self.slots[inbox].first_caller);
        if saved == Saved::Collect && (bits == 0 || caller != ThreadId::NONE) {
            return false;
        }
        let account = &mut self.slots[own].account;
        account.begin(hardware.now());
        account.is_dry()
    }

    /// Lets a Ready thread, which is in no queue, rest until its account has something left.
    pub(super) fn rest(&mut self, vcpu: VcpuId, thread: ThreadId) {
        let id = self.threads[thread].own;
        let wake_at = self.slots[id].account.wake_time();
        let (before, after) = self.rest_place(vcpu, |other| other.wake_at > wake_at);
        let account = &mut self.slots[id].account;
        (account.resting, account.wake_at, account.next) = (true, wake_at, after);
        account.rests = account.rests.saturating_add(1);
        self.rest_link(vcpu, before, id);
        self.remember_deadline(wake_at);
    }

    /// The first account of a vCPU's list that `found` is true of, and the one before it.
    fn rest_place(&self, vcpu: VcpuId, found: impl Fn(&Account) -> bool) -> (SlotId, SlotId) {
        let mut before = SlotId::NONE;
        let mut at = self.vcpus[vcpu].resting;
        while let Some(id) = at.some().filter(|id| !found(&self.slots[*id].account)) {
            (before, at) = (id, self.slots[id].account.next);
        }
        (before, at)
    }

    fn rest_link(&mut self, vcpu: VcpuId, before: SlotId, id: SlotId) {
        match before.some() {
            Some(before) => self.slots[before].account.next = id,
            None => self.vcpus[vcpu].resting = id,
        }
    }

    /// Takes a thread out of the list of those that rest; false if it was not there.
    #[inline(always)]
    pub(super) fn leave_rest(&mut self, thread: ThreadId) -> bool {
        self.limits && self.unlist_resting(thread)
    }

    #[cold]
    fn unlist_resting(&mut self, thread: ThreadId) -> bool {
        let id = self.threads[thread].own;
        if !core::mem::take(&mut self.slots[id].account.resting) {
            return false;
        }
        let home = VcpuId(self.threads[thread].vcpu);
        let next = self.slots[id].account.next;
        // `resting` of this account alone is false in the list.
        let (before, _) = self.rest_place(home, |other| !other.resting);
        self.rest_link(home, before, next);
        true
    }

    /// The server of a slot goes on, if it rested; it rests again when it is picked and nothing has changed.
    fn end_rest(&mut self, hardware: &mut impl Hardware, id: SlotId) {
        let Some(thread) = self.slots[id].server.some() else { return };
        if self.leave_rest(thread) {
            self.make_ready(hardware, thread, Place::Back);
        }
    }

    /// A caller came who can pay: the server need not rest if it waited for one.
    #[cold]
    pub(super) fn end_rest_of_waiter(&mut self, hardware: &mut impl Hardware, id: SlotId) {
        let Slot { account, server, .. } = self.slots[id];
        if account.resting && self.threads[server].saved == Saved::Collect {
            self.end_rest(hardware, id);
        }
    }

    /// Lets those go on whose refill is due; returns when the next one's is.
    pub(super) fn end_due_rests(
        &mut self,
        hardware: &mut impl Hardware,
        vcpu: VcpuId,
        now: u64,
    ) -> u64 {
        while let Some(id) = self.vcpus[vcpu].resting.some() {
            let account = &mut self.slots[id].account;
            if account.wake_at > now {
                return account.wake_at;
            }
            account.refill(now);
            self.end_rest(hardware, id);
        }
        u64::MAX
    }

    /// The account that pays for what a vCPU runs is used from here on: says when it will be used up. One who serves a used-up
    /// account must come to the core with the answer.
    #[cold]
    pub(super) fn end_of_budget(&mut self, vcpu: VcpuId) -> u64 {
        let Some(current) = self.running(vcpu) else { return u64::MAX };
        let Thread { payer, own, inbox, .. } = self.threads[current];
        let since = self.vcpus[vcpu].since;
        let account = &mut self.slots[payer].account;
        if account.budget == 0 {
            return u64::MAX;
        }
        account.begin(since);
        if !account.is_dry() || payer == own {
            return since.saturating_add_signed(account.left.max(0));
        }
        self.slots[inbox].attention |= ATTENTION_DRY;
        u64::MAX
    }

    /// The payer of a thread is the thread's own account from here on.
    pub(super) fn pay_oneself(&mut self, thread: ThreadId) {
        let Thread { own, .. } = self.threads[thread];
        self.threads[thread].payer = own;
        if self.limits {
            // Its inbox is its own slot's.
            self.slots[own].attention &= !ATTENTION_DRY;
        }
    }
}

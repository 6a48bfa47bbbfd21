//! A world whose time passes: timers fire when they are due, whoever runs uses the time, and it is known who paid for it.

use std::vec::Vec;

use super::ipc::trio;
use super::world::{HERE, World};
use crate::core::table::{SlotId, ThreadId, VcpuId};
use crate::core::thread::Thread;

/// Time that was used.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub from: u64,
    pub to: u64,
    /// Who paid.
    pub payer: SlotId,
    /// Somebody else than the payer used it.
    pub serving: bool,
}

/// The world, and who used its time so far.
pub struct Clockwork {
    pub world: World,
    pub spent: Vec<Spent>,
}

impl Clockwork {
    /// The four servers of the tests of calls.
    pub fn trio() -> Self {
        Self { world: trio(), spent: Vec::new() }
    }

    /// Limits a slot.
    pub fn limit(&mut self, slot: u16, budget: u64, period: u64) {
        let World { core, model, .. } = &mut self.world;
        core.preempted(HERE);
        core.account_set(model, SlotId(slot), budget, period).expect("a proper budget");
        self.world.settle();
    }

    /// Ends a limit.
    pub fn limit_off(&mut self, slot: u16) {
        self.limit(slot, 0, 0);
    }

    /// Who runs goes on doing so for some time, or who comes after. Every timer fires in time.
    pub fn pass(&mut self, time: u64) {
        let end = self.world.model.now + time;
        while let Some(at) = self.world.model.timer.filter(|at| *at <= end) {
            self.use_up(at);
            self.world.tick(at.max(self.world.model.now));
        }
        self.use_up(end);
        let timer = self.world.model.timer.unwrap_or(u64::MAX);
        assert!(timer <= self.world.core.vcpus[VcpuId(0)].earliest, "a deadline is forgotten");
    }

    fn use_up(&mut self, until: u64) {
        let now = self.world.model.now;
        if until <= now {
            return;
        }
        if let Some(thread) = self.world.current() {
            let Thread { payer, own, .. } = self.world.core.threads[thread];
            self.spent.push(Spent { from: now, to: until, payer, serving: payer != own });
        }
        self.world.model.now = until;
    }

    /// The hypervisor runs somebody else; timers that are due fire later.
    pub fn steal(&mut self, time: u64) {
        self.world.model.now += time;
        self.world.model.stolen += if self.world.current().is_some() { time } else { 0 };
        self.pass(0);
    }

    /// Sets bits, from outside.
    pub fn raise(&mut self, slot: u16, bits: u64) {
        self.world.core.preempted(HERE);
        self.world.core.raise(&mut self.world.model, SlotId(slot), bits);
        self.world.settle();
    }

    pub fn stop(&mut self, thread: ThreadId) {
        self.world.core.preempted(HERE);
        self.world.core.stop(&mut self.world.model, thread);
        self.world.settle();
    }

    /// What a slot paid for between two times.
    pub fn paid(&self, slot: u16, from: u64, to: u64) -> u64 {
        let mine = self.spent.iter().filter(|spent| spent.payer == SlotId(slot));
        mine.map(|spent| spent.to.min(to).saturating_sub(spent.from.max(from))).sum()
    }

    /// What a slot paid for.
    pub fn paid_in_all(&self, slot: u16) -> u64 {
        self.paid(slot, 0, u64::MAX)
    }

    /// What a slot's account was charged and granted.
    pub fn account(&self, slot: u16) -> (u64, u64) {
        let slot = &self.world.core.slots[SlotId(slot)];
        (slot.used, slot.account.granted)
    }

    pub fn left(&self, slot: u16) -> i64 {
        self.world.core.slots[SlotId(slot)].account.left
    }
}

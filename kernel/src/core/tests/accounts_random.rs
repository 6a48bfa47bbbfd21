//! Random schedules with budgets: no account ever takes more of a window of time than its bound, and none takes less than it
//! could have had.

use std::vec::Vec;

use abi::kernel::control::HandleKind;
use proptest::prelude::*;

use super::clockwork::{Clockwork, Spent};
use super::world::World;
use crate::core::hardware::Next;
use crate::core::table::{SlotId, ThreadId};

const US: u64 = 1_000;
/// What all turns that a call brings about may take together.
const PROMISE: u64 = 1_500 * US;
/// The same, as far as this test's servers keep it: one may come to run in the midst of a step.
const LONGEST: u64 = PROMISE + 2 * STEP;
/// The shortest step.
const STEP: u64 = 10 * US;
/// Priority of each slot but the supervisor's.
const PRIORITIES: [u8; 5] = [10, 10, 20, 30, 40];

/// What whoever runs does next.
#[derive(Clone, Copy, Debug)]
enum Does {
    Spins(u64),
    Calls(u16),
    Waits,
    Answers,
    /// And goes on, with a wait later.
    AnswersOnly,
}

#[derive(Clone, Debug)]
enum Step {
    Does(Does),
    Raise(u16),
    Cancel(u16),
    Kill(u16),
    Steal(u64),
    Nothing(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 1..6_u16;
    prop_oneof![
        8 => (1..400_u64).prop_map(|us| Step::Does(Does::Spins(us * US))),
        6 => slot.clone().prop_map(|slot| Step::Does(Does::Calls(slot))),
        1 => Just(Step::Does(Does::Waits)),
        5 => Just(Step::Does(Does::Answers)),
        1 => Just(Step::Does(Does::AnswersOnly)),
        4 => slot.clone().prop_map(Step::Raise),
        1 => slot.clone().prop_map(Step::Cancel),
        1 => slot.prop_map(Step::Kill),
        1 => (1..3000_u64).prop_map(|us| Step::Steal(us * US)),
        1 => (1..20_000_u64).prop_map(|us| Step::Nothing(us * US)),
    ]
}

/// Budget and period, or none.
fn limit() -> impl Strategy<Value = Option<(u64, u64)>> {
    prop_oneof![
        1 => Just(None),
        6 => (1..20_u64, 1..10_u64).prop_map(|(budget, times)| {
            Some((budget * 100 * US, budget * times * 100 * US))
        }),
    ]
}

struct Run {
    clock: Clockwork,
    limits: Vec<Option<(u64, u64)>>,
    /// Latest token of each thread.
    tokens: [u64; 6],
    /// What the call of each slot has cost so far beyond its own time.
    served: [u64; 6],
}

impl Run {
    fn new(limits: &[Option<(u64, u64)>]) -> Self {
        let mut world = World::boot();
        for (slot, priority) in (1..).zip(PRIORITIES) {
            world.server(slot, priority);
        }
        for (from, low) in (1..6).zip(PRIORITIES) {
            for (to, high) in (1..6).zip(PRIORITIES) {
                if low < high {
                    world.wire(ThreadId(from), to, HandleKind::Wire, to, 0x11, 1);
                }
            }
        }
        let mut clock = Clockwork { world, spent: Vec::new() };
        clock.world.wait(ThreadId(0));
        for (slot, limit) in (1..).zip(limits) {
            if let Some((budget, period)) = limit {
                clock.limit(slot, *budget, *period);
            }
        }
        Self { clock, limits: limits.to_vec(), tokens: [0; 6], served: [0; 6] }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Does(does) => self.does(does),
            Step::Raise(slot) => self.clock.raise(slot, 1),
            Step::Cancel(thread) => {
                let World { core, model, .. } = &mut self.clock.world;
                core.preempted(super::world::HERE);
                core.cancel(model, ThreadId(thread));
                self.clock.world.settle();
            }
            Step::Kill(thread) => {
                self.clock.stop(ThreadId(thread));
                let World { core, model, .. } = &mut self.clock.world;
                let _ = core.thread_start(model, ThreadId(thread), (0x40_0000, 0x2000_0000, 0));
                self.clock.world.settle();
            }
            Step::Steal(time) => self.clock.steal(time),
            Step::Nothing(time) if self.clock.world.next == Next::Idle => self.spin(time),
            Step::Nothing(_) => {}
        }
        let world = &self.clock.world;
        if let (Some(thread), Some(registers)) = (world.current(), world.resumed())
            && registers.r12 != 0
        {
            self.tokens[usize::from(thread.0)] = registers.rax;
        }
    }

    /// The payer of whoever runs.
    fn payer(&self) -> Option<(ThreadId, SlotId)> {
        let thread = self.clock.world.current()?;
        Some((thread, self.clock.world.core.threads[thread].payer))
    }

    fn does(&mut self, does: Does) {
        let Some((thread, payer)) = self.payer() else { return };
        let serves = payer != self.clock.world.core.threads[thread].own;
        let world = &mut self.clock.world;
        let token = self.tokens[usize::from(thread.0)];
        match does {
            Does::Spins(time) if serves => {
                // Servers keep their promise, together.
                let left = PROMISE.saturating_sub(self.served[usize::from(payer.0)]);
                self.spin(time.min(left));
            }
            Does::Spins(time) => self.spin(time),
            Does::Calls(to)
                if PRIORITIES[usize::from(to) - 1] > world.core.threads[thread].priority =>
            {
                if !serves {
                    self.served[usize::from(payer.0)] = 0;
                }
                self.clock.world.call(thread, to.into(), 1);
            }
            Does::Calls(_) => {}
            Does::Waits => world.wait(thread),
            Does::Answers => world.reply_wait(thread, token, 1),
            Does::AnswersOnly => world.reply(thread, token, 1),
        }
    }

    /// Time passes, and what of it is spent in serving is counted.
    fn spin(&mut self, time: u64) {
        let mut left = time;
        // Piece by piece: who comes to run meanwhile keeps the promise, too.
        while left > 0 {
            let piece = left.min(self.room());
            if piece == 0 {
                let Some((thread, _)) = self.payer() else { return };
                let token = self.tokens[usize::from(thread.0)];
                self.clock.world.reply_wait(thread, token, 1);
                continue;
            }
            let from = self.clock.spent.len();
            self.clock.pass(piece);
            for spent in self.clock.spent[from..].iter().filter(|spent| spent.serving) {
                self.served[usize::from(spent.payer.0)] += spent.to - spent.from;
            }
            left -= piece;
        }
    }

    /// How long time can pass until somebody may break the promise.
    fn room(&self) -> u64 {
        let Some((thread, payer)) = self.payer() else { return u64::MAX };
        let serves = payer != self.clock.world.core.threads[thread].own;
        let slowest = self.served.iter().copied().max().unwrap_or(0);
        if serves {
            PROMISE.saturating_sub(self.served[usize::from(payer.0)])
        } else {
            PROMISE.saturating_sub(slowest).max(STEP)
        }
    }

    /// The bound holds for every window that begins where somebody began to run or ends where somebody ended.
    fn check(&self) {
        for (slot, limit) in (1..).zip(&self.limits) {
            let Some((budget, period)) = *limit else { continue };
            let own = |spent: &&Spent| spent.payer == SlotId(slot);
            let own: Vec<Spent> = self.clock.spent.iter().filter(own).copied().collect();
            for (at, first) in own.iter().enumerate() {
                let mut sum = 0;
                for last in &own[at..] {
                    sum += last.to - last.from;
                    let window = last.to - first.from;
                    let most = (window.div_ceil(period) + 1) * budget + LONGEST;
                    assert!(sum <= most, "slot {slot}: {sum} of {window}, bound {most}");
                }
                let used = self.clock.paid(slot, first.from, first.from + period);
                assert!(used <= 2 * budget + LONGEST, "slot {slot}: {used} in a period");
            }
            let (used, granted) = self.clock.account(slot);
            assert!(used <= granted + LONGEST, "slot {slot}: {used} of {granted}");
            assert!(
                used <= self.clock.paid_in_all(slot),
                "slot {slot} paid for what it did not get"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_account_exceeds_its_bound_in_any_window(
        limits in prop::collection::vec(limit(), 5),
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let mut run = Run::new(&limits);
        for step in &steps {
            run.step(step);
        }
        run.check();
    }
}

#[test]
fn the_random_schedules_reach_what_matters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut rests, mut overdrawn, mut twice) = (0, 0, 0);
    for _ in 0..40 {
        let limits = prop::collection::vec(limit(), 5).new_tree(&mut runner).unwrap().current();
        let mut run = Run::new(&limits);
        for step in prop::collection::vec(step(), 300).new_tree(&mut runner).unwrap().current() {
            run.step(&step);
            let left = (1..6).map(|slot| run.clock.left(slot)).min().unwrap_or(0);
            overdrawn += u32::from(left < -400_000);
            let core = &run.clock.world.core;
            let resting = core.slots.iter().filter(|slot| slot.account.resting).count();
            twice += u32::from(resting > 1);
        }
        rests += run.clock.world.core.slots.iter().map(|slot| slot.account.rests).sum::<u32>();
    }
    assert!(rests > 200 && overdrawn > 100 && twice > 100, "{rests} {overdrawn} {twice}");
}

//! Random operations on the core and on the naive model: after each, both say the same and all invariants hold.

use std::vec::Vec;

use abi::fault::FaultKind;
use abi::kernel::control::{HandleKind, SlotState};
use abi::{Message, Status};
use proptest::prelude::*;

use super::naive::{Does, Goes, Leads, Naive, Registers, Slot, Thread};
use super::naive_accounts;
use super::steps::{Step, step};
use super::tokens::Used;
use super::world::{World, message};
use crate::core::account::Account;
use crate::core::hardware::{Next, TrapRegisters};
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::State;

/// Priority of each slot.
const PRIORITIES: [u8; 7] = [255, 10, 10, 20, 20, 30, 40];
/// Manager of each slot.
const MANAGERS: [u16; 7] = [0, 3, 5, 6, 0, 6, 0];
/// Entries of a server's table.
const HANDLES: u16 = 12;

/// Both, every token that was seen, and those that were used.
pub struct Pair {
    pub world: World,
    pub naive: Naive,
    tokens: Vec<u64>,
    pub incarnation: u32,
    pub used: Used,
    /// Two slots each are on one of so many vCPUs.
    vcpus: u16,
    /// What each vCPU does, as it was when it was last looked at.
    pub nexts: Vec<Next>,
}

impl Pair {
    pub fn new() -> Self {
        Self::on(1)
    }

    /// On so many vCPUs.
    pub fn on(vcpus: u16) -> Self {
        let mut world = World::boot_with(super::world::COUNTS, vcpus.into());
        let others = std::vec![None; vcpus.into()];
        let mut naive = Naive { others, ..Naive::default() };
        for (slot, priority) in PRIORITIES.into_iter().enumerate() {
            if slot != 0 {
                world
                    .core
                    .slot_configure(
                        SlotId(slot as u16),
                        priority,
                        (slot as u16).div_ceil(2) % vcpus,
                    )
                    .unwrap();
            }
            let state = if slot == 0 { SlotState::Up } else { SlotState::Off };
            naive.slots.push(Slot {
                state,
                bits: 0,
                callers: Vec::new(),
                server: None,
                manager: usize::from(MANAGERS[slot]),
                account: None,
            });
        }
        for (slot, manager) in (0..).zip(MANAGERS).skip(1) {
            world.core.slot_manager(SlotId(slot), SlotId(manager)).unwrap();
        }
        naive.threads = std::vec![Thread::none(); 8];
        naive.slots[0].server = Some(0);
        naive.threads[0] = Thread {
            exists: true,
            does: Does::Runs,
            priority: 255,
            handles: std::vec![
                Leads::Kernel,
                Leads::Kernel,
                Leads::Nowhere,
                Leads::Nowhere,
                Leads::Nowhere,
                Leads::Nowhere,
                Leads::Nowhere,
                Leads::Nowhere
            ],
            ..Thread::none()
        };
        naive.current = Some(0);
        world.model.now = super::naive::NOW;
        naive.now = super::naive::NOW;
        let (tokens, used) = (Vec::new(), Used::default());
        let nexts = std::vec![Next::Idle; vcpus.into()];
        let mut pair = Self { world, naive, tokens, incarnation: 0, used, vcpus, nexts };
        for slot in 1..7 {
            pair.set(slot, SlotState::Up);
            pair.create(slot);
        }
        pair.settle();
        pair
    }

    pub(super) fn set(&mut self, slot: u16, state: SlotState) {
        self.world.core.slot_state(&mut self.world.model, SlotId(slot), state).unwrap();
        self.naive.slot_state(usize::from(slot), state);
    }

    /// Fills an empty slot with a server that has a wire to every slot above and a bell to all others.
    pub(super) fn create(&mut self, slot: u16) {
        let w = &mut self.world;
        let Ok(server) = w.core.server_create(&mut w.model, SlotId(slot), HANDLES) else { return };
        self.incarnation += 1;
        let mut handles = std::vec![Leads::Nowhere; usize::from(HANDLES)];
        handles[0] = Leads::Kernel;
        for to in 0..7_u16 {
            let (badge, bits) = (u32::from(slot) << 8 | self.incarnation, 1 << slot);
            let rises = PRIORITIES[usize::from(slot)] < PRIORITIES[usize::from(to)];
            let kind = if rises { HandleKind::Wire } else { HandleKind::Bell };
            w.wire(server, 2 + to, kind, to, badge, bits);
            let to_slot = usize::from(to);
            handles[usize::from(2 + to)] = if rises {
                Leads::Wire { slot: to_slot, badge, bits, stale: false }
            } else {
                Leads::Bell { slot: to_slot, bits }
            };
        }
        let at = usize::from(server.0);
        self.naive.threads[at] = Thread {
            exists: true,
            priority: PRIORITIES[usize::from(slot)],
            slot: usize::from(slot),
            vcpu: usize::from(slot.div_ceil(2) % self.vcpus),
            payer: usize::from(slot),
            handles,
            generation: self.naive.threads[at].generation,
            ..Thread::none()
        };
        self.naive.slots[usize::from(slot)].server = Some(at);
        self.start(server.0);
    }

    pub(super) fn start(&mut self, thread: u16) {
        let w = &mut self.world;
        if w.core.live_server(thread).is_ok()
            && w.core
                .thread_start(&mut w.model, ThreadId(thread), (0x40_0000, 0x2000_0000, 0))
                .is_ok()
        {
            self.naive.start(usize::from(thread));
        }
    }

    pub(super) fn destroy(&mut self, slot: u16) {
        let Some(server) = self.naive.slots[usize::from(slot)].server else { return };
        self.naive.destroy(server);
        loop {
            let w = &mut self.world;
            if w.core.server_destroy(&mut w.model, ThreadId(server as u16)).unwrap() {
                break;
            }
            self.let_go();
        }
    }

    pub(super) fn trap(&mut self, rax: u64, message: Message) {
        let current = self.world.current();
        // The supervisor breaks no rule here: that would be the end.
        let (rax, message) = match current {
            None => return,
            Some(ThreadId(0)) if !matches!(rax as u8, 1 | 2) => (1, Message::default()),
            Some(_) => (rax, message),
        };
        let registers = TrapRegisters {
            rax,
            rdi: message.label,
            words: message.words,
            rip: super::naive::TRAP_AT + 2,
            rsp: super::naive::TRAP_STACK,
            ..Default::default()
        };
        self.used.note(&self.world.core, self.world.here, rax);
        self.world.core.trap(&mut self.world.model, self.world.here, registers);
        self.naive.trap(rax, message);
    }

    /// The first wire of whoever runs that leads to slot `to` or to one after it.
    fn wire_above(&self, to: u16) -> u64 {
        let Some(current) = self.world.current() else { return 0 };
        let handles = &self.naive.threads[usize::from(current.0)].handles;
        let wire = |at: &u64| matches!(handles.get(*at as usize), Some(Leads::Wire { .. }));
        (0..7).map(|i| 2 + (u64::from(to) + i) % 7).find(wire).unwrap_or(0)
    }

    pub fn run(&mut self, step: &Step) {
        match *step {
            Step::Trap { number, above, label } => {
                self.trap(above << 8 | u64::from(number), message(label))
            }
            Step::Answer { back, label, wait } => {
                let token = self.tokens.iter().rev().nth(back).copied().unwrap_or(1 << 60);
                self.trap(token & !0xff | if wait { 1 } else { 2 }, message(label));
            }
            Step::HandOn { back } => {
                let token = self.tokens.iter().rev().nth(back).copied().unwrap_or(1 << 60);
                self.trap(token & !0xff | 2, Message::new(0, [2, 0, 0, 0, 0]));
            }
            Step::Wait => self.trap(1, Message::default()),
            Step::Call { to, label } => self.trap(self.wire_above(to) << 8, message(label)),
            Step::Notify { to } => self.trap(u64::from(to + 2) << 8 | 3, Message::default()),
            Step::Kernel { label } => self.trap(0, message(label)),
            Step::Exception => {
                if self.world.current().is_some_and(|current| current.0 != 0) {
                    self.world.exception(FaultKind::Page);
                    self.naive.exception(FaultKind::Page);
                }
            }
            _ => {
                self.world.core.preempted(self.world.here);
                self.naive.interrupted();
                self.supervise(step);
            }
        }
        self.settle();
    }

    /// What comes from outside, or from the supervisor.
    pub fn supervise(&mut self, step: &Step) {
        let here = self.world.here;
        let World { core, model, .. } = &mut self.world;
        let live = |raw| core.live_server(raw).ok();
        match *step {
            Step::Raise { slot, bits } => {
                core.raise(model, SlotId(slot), bits);
                self.naive.raise(usize::from(slot), bits);
            }
            Step::Stop { thread } => {
                if let Some(id) = live(thread) {
                    core.stop(model, id);
                    self.naive.stop(usize::from(thread));
                }
            }
            Step::Resume { thread } => {
                let resumed = live(thread).map(|id| core.thread_resume(model, id).is_ok());
                assert_eq!(resumed.unwrap_or(false), self.naive.resume(usize::from(thread)));
            }
            Step::Cancel { thread } => {
                if let Some(id) = live(thread) {
                    core.cancel(model, id);
                    self.naive.cancel(usize::from(thread));
                }
            }
            Step::Pass { time, stolen } => {
                model.now += time;
                model.stolen += if self.naive.runs().is_some() { stolen } else { 0 };
                core.timer(model, here);
                self.naive.pass(time, stolen);
            }
            Step::Limit { slot, budget, period } => {
                core.account_set(model, SlotId(slot), budget, period).unwrap();
                self.naive.limit(usize::from(slot), budget, period);
            }
            Step::Start { thread } => self.start(thread),
            Step::Set { slot, state } => self.set(slot, state),
            Step::Destroy { slot } => self.destroy(slot),
            Step::Create { slot } => self.create(slot),
            Step::Restart { slot } => {
                let server = self.naive.slots[usize::from(slot)].server;
                if server.is_none_or(|server| self.naive.threads[server].does == Does::Nothing) {
                    self.set(slot, SlotState::Down);
                    self.destroy(slot);
                    self.create(slot);
                    self.set(slot, SlotState::Up);
                }
            }
            _ => {}
        }
    }

    /// Asks both who runs, and compares all that they know.
    pub fn settle(&mut self) {
        self.world.settle();
        self.used.check(&self.world.core);
        let next = match self.world.next {
            Next::Idle => None,
            Next::Fatal(fault) => panic!("{fault:?}"),
            Next::Run { thread, .. } => Some((usize::from(thread), goes(self.world.resumed()))),
        };
        assert_eq!(next, self.naive.settle());
        if let Some((_, Goes::Trap(Registers { rax, badge, .. }))) = next
            && badge != 0
            && self.tokens.last() != Some(&rax)
        {
            self.tokens.push(rax);
        }
        assert_eq!(self.world.core.stale_tokens, self.naive.stale_tokens);
        assert_eq!(self.world.core.lost_notifications, self.naive.lost);
        for (at, naive) in self.naive.threads.iter().enumerate() {
            let thread = &self.world.core.threads[ThreadId(at as u16)];
            assert_eq!(does(thread.state, thread.callee), naive.does, "thread {at}");
            if naive.exists && thread.state != State::Stopped {
                assert_eq!(usize::from(thread.payer.0), naive.payer, "payer of {at}");
            }
        }
        for (at, naive) in self.naive.slots.iter().enumerate() {
            let slot = &self.world.core.slots[SlotId(at as u16)];
            assert_eq!((slot.state, slot.bits), (naive.state, naive.bits), "slot {at}");
            let limited = slot.account.budget != 0;
            assert_eq!(limited.then_some(account(&slot.account)), naive.account, "account {at}");
            let resting =
                self.naive.resting.iter().any(|(_, thread)| Some(*thread) == naive.server);
            assert_eq!(slot.account.resting, resting, "whether the server of {at} rests");
        }
    }
}

fn account(account: &Account) -> naive_accounts::Account {
    let Account { budget, period, left, refill_at, .. } = *account;
    naive_accounts::Account {
        budget: budget.into(),
        period: period.into(),
        left: left.into(),
        refill_at: refill_at.into(),
    }
}

fn goes(registers: Option<TrapRegisters>) -> Goes {
    match registers {
        None => Goes::Frame,
        Some(r) => Goes::Trap(Registers {
            rax: r.rax,
            message: Message::new(r.rdi, r.words),
            badge: r.r12,
            bits: r.r13,
            rip: r.rip,
        }),
    }
}

fn does(state: State, callee: SlotId) -> Does {
    match state {
        State::Stopped => Does::Nothing,
        State::Ready => Does::Ready,
        State::Running => Does::Runs,
        State::Waiting => Does::Waits,
        State::Queued => Does::Queues(usize::from(callee.0)),
        State::Awaiting => Does::Awaits(usize::from(callee.0)),
        State::FaultQueued => Does::FaultQueues(usize::from(callee.0)),
        State::Faulted => Does::Faulted(usize::from(callee.0)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_core_and_the_naive_model_agree(steps in prop::collection::vec(step(), 1..300)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.run(step);
        }
    }
}

#[test]
fn the_random_steps_reach_what_matters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut calls, mut faults, mut restarted, mut reset, mut stale, mut cancelled, mut nested) =
        (0, 0, 0, 0, 0, 0, 0);
    let (mut rests, mut served, mut managed, mut passed) = (0, 0, 0, 0);
    for _ in 0..120 {
        let mut pair = Pair::new();
        for step in prop::collection::vec(step(), 300).new_tree(&mut runner).unwrap().current() {
            pair.run(&step);
            if let Some(r) = pair.world.resumed() {
                calls += u32::from(r.rax as u8 == 1 && r.r12 != 0);
                faults += u32::from(r.rax as u8 == 2 && r.r12 != 0);
                restarted += u32::from(r.rax == Status::Restarted as u64 && r.r12 == 0);
                reset += u32::from(r.rax == Status::Reset as u64 && r.r12 == 0);
                cancelled += u32::from(r.rax == Status::Cancelled as u64);
            }
            let manager = |at: &&Thread| {
                let slot = &pair.naive.slots[at.slot];
                slot.manager != 0 && at.does == Does::Faulted(slot.manager)
            };
            managed += pair.naive.threads.iter().filter(manager).count();
            let handed = |at: &&Thread| {
                let slot = &pair.naive.slots[at.slot];
                slot.manager != 0 && at.does == Does::Faulted(0)
            };
            passed += pair.naive.threads.iter().filter(handed).count();
            let awaiting =
                pair.naive.threads.iter().filter(|thread| matches!(thread.does, Does::Awaits(_)));
            nested += u32::from(awaiting.count() > 2);
            let slots = &pair.naive.slots;
            let overdrawn = |at: &&Thread| {
                at.payer != at.slot
                    && slots[at.payer].account.is_some_and(|account| account.left < 0)
            };
            served += u32::from(
                pair.naive.runs().map(|at| &pair.naive.threads[at]).filter(overdrawn).is_some(),
            );
        }
        rests += pair.world.core.slots.iter().map(|slot| slot.account.rests).sum::<u32>();
        stale += pair.naive.stale_tokens;
    }
    let reached = [calls, faults, restarted, reset, cancelled, nested, rests, served];
    assert!(managed > 100 && passed > 100, "{managed} {passed}");
    assert!(reached.iter().all(|count| *count > 10) && stale > 100, "{reached:?} {stale}");
}

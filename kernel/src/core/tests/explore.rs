//! All that can happen to three servers within a number of steps: calls, answers, waits, faults, kills, cancels and restarts
//! in every order.
//!
//! Breadth first. Two situations that differ in nothing that decides what can happen next (not in generations, messages or
//! counts) are one, and are gone on from once. After each step the core and the naive model agree, and what must always hold
//! of calls and waits does.
//!
//! Two of the three serve: the lowest calls both, the middle one the highest. The supervisor waits, and does what it does from
//! outside. What a live swap will add is one more [`Step`]; a restart stands in for it.

use std::collections::HashSet;
use std::vec::Vec;

use abi::fault::FaultKind;
use abi::kernel::control::SlotState;
use abi::token::Kind;
use abi::{Message, Token, trap};

use super::explore_steps::{Step, steps};
use super::naive::{Does, Goes, Leads, Naive};
use super::random_ipc::Pair;
use super::steps::Step as Random;
use super::world::{HERE, message};
use crate::core::handle::Handle;
use crate::core::quota::Holdings;
use crate::core::schedule::Processor;
use crate::core::slot::Slot;
use crate::core::table::{Number, SlotId, ThreadId, VcpuId};
use crate::core::thread::Thread;

/// A situation, as far as it decides what can happen next.
type Key = Vec<u8>;

/// What of a core the steps change.
struct Copy {
    naive: Naive,
    threads: Vec<Thread>,
    slots: Vec<Slot>,
    holdings: Vec<Holdings>,
    handles: Vec<Handle>,
    processor: Processor,
    counts: (u64, u64, u32, usize),
}

struct Explorer {
    pair: Pair,
    /// The three slots, the lowest priority first.
    slots: [u16; 3],
}

impl Explorer {
    /// Three servers that were just started, in these of the pair's slots; the others are off and empty.
    fn new(slots: [u16; 3]) -> Self {
        let mut pair = Pair::new();
        pair.trap(u64::from(trap::REPLY_WAIT), Message::default());
        pair.settle();
        for slot in (1..7).filter(|slot| !slots.contains(slot)) {
            pair.set(slot, SlotState::Off);
            pair.destroy(slot);
        }
        pair.settle();
        pair.world.calls_alone = true;
        Self { pair, slots }
    }

    fn server(&self, slot: u8) -> Option<usize> {
        self.pair.naive.slots[usize::from(self.slots[usize::from(slot)])].server
    }

    fn trap(&mut self, number: u8, above: u64, message: Message) -> bool {
        let runs = self.pair.naive.runs().is_some();
        if runs {
            self.pair.trap(above << 8 | u64::from(number), message);
        }
        runs
    }

    /// The handle that every server has for a slot.
    fn handle(&self, slot: u8) -> u64 {
        2 + u64::from(self.slots[usize::from(slot)])
    }

    fn answer(&mut self, number: u8, slot: u8, back: u32) -> bool {
        let Some(caller) = self.server(slot) else { return false };
        let thread = &self.pair.naive.threads[caller];
        let generation = thread.generation.wrapping_sub(back);
        let token = Token::new(Kind::Call, caller as u16, generation);
        self.trap(number, token.bits() >> 8, message(9))
    }

    fn verdict(&mut self, slot: u8, goes_on: bool) -> bool {
        let faulted = |at: &usize| matches!(self.pair.naive.threads[*at].does, Does::Faulted(_));
        let Some(server) = self.server(slot).filter(faulted) else { return false };
        self.outside(&Random::Raise { slot: 0, bits: 1 });
        self.pair.settle();
        let generation = self.pair.naive.threads[server].generation;
        let token = Token::new(Kind::Fault, server as u16, generation).bits();
        let verdict = Message::new(0, [u64::from(!goes_on); 5]);
        self.pair.trap(token & !0xff | u64::from(trap::REPLY_WAIT), verdict);
        true
    }

    fn outside(&mut self, step: &Random) {
        self.pair.world.core.preempted(HERE);
        self.pair.naive.interrupted();
        self.pair.supervise(step);
    }

    fn exception(&mut self) -> bool {
        let runs = self.pair.naive.runs().is_some();
        if runs {
            self.pair.world.exception(FaultKind::Page);
            self.pair.naive.exception(FaultKind::Page);
        }
        runs
    }

    fn restart(&mut self, slot: u16) {
        self.pair.set(slot, SlotState::Down);
        self.pair.destroy(slot);
        self.pair.create(slot);
        self.pair.set(slot, SlotState::Up);
    }

    /// Does a step and checks everything; false if it cannot be done now.
    fn step(&mut self, step: Step) -> bool {
        if !self.act(step) {
            return false;
        }
        self.pair.settle();
        while self.pair.naive.runs() == Some(0) {
            // The supervisor took what there was for it.
            self.pair.trap(u64::from(trap::REPLY_WAIT), Message::default());
            self.pair.settle();
        }
        true
    }

    fn act(&mut self, step: Step) -> bool {
        let number = |slot: u8| self.slots[usize::from(slot)];
        let from_outside = match step {
            Step::Call(to) => return self.trap(trap::CALL, self.handle(to), message(to.into())),
            Step::Notify(to) => {
                return self.trap(trap::NOTIFY, self.handle(to), Message::default());
            }
            Step::Answer(slot) => return self.answer(trap::REPLY_WAIT, slot, 0),
            Step::AnswerOnly(slot) => return self.answer(trap::REPLY, slot, 0),
            Step::AnswerLate(slot) => return self.answer(trap::REPLY_WAIT, slot, 1),
            Step::Wait => return self.trap(trap::REPLY_WAIT, 0, Message::default()),
            Step::Pause => return self.trap(trap::CALL, 0, Message::new(5, [0; 5])),
            Step::BadTrap => return self.trap(9, 0, message(1)),
            Step::Exception => return self.exception(),
            Step::Verdict(slot, goes_on) => return self.verdict(slot, goes_on),
            Step::Raise(slot) => Random::Raise { slot: number(slot), bits: 1 },
            Step::Set(slot, state) => Random::Set { slot: number(slot), state },
            Step::Create(slot) => Random::Create { slot: number(slot) },
            Step::Destroy(slot) | Step::Restart(slot) if self.server(slot).is_none() => {
                return false;
            }
            Step::Destroy(slot) => Random::Destroy { slot: number(slot) },
            Step::Restart(slot) => {
                let slot = number(slot);
                self.pair.world.core.preempted(HERE);
                self.pair.naive.interrupted();
                self.restart(slot);
                return true;
            }
            Step::Stop(slot) | Step::Start(slot) | Step::Cancel(slot) => {
                let Some(server) = self.server(slot) else { return false };
                let thread = server as u16;
                match step {
                    Step::Stop(_) => Random::Stop { thread },
                    Step::Start(_) => Random::Start { thread },
                    _ => Random::Cancel { thread },
                }
            }
        };
        self.outside(&from_outside);
        true
    }

    fn copy(&self) -> Copy {
        let core = &self.pair.world.core;
        Copy {
            naive: self.pair.naive.clone(),
            threads: core.threads.iter().copied().collect(),
            slots: core.slots.iter().copied().collect(),
            holdings: core.holdings.iter().copied().collect(),
            handles: core.handles.to_vec(),
            processor: core.vcpus[VcpuId(0)],
            counts: (
                core.stale_tokens,
                core.lost_notifications,
                self.pair.incarnation,
                self.pair.world.model.tables_left,
            ),
        }
    }

    fn restore(&mut self, copy: &Copy) {
        let (core, model) = (&mut self.pair.world.core, &mut self.pair.world.model);
        for (at, thread) in (0..).zip(&copy.threads) {
            core.threads[ThreadId(at)] = *thread;
        }
        for (at, slot) in (0..).zip(&copy.slots) {
            core.slots[SlotId(at)] = *slot;
        }
        for (at, holdings) in (0..).zip(&copy.holdings) {
            core.holdings[SlotId(at)] = *holdings;
        }
        core.handles.copy_from_slice(&copy.handles);
        core.vcpus[VcpuId(0)] = copy.processor;
        (core.stale_tokens, core.lost_notifications) = (copy.counts.0, copy.counts.1);
        (self.pair.incarnation, model.tables_left) = (copy.counts.2, copy.counts.3);
        // No page is mapped for these servers: a space is there or not.
        for thread in 1..copy.threads.len() as u16 {
            let exists = copy.threads[usize::from(thread)].space != 0;
            if exists {
                model.spaces.entry(thread).or_default();
                model.tables.entry(thread).or_default();
            } else {
                model.spaces.remove(&thread);
                model.tables.remove(&thread);
            }
        }
        self.pair.naive.clone_from(&copy.naive);
        self.pair.used = Default::default();
        self.pair.world.next = core.next(model, HERE);
    }

    /// Everything that decides what can happen next.
    fn key(&self) -> Key {
        let naive = &self.pair.naive;
        let core = &self.pair.world.core;
        let name = |thread: Option<usize>| thread.map_or(0xff, |thread| thread as u8);
        let mut key = std::vec![name(naive.current)];
        key.extend(naive.ready.iter().map(|thread| *thread as u8));
        for (at, thread) in naive.threads.iter().enumerate().filter(|(_, thread)| thread.exists) {
            let (does, to) = match thread.does {
                Does::Nothing => (0, 0),
                Does::Ready => (1, 0),
                Does::Runs => (2, 0),
                Does::Waits => (3, 0),
                Does::Queues(slot) => (4, slot),
                Does::Awaits(slot) => (5, slot),
                Does::FaultQueues(slot) => (6, slot),
                Does::Faulted(slot) => (7, slot),
            };
            let goes = match thread.goes {
                Goes::Frame => 0,
                Goes::Trap(_) => 1,
                Goes::Inbox => 2,
            };
            let stale = |leads: &Leads| matches!(leads, Leads::Wire { stale: true, .. });
            let stale = thread.handles.iter().enumerate().filter(|(_, leads)| stale(leads));
            let stale = stale.fold(0, |all, (at, _)| all | 1_u16 << at);
            key.extend([0xfe, at as u8, thread.slot as u8, does, to as u8, goes]);
            key.push(thread.payer as u8);
            key.extend(stale.to_le_bytes());
            key.push(core.threads[ThreadId(at as u16)].saved as u8);
        }
        for slot in self.slots {
            let (told, kept) = (&naive.slots[usize::from(slot)], &core.slots[SlotId(slot)]);
            key.extend([0xfd, told.state as u8, u8::from(told.bits != 0), name(told.server)]);
            key.extend([kept.attention as u8, kept.parked.raw() as u8]);
            key.extend(told.callers.iter().map(|caller| *caller as u8));
        }
        key.push(core.vcpus[VcpuId(0)].floor as u8);
        key
    }
}

/// Tells the way to a failure.
struct Way<'s>(&'s [Step], Step);

impl Drop for Way<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("after {:?}, at {:?}", self.0, self.1);
        }
    }
}

/// How many situations there are, and how many steps were tried.
#[derive(Debug, Default)]
struct Seen {
    situations: usize,
    tried: usize,
    kinds: HashSet<std::mem::Discriminant<Step>>,
}

/// Goes on from every situation that `depth` steps can lead to from where `first` led, with every step.
fn explore(slots: [u16; 3], first: &[Step], depth: usize) -> Seen {
    let mut explorer = Explorer::new(slots);
    for step in first {
        assert!(explorer.step(*step), "{step:?}");
    }
    let (steps, start, key) = (steps(), explorer.copy(), explorer.key());
    let mut seen = Seen::default();
    let mut known = HashSet::from([key]);
    let mut frontier: Vec<Vec<Step>> = std::vec![Vec::new()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for way in &frontier {
            explorer.restore(&start);
            for step in way {
                assert!(explorer.step(*step));
            }
            let here = explorer.copy();
            for step in &steps {
                let told = Way(way, *step);
                explorer.restore(&here);
                if !explorer.step(told.1) {
                    continue;
                }
                seen.tried += 1;
                seen.kinds.insert(std::mem::discriminant(step));
                if known.insert(explorer.key()) {
                    next.push([way.as_slice(), &[*step]].concat());
                }
            }
        }
        frontier = next;
    }
    seen.situations = known.len();
    seen
}

/// One below another below a third.
const CHAIN: [u16; 3] = [1, 3, 5];
/// Two equals below a third.
const EQUALS: [u16; 3] = [1, 2, 5];
/// The two above wait, and the lowest runs.
const SERVED: [Step; 2] = [Step::Wait, Step::Wait];

/// Explores from the start and from where servers wait; tells how much there was.
fn all(slots: [u16; 3], depth: usize) {
    for first in [&[][..], &SERVED] {
        let Seen { situations, tried, kinds } = explore(slots, first, depth);
        std::println!("{slots:?} {first:?}: {depth} steps, {situations} situations, {tried} steps");
        // Each more step leads to at least three times as many.
        assert!(situations > 3_usize.pow(depth as u32 + 3), "{situations} situations");
        assert_eq!(kinds.len(), 18, "a kind of step is never possible");
    }
}

#[test]
fn nothing_breaks_a_chain_of_three_within_five_steps() {
    all(CHAIN, 5);
}

#[test]
fn nothing_breaks_two_equals_and_their_server_within_four_steps() {
    all(EQUALS, 4);
}

/// Minutes, and some GiB: `cargo test --release -p kernel explore -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes"]
fn nothing_breaks_within_eight_steps() {
    all(CHAIN, 8);
    all(EQUALS, 8);
}

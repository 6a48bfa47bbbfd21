//! The quick path against the core: the same random steps on two worlds, one of which tries each trap by the assembly first.
//! After each step both know the same, and all registers are what the core alone would have returned.

use std::vec;
use std::vec::Vec;

use abi::fault::FaultKind;
use abi::kernel::control::{HandleKind, SlotState};
use abi::{Message, trap};

use super::quick_steps::Random;
use super::steps::Step;
use super::world::{HERE, World, message};
use crate::core::hardware::{Next, Resume, TrapRegisters};
use crate::core::table::{SlotId, ThreadId, VcpuId};
use crate::core::thread::{Saved, State, Thread};
use crate::machine::quick::USER_FLAGS;
use crate::machine::quick_host::{Host, Registers};

/// Priority of each slot: two pairs of equals.
const PRIORITIES: [u8; 7] = [255, 10, 10, 20, 20, 30, 40];
/// Entries of a server's table.
const HANDLES: u16 = 12;
/// What no register may show that was not asked for.
const STAIN: u64 = 0x5a5a_dead_5a5a_0000;

/// What the steps reached.
#[derive(Debug, Default)]
struct Reached {
    calls: u64,
    answers: u64,
    /// Answers after which who answers goes on.
    replies: u64,
    /// Notifications of somebody more urgent who waits; of all others.
    wakes: u64,
    notices: u64,
    slow: u64,
    locked: u64,
}

/// Both worlds.
struct Twins {
    plain: World,
    quick: World,
    host: Host,
    random: Random,
    tokens: Vec<u64>,
    badge: u32,
    /// Memory that the threads' stack pointers point into, so that a signal of the host would find a stack.
    stacks: u64,
    reached: Reached,
}

impl Twins {
    fn new(seed: u64) -> Self {
        let stacks = vec![0_u8; 1 << 18].leak().as_ptr().expose_provenance() as u64;
        let mut twins = Self {
            plain: World::boot(),
            quick: World::boot(),
            host: Host::one(),
            random: Random::new(seed),
            tokens: Vec::new(),
            badge: 0,
            stacks,
            reached: Reached::default(),
        };
        let places = twins.quick.core.places(HERE);
        assert!(twins.host.quick().fill(&places, 0));
        for (slot, priority) in (0..).zip(PRIORITIES).skip(1) {
            twins.both(|w| w.core.slot_configure(SlotId(slot), priority, 0).unwrap());
            twins.both(|w| w.core.slot_longest(SlotId(slot), u64::from(slot) << 40));
            twins.set(slot, SlotState::Up);
        }
        for slot in 1..7 {
            twins.create(slot);
        }
        twins.settle();
        twins
    }

    fn both<R: PartialEq + core::fmt::Debug>(&mut self, work: impl Fn(&mut World) -> R) -> R {
        let plain = work(&mut self.plain);
        assert_eq!(plain, work(&mut self.quick));
        plain
    }

    fn set(&mut self, slot: u16, state: SlotState) {
        let _ = self.both(|w| w.core.slot_state(&mut w.model, SlotId(slot), state));
    }

    /// Fills an empty slot with a server that has a wire to every slot above and a bell to all others.
    fn create(&mut self, slot: u16) {
        self.badge += 1;
        let badge = u32::from(slot) << 24 | self.badge;
        self.both(|w| {
            let created = w.core.server_create(&mut w.model, SlotId(slot), HANDLES);
            let Ok(server) = created else { return };
            for to in 0..7_u16 {
                let rises = PRIORITIES[usize::from(slot)] < PRIORITIES[usize::from(to)];
                let kind = if rises { HandleKind::Wire } else { HandleKind::Bell };
                w.wire(server, 2 + to, kind, to, badge, 1 << slot);
            }
            w.wire(server, 9, HandleKind::Port, 1, 0, 1 << slot);
            w.wire(server, 10, HandleKind::Bell, 1, 0, 0);
            w.core.thread_start(&mut w.model, server, (0x40_0000, 0x2000_0000, 0)).unwrap();
        });
    }

    fn destroy(&mut self, slot: u16) {
        let server = self.both(|w| w.core.slots[SlotId(slot)].server);
        while server != ThreadId::NONE
            && !self.both(|w| w.core.server_destroy(&mut w.model, server)).unwrap_or(true)
        {
            self.settle();
        }
    }

    fn restart(&mut self, slot: u16) {
        let server = self.both(|w| w.core.slots[SlotId(slot)].server);
        let state = self.plain.core.threads.check(server.0).map(|id: ThreadId| id);
        if state.is_none_or(|id| self.plain.core.threads[id].state == State::Stopped) {
            self.set(slot, SlotState::Down);
            self.destroy(slot);
            self.create(slot);
            self.set(slot, SlotState::Up);
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Trap { number, above, label } => {
                self.trap(above << 8 | u64::from(number), message(label))
            }
            Step::Answer { back, label, wait } => {
                let token = self.token(back);
                let number = if wait { trap::REPLY_WAIT } else { trap::REPLY };
                self.trap(token & !0xff | u64::from(number), message(label));
            }
            Step::Wait => self.trap(1, Message::default()),
            Step::Call { to, label } => {
                let wire = self.wire_above(to);
                self.trap(wire << 8, message(label));
            }
            Step::Notify { to } => self.trap(u64::from(to + 2) << 8 | 3, Message::default()),
            Step::Kernel { label } => self.trap(0, message(label)),
            _ => {
                self.enter();
                self.both(|w| w.core.preempted(HERE));
                self.supervise(step);
                self.settle();
            }
        }
    }

    fn supervise(&mut self, step: &Step) {
        match *step {
            Step::Exception if self.plain.current().is_some_and(|current| current.0 != 0) => {
                self.both(|w| w.exception(FaultKind::Page));
            }
            Step::Interrupt => self.both(|w| w.core.timer(&mut w.model, HERE)),
            Step::Raise { slot, bits } => {
                self.both(|w| w.core.raise(&mut w.model, SlotId(slot), bits));
            }
            Step::Stop { thread } => self.live(thread, |w, id| w.core.stop(&mut w.model, id)),
            Step::Cancel { thread } => self.live(thread, |w, id| {
                w.core.cancel(&mut w.model, id);
            }),
            Step::Start { thread } => self.live(thread, |w, id| {
                let _ = w.core.thread_start(&mut w.model, id, (0x40_0000, 0x2000_0000, 0));
            }),
            Step::Set { slot, state } => self.set(slot, state),
            Step::Destroy { slot } => self.destroy(slot),
            Step::Create { slot } => self.create(slot),
            Step::Restart { slot } => self.restart(slot),
            _ => {}
        }
    }

    fn live(&mut self, thread: u16, work: impl Fn(&mut World, ThreadId)) {
        self.both(|w| w.core.live_server(thread).is_ok().then(|| work(w, ThreadId(thread))));
    }

    /// The first wire of whoever runs that leads to slot `to` or to one after it.
    fn wire_above(&mut self, to: u16) -> u64 {
        let Some(current) = self.plain.current() else { return 0 };
        let mut is_wire = |at: &u16| {
            let handle = self.plain.core.handle(current, *at);
            handle
                .is_some_and(|handle| matches!(handle.kind(), HandleKind::Wire | HandleKind::Stale))
        };
        (0..7).map(|i| 2 + (to + i) % 7).find(|at| is_wire(at)).unwrap_or(0).into()
    }

    /// A token that whoever runs may answer, if there is one and unless `back` is 0; else one of the last that were seen.
    fn token(&self, back: usize) -> u64 {
        let inbox = self.plain.current().map(|current| self.plain.core.threads[current].inbox);
        let mut threads = self.plain.core.threads.iter();
        let mine = |thread: &&Thread| {
            matches!(thread.state, State::Awaiting | State::Faulted) && Some(thread.callee) == inbox
        };
        match threads.find(mine) {
            Some(thread) if back != 0 => thread.token,
            _ => self.tokens.iter().rev().nth(back).copied().unwrap_or(1 << 60),
        }
    }

    fn trap(&mut self, rax: u64, message: Message) {
        let (rax, message) = match self.plain.current() {
            None => return,
            // The supervisor breaks no rule here: that would be the end.
            Some(ThreadId(0)) if !matches!(rax as u8, 1 | 2) => (1, Message::default()),
            Some(_) => (rax, message),
        };
        let trapped = TrapRegisters {
            rax,
            rdi: message.label,
            words: message.words,
            rip: 0x40_0000 + self.random.below(1 << 40),
            rsp: self.stacks + 0x8000 + self.random.below(0x3_0000),
            ..TrapRegisters::default()
        };
        self.plain.core.trap(&mut self.plain.model, HERE, trapped);
        self.plain.next = self.plain.core.next(&mut self.plain.model, HERE);
        if self.quickly(&trapped) {
            self.enter();
            self.quick.next = self.plain.next;
            self.after();
        } else {
            self.enter();
            self.quick.core.trap(&mut self.quick.model, HERE, trapped);
            self.settle();
        }
    }

    /// Traps by the assembly; whether it did what was to be done.
    fn quickly(&mut self, trapped: &TrapRegisters) -> bool {
        let TrapRegisters { rax, rdi, words: [rsi, rdx, r10, r8, r9], rip, rsp, .. } = *trapped;
        let locked = self.random.below(64) == 0;
        self.host.hold_lock(locked);
        self.host.set_time(self.quick.model.now, self.quick.model.stolen);
        self.host.set_writing(self.random.below(64) == 0, self.random.below(64) == 0);
        let out = self.host.trap(Registers {
            rax,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            rcx: rip,
            rsp,
            rbx: STAIN,
            rbp: STAIN | 1,
            r11: STAIN | 2,
            r12: STAIN | 3,
            r13: STAIN | 4,
            r14: STAIN | 5,
            r15: STAIN | 6,
            vectors: core::array::from_fn(|i| STAIN | 0x100 | i as u64),
            mxcsr: 0x7f80,
            slow: 0,
        });
        assert_eq!(self.host.is_locked(), locked, "whoever takes the lock drops it");
        self.host.hold_lock(false);
        if out.slow == 0 {
            assert!(!locked);
            self.compare_registers(&out, rax as u8);
        } else {
            let words = (out.rsi, out.rdx, out.r10, out.r8, out.r9);
            assert_eq!((out.rax, out.rdi, words), (rax, rdi, (rsi, rdx, r10, r8, r9)));
            self.reached.slow += 1;
            self.reached.locked += u64::from(locked);
        }
        out.slow == 0
    }

    /// All registers are what the core alone returns, in the space of who runs.
    fn compare_registers(&mut self, out: &Registers, number: u8) {
        let Next::Run { thread, space, resume: Resume::Trap } = self.plain.next else {
            panic!("switched instead of {:?}", self.plain.next)
        };
        let expected = self.plain.registers(ThreadId(thread));
        let TrapRegisters { rax, rdi, words: [rsi, rdx, r10, r8, r9], r12, r13, rip, rsp } =
            expected;
        let expected = Registers {
            rax,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            r12,
            r13,
            rcx: rip,
            rsp,
            r11: USER_FLAGS,
            mxcsr: 0x1f80,
            ..Registers::default()
        };
        assert_eq!(*out, expected);
        assert_eq!(self.host.quick().thread(), Some(thread));
        assert_eq!(self.host.space(), space);
        let switched = self.quick.current() != Some(ThreadId(thread));
        match number {
            trap::CALL => self.reached.calls += 1,
            trap::REPLY_WAIT => self.reached.answers += 1,
            trap::REPLY => self.reached.replies += 1,
            _ if switched => self.reached.wakes += 1,
            _ => self.reached.notices += 1,
        }
        let wakes = number == trap::NOTIFY && switched;
        if wakes || matches!(number, trap::REPLY | trap::NOTIFY) && self.random.below(8) == 0 {
            self.nothing_is_left(wakes);
        }
    }

    /// The core finds nothing to do, but to charge time; not even that for one who is notified and goes on at once.
    fn nothing_is_left(&mut self, wakes: bool) {
        self.enter();
        let of = |world: &World| {
            let vcpu = &world.core.vcpus[VcpuId(0)];
            (vcpu.current, vcpu.charged, vcpu.since, vcpu.stolen, world.model.timers_set)
        };
        let before = of(&self.quick);
        if wakes {
            assert_eq!((before.0, before.2), (before.1, self.quick.model.now));
            assert_eq!(self.quick.core.threads[before.0].turn, 0, "its turn begins now");
        }
        let next = self.quick.core.next(&mut self.quick.model, HERE);
        let runs = |next| if let Next::Run { thread, .. } = next { Some(thread) } else { None };
        assert_eq!(runs(next), runs(self.plain.next));
        let after = of(&self.quick);
        assert_eq!((before.0, before.4), (after.0, after.4));
        assert!(!wakes || before == after);
    }

    /// The second world's core learns who runs, as at each entry of the kernel.
    fn enter(&mut self) {
        if let Some(thread) = self.host.quick().thread() {
            self.quick.core.switched(HERE, thread);
        }
    }

    /// Both say who is next.
    fn settle(&mut self) {
        self.plain.next = self.plain.core.next(&mut self.plain.model, HERE);
        self.quick.next = self.quick.core.next(&mut self.quick.model, HERE);
        assert_eq!(self.plain.next, self.quick.next);
        match self.quick.next {
            Next::Run { thread, space, .. } => self.host.run(thread, space),
            _ => self.host.idle(),
        }
        self.after();
    }

    fn after(&mut self) {
        if let Some(registers) = self.plain.resumed()
            && registers.r12 != 0
            && self.tokens.last() != Some(&registers.rax)
        {
            self.tokens.push(registers.rax);
        }
        let passes = self.random.below(50);
        let stolen = self.random.below(2) * self.random.below(passes + 1);
        self.both(|w| {
            (w.model.now, w.model.stolen) = (w.model.now + passes, w.model.stolen + stolen)
        });
        self.compare();
    }

    /// Both know the same.
    fn compare(&mut self) {
        for id in self.plain.core.threads.numbers() {
            let (plain, quick) = (&self.plain.core.threads[id], &self.quick.core.threads[id]);
            assert_eq!(known(plain), known(quick), "{id:?}");
            assert_eq!(registers(plain), registers(quick), "{id:?} {:?}", plain.state);
        }
        for id in self.plain.core.slots.numbers() {
            let of = |world: &World| {
                let slot = &world.core.slots[id];
                let links = (slot.parked, slot.first_caller, slot.server, slot.first_port);
                (slot.bits, slot.attention, links, slot.state, used(world, id))
            };
            assert_eq!(of(&self.plain), of(&self.quick), "{id:?}");
        }
        assert_eq!(self.plain.core.handles, self.quick.core.handles);
        let (plain, quick) = (&self.plain.core, &self.quick.core);
        let (a, b) = (&plain.vcpus[VcpuId(0)], &quick.vcpus[VcpuId(0)]);
        assert_eq!((a.floor, a.earliest, a.ready), (b.floor, b.earliest, b.ready));
        for priority in PRIORITIES {
            let (a, b) = (a.queue(priority), b.queue(priority));
            assert_eq!(a.first, b.first);
            assert!(a.first == ThreadId::NONE || a.last == b.last);
        }
        assert_eq!(
            (plain.stale_tokens, plain.lost_notifications, plain.fatal),
            (quick.stale_tokens, quick.lost_notifications, quick.fatal)
        );
    }
}

/// CPU time that an account pays for, with what is not charged yet.
fn used(world: &World, slot: SlotId) -> u64 {
    let vcpu = &world.core.vcpus[VcpuId(0)];
    let running = vcpu.current.some().map(|id| world.core.threads[id].payer);
    let stolen = world.model.stolen - vcpu.stolen;
    let passed = (world.model.now - vcpu.since).saturating_sub(stolen);
    let pending = if running == Some(slot) { passed } else { 0 };
    world.core.slots[slot].used + pending
}

/// What is known of a thread: all but its own time, and what nobody reads in its state.
fn known(thread: &Thread) -> impl PartialEq + core::fmt::Debug {
    let listed = matches!(thread.state, State::Ready | State::Queued | State::FaultQueued);
    let calls = matches!(thread.state, State::Queued);
    let in_flight =
        calls || matches!(thread.state, State::Awaiting | State::FaultQueued | State::Faulted);
    (
        (thread.space, thread.token, thread.payer, in_flight.then_some(thread.callee)),
        (thread.own, thread.inbox),
        (
            thread.handles,
            thread.handles_count,
            thread.handles_held,
            thread.vcpu,
            thread.state,
            thread.priority,
        ),
        (thread.saved, thread.life, listed.then_some(thread.next), calls.then_some(thread.badge)),
        (thread.calls, thread.taken, thread.deadline, thread.cursor, thread.pages, thread.fault),
    )
}

/// The registers that count: all of who goes on by itself or is still to be read, else where it goes on.
fn registers(thread: &Thread) -> Option<TrapRegisters> {
    let TrapRegisters { rip, rsp, .. } = thread.registers;
    match (thread.saved, thread.state) {
        (Saved::Frame, _) => None,
        (Saved::Trap, State::Ready | State::Queued | State::FaultQueued | State::Faulted) => {
            Some(thread.registers)
        }
        _ => Some(TrapRegisters { rip, rsp, ..TrapRegisters::default() }),
    }
}

fn compare(steps: u64) {
    /// Steps of one pair of worlds: short enough for no slice to end.
    const STEPS: u64 = 5_000;
    let mut all = Reached::default();
    for seed in 0..steps.div_ceil(STEPS) {
        let mut twins = Twins::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..STEPS {
            let idle = twins.plain.current().is_none();
            let step = if idle { twins.random.wake() } else { twins.random.step() };
            twins.run(&step);
        }
        all.calls += twins.reached.calls;
        all.answers += twins.reached.answers;
        all.replies += twins.reached.replies;
        all.wakes += twins.reached.wakes;
        all.notices += twins.reached.notices;
        all.slow += twins.reached.slow;
        all.locked += twins.reached.locked;
    }
    std::println!("{steps} steps: {all:?}");
    let Reached { calls, answers, replies, wakes, notices, slow, locked } = all;
    let reached = [calls, answers, replies, wakes, notices, slow, locked];
    let enough = [25, 100, 200, 300, 100, 5, 250].map(|part| steps / part);
    assert!(reached.iter().zip(enough).all(|(reached, enough)| *reached > enough), "{all:?}");
    assert!(reached.iter().sum::<u64>() > steps / 4);
}

#[test]
fn the_quick_path_and_the_core_agree_on_a_million_traps() {
    compare(4_000_000);
}

#[test]
#[ignore = "takes a minute: for a night, or on demand"]
fn the_quick_path_and_the_core_agree_on_ten_million_traps() {
    compare(40_000_000);
}

//! Who runs: fixed priorities, first in first out inside one, per vCPU; and who pays for it.
//!
//! A thread is in a run queue exactly while it is Ready, or it rests (see `account`). CPU time is charged, less what Xen
//! withheld, when the vCPU changes hands and when a server's payer changes. The timer is armed only when something must happen before it would fire.
//!
//! Calls and answers may switch threads without the core (the machine's quick path; [`Core::switched`] tells it later).
//! They do so only between threads that one account pays for, so accounts are charged exactly; notifications that do so
//! charge as the core does. A thread's own time is
//! exact to a turn of the core: what passed since then is counted as the time of the one that runs, and as part of its
//! turn only if it ran at both ends and did not wait meanwhile. So no turn is thought longer than it was with the calls
//! made in it, and one without end is found after at most `shortest` and twice its limit.

use abi::fault::FaultKind;

use super::Core;
use super::hardware::{Choice, Exception, Hardware, Next, Resume, Vcpu};
use super::table::{Number, SlotId, ThreadId, VcpuId};
use super::thread::{Fault, Saved, State, Thread, WAITED};

/// How long a thread runs before another of its priority does, in nanoseconds.
pub const SLICE: u64 = 5_000_000;

/// Threads of one priority that are ready.
#[derive(Clone, Copy, Debug)]
pub struct Queue {
    /// The first; none if the queue is empty.
    pub first: ThreadId,
    /// The last; of no meaning if the queue is empty.
    pub last: ThreadId,
}

impl Queue {
    const EMPTY: Self = Self { first: ThreadId::NONE, last: ThreadId::NONE };
}

/// A vCPU.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    /// The lowest priority that comes before all that are ready; 0 if nobody is.
    pub floor: u16,
    /// The thread that it runs; its state may have changed since.
    pub current: ThreadId,
    /// The thread that ran when time was last charged.
    pub charged: ThreadId,
    /// Time up to which time was charged.
    pub since: u64,
    /// Time withheld by the hypervisor up to then.
    pub stolen: u64,
    /// What `since` was when the timer was last compared with what the current thread needs; `u64::MAX` if it must be again.
    pub looked_at: u64,
    /// When the timer was armed for; `u64::MAX` if not.
    pub armed: u64,
    /// Earliest deadline of its threads and ports; `u64::MAX` if none.
    pub earliest: u64,
    /// Shortest limit of a turn that one of its slots ever had; `u64::MAX` if none.
    pub shortest: u64,
    /// Priorities that have somebody ready.
    pub ready: [u64; 4],
    /// The queue of each priority.
    pub queues: [Queue; 256],
    /// The first of those that rest.
    pub resting: SlotId,
}

impl Default for Processor {
    fn default() -> Self {
        Self {
            floor: 0,
            current: ThreadId::NONE,
            charged: ThreadId::NONE,
            since: 0,
            stolen: 0,
            looked_at: u64::MAX,
            armed: u64::MAX,
            earliest: u64::MAX,
            shortest: u64::MAX,
            ready: [0; 4],
            queues: [Queue::EMPTY; 256],
            resting: SlotId::NONE,
        }
    }
}

impl Processor {
    /// The highest priority that has somebody ready.
    pub fn top(&self) -> Option<u8> {
        u8::try_from(self.floor.wrapping_sub(1)).ok()
    }

    fn search_top(&self) -> Option<u8> {
        let words = self.ready.iter().enumerate().rev();
        let (at, word) = words.into_iter().find(|(_, word)| **word != 0)?;
        u8::try_from(at * 64 + 63 - word.leading_zeros() as usize).ok()
    }

    /// The queue of a priority.
    pub fn queue(&self, priority: u8) -> Queue {
        self.queues.get(usize::from(priority)).copied().unwrap_or(Queue::EMPTY)
    }

    fn set(&mut self, priority: u8, first: ThreadId, last: ThreadId) {
        if let Some(queue) = self.queues.get_mut(usize::from(priority)) {
            *queue = Queue { first, last };
        }
        if let Some(word) = self.ready.get_mut(usize::from(priority / 64)) {
            let bit = 1 << (priority % 64);
            *word = if first == ThreadId::NONE { *word & !bit } else { *word | bit };
        }
        self.floor = if first == ThreadId::NONE {
            self.search_top().map_or(0, |top| u16::from(top) + 1)
        } else {
            self.floor.max(u16::from(priority) + 1)
        };
    }
}

/// Which end of its queue a thread joins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It goes on where it was interrupted.
    Front,
    /// It waits for its turn.
    Back,
}

impl Core<'_> {
    /// Makes a thread ready; another vCPU is kicked if that changes what it runs, or for how long.
    pub(super) fn make_ready(
        &mut self,
        hardware: &mut impl Hardware,
        thread: ThreadId,
        place: Place,
    ) {
        let moved = &mut self.threads[thread];
        let (home, priority) = (VcpuId(moved.vcpu), moved.priority);
        moved.state = State::Ready;
        if place == Place::Back && moved.slice == 0 {
            moved.slice = SLICE;
        }
        let processor = &mut self.vcpus[home];
        let Queue { first, last } = processor.queue(priority);
        moved.next = if place == Place::Front { first } else { ThreadId::NONE };
        match (first.some(), place) {
            (None, _) => processor.set(priority, thread, thread),
            (Some(_), Place::Front) => processor.set(priority, thread, last),
            (Some(_), Place::Back) => {
                processor.set(priority, first, thread);
                self.threads[last].next = thread;
            }
        }
        if home != self.here {
            self.tell(hardware, home, priority);
        }
    }

    /// Tells another vCPU of a thread that is ready there.
    #[cold]
    #[inline(never)]
    fn tell(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId, priority: u8) {
        if self.matters_to_current(vcpu, priority) {
            hardware.kick(Vcpu(vcpu.0));
        }
    }

    /// It is to run instead of what the vCPU runs: now, or when the slice ends that may not have an end yet.
    fn matters_to_current(&self, vcpu: VcpuId, priority: u8) -> bool {
        self.running(vcpu).is_none_or(|current| self.threads[current].priority <= priority)
    }

    /// Takes a ready thread out of its queue, or out of those that rest.
    pub(super) fn unready(&mut self, thread: ThreadId) {
        if !self.leave_rest(thread) {
            self.unqueue_ready(thread);
        }
    }

    fn unqueue_ready(&mut self, thread: ThreadId) {
        let Thread { vcpu, priority, next: after, .. } = self.threads[thread];
        let home = VcpuId(vcpu);
        let Queue { first, last } = self.vcpus[home].queue(priority);
        if first == thread {
            self.vcpus[home].set(priority, after, last);
            return;
        }
        let mut before = first;
        while self.threads[before].next != thread {
            match self.threads[before].next.some() {
                Some(next) => before = next,
                None => return,
            }
        }
        self.threads[before].next = after;
        self.vcpus[home].set(priority, first, if last == thread { before } else { last });
    }

    /// The machine switched to a thread by itself, by calls and answers that left the core nothing to do.
    pub fn switched(&mut self, vcpu: Vcpu, thread: u16) {
        let (vcpu, thread) = (self.enter(vcpu), ThreadId(thread));
        if self.threads.has(thread) {
            self.vcpus[vcpu].current = thread;
        }
    }

    /// Some other vCPU runs a thread that may not go on, and has not noticed yet.
    #[cold]
    #[inline(never)]
    pub fn has_stopped_runner(&self) -> bool {
        self.vcpus.numbers().any(|vcpu| {
            let current = self.vcpus[vcpu].current;
            vcpu != self.here && current.some().is_some() && self.running(vcpu).is_none()
        })
    }

    /// The thread that a vCPU runs, if it may go on.
    pub(super) fn running(&self, vcpu: VcpuId) -> Option<ThreadId> {
        let current = self.vcpus[vcpu].current.some()?;
        (self.threads[current].state == State::Running).then_some(current)
    }

    /// Charges the time that passed to the thread that runs and to the account that pays.
    pub(super) fn charge(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId) {
        let (now, stolen) = (hardware.now(), hardware.stolen(Vcpu(vcpu.0)));
        let processor = &mut self.vcpus[vcpu];
        let withheld = stolen.saturating_sub(processor.stolen);
        let spent = now.saturating_sub(processor.since).saturating_sub(withheld);
        (processor.since, processor.stolen) = (now, stolen);
        let before = core::mem::replace(&mut processor.charged, processor.current);
        let Some(current) = processor.current.some() else { return };
        let thread = &mut self.threads[current];
        thread.cpu += spent;
        thread.turn = match thread.turn {
            WAITED => 0,
            turn if before == current => turn + spent,
            turn => turn,
        };
        thread.slice = thread.slice.saturating_sub(spent);
        if let Some(payer) = thread.payer.some() {
            self.slots[payer].used += spent;
            if self.limits {
                self.account_spend(payer, spent, now);
            }
        }
    }

    /// The current thread used more time between two waits than its slot allows: faults it.
    pub(super) fn check_turn(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId) {
        let Some(current) = self.running(vcpu) else { return };
        let thread = &self.threads[current];
        let longest = self.slots[thread.own].longest;
        if longest != 0 && thread.known_turn() >= longest {
            let (rip, rsp) = match thread.saved {
                Saved::Frame => {
                    let [rip, rsp, ..] = hardware.thread_registers(current.0, 0);
                    (rip, rsp)
                }
                _ => (thread.registers.rip, thread.registers.rsp),
            };
            let address = thread.known_turn();
            let fault = Fault { kind: FaultKind::Overrun, address, error: 0, rip, rsp };
            // The caller pays for a turn that is as long as it may be, and not for what comes of a longer one.
            self.pay_oneself(current);
            self.fault(hardware, current, fault);
        }
    }

    /// Lets others of the same priority run.
    pub(super) fn pause(&mut self, hardware: &mut impl Hardware, thread: ThreadId) {
        self.threads[thread].slice = SLICE;
        self.make_ready(hardware, thread, Place::Back);
    }

    /// The thread that trapped last goes on, and [`Core::next`] would find nothing to do: nobody as urgent is ready, no time is
    /// to be charged, and the timer is as it was when it was looked at for this thread.
    #[inline(always)]
    pub fn is_settled(&self) -> bool {
        let processor = &self.vcpus[self.here];
        let Some(current) = processor.current.some() else { return false };
        let Thread { state, priority, .. } = self.threads[current];
        state == State::Running
            && processor.charged == current
            && processor.floor <= u16::from(priority)
            && processor.looked_at == processor.since
            && processor.armed <= processor.earliest
            && self.fatal.is_none()
    }

    /// From here on nothing is ever settled.
    pub fn look_always(&mut self) {
        self.always_looks = true;
        for vcpu in self.vcpus.numbers() {
            self.vcpus[vcpu].looked_at = u64::MAX;
        }
    }

    /// What the vCPU does now, told in full.
    pub fn next(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu) -> Next {
        match (self.choose(hardware, vcpu), self.fatal) {
            (Choice::Fatal, Some(fault)) => Next::Fatal(fault),
            (Choice::Frame(thread) | Choice::Trap(thread), _) => self.run(ThreadId(thread)),
            _ => Next::Idle,
        }
    }

    /// What the vCPU does now: the last call of each entry to the kernel.
    pub fn choose(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu) -> Choice {
        let vcpu = self.enter(vcpu);
        if self.fatal.is_some() {
            return Choice::Fatal;
        }
        #[cfg(test)]
        let settled = self.is_settled().then(|| (self.vcpus[vcpu].current, self.vcpus[vcpu].armed));
        let charged = self.vcpus[vcpu].charged;
        let goes_on = match self.running(vcpu) {
            Some(current) if current == charged => self.yield_current(hardware, vcpu),
            _ => None,
        };
        let chosen = goes_on.or_else(|| {
            // Whoever is picked may have paid for the one that ran, so that is charged first.
            self.charge(hardware, vcpu);
            let current = self.yield_current(hardware, vcpu);
            let chosen = current.or_else(|| self.pick(hardware, vcpu));
            self.hand_over(vcpu, chosen.unwrap_or(ThreadId::NONE));
            chosen
        });
        self.arm(hardware, vcpu, chosen);
        #[cfg(test)]
        assert!(settled.is_none_or(|(current, armed)| {
            (chosen, self.vcpus[vcpu].armed) == (Some(current), armed)
        }));
        match chosen {
            None => Choice::Idle,
            Some(thread) if self.threads[thread].saved == Saved::Frame => Choice::Frame(thread.0),
            Some(thread) => Choice::Trap(thread.0),
        }
    }

    /// Why the domain ends.
    pub fn fatal(&self) -> Option<Exception> {
        self.fatal
    }

    /// From here on, time is the chosen thread's; what it used before is charged.
    fn hand_over(&mut self, vcpu: VcpuId, thread: ThreadId) {
        let processor = &mut self.vcpus[vcpu];
        let charged = core::mem::replace(&mut processor.charged, thread);
        processor.current = thread;
        if thread != ThreadId::NONE && thread != charged {
            let thread = &mut self.threads[thread];
            thread.turn = thread.known_turn();
        }
    }

    /// The current thread, if it may go on. It is put back into its queue if another is to run instead.
    fn yield_current(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId) -> Option<ThreadId> {
        let current = self.running(vcpu)?;
        let Thread { priority, slice, .. } = self.threads[current];
        let place = match self.vcpus[vcpu].top() {
            Some(top) if top > priority => Place::Front,
            Some(top) if top == priority && slice == 0 => Place::Back,
            _ if self.must_rest(hardware, current) => Place::Front,
            _ => return Some(current),
        };
        self.make_ready(hardware, current, place);
        None
    }

    /// Takes the first of the highest priority that has time left and whose wait has really ended.
    fn pick(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId) -> Option<ThreadId> {
        while let Some(top) = self.vcpus[vcpu].top() {
            let thread = self.take_first(vcpu, top);
            if self.threads[thread].slice == 0 && self.vcpus[vcpu].top() == Some(top) {
                self.make_ready(hardware, thread, Place::Back);
                continue;
            }
            if self.must_rest(hardware, thread) {
                self.rest(vcpu, thread);
                continue;
            }
            if self.threads[thread].saved == Saved::Collect && !self.collect(thread) {
                continue;
            }
            self.threads[thread].state = State::Running;
            return Some(thread);
        }
        None
    }

    /// Takes the first thread of a priority, which has one, out of its queue.
    fn take_first(&mut self, vcpu: VcpuId, priority: u8) -> ThreadId {
        let Queue { first, last } = self.vcpus[vcpu].queue(priority);
        let after = self.threads[first].next;
        self.vcpus[vcpu].set(priority, after, last);
        first
    }

    fn run(&self, thread: ThreadId) -> Next {
        let Thread { saved, space, .. } = self.threads[thread];
        let resume = match saved {
            Saved::Frame => Resume::Frame,
            Saved::Trap | Saved::Collect | Saved::Far => Resume::Trap,
        };
        Next::Run { thread: thread.raw(), space, resume }
    }

    /// Arms the timer if it would fire too late.
    fn arm(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId, chosen: Option<ThreadId>) {
        let mut wanted = chosen.map_or(u64::MAX, |thread| self.end_of_run(vcpu, thread));
        if self.limits {
            wanted = wanted.min(self.end_of_budget(vcpu));
        }
        let processor = &mut self.vcpus[vcpu];
        processor.looked_at = if self.always_looks { u64::MAX } else { processor.since };
        wanted = wanted.min(processor.earliest);
        if wanted < processor.armed {
            processor.armed = wanted;
            hardware.set_timer(Some(wanted));
        }
    }

    /// When the thread that runs must be looked at: the end of its slice or of its longest turn, or of the shortest limit of
    /// anybody to whom it may switch meanwhile.
    fn end_of_run(&self, vcpu: VcpuId, current: ThreadId) -> u64 {
        let (processor, thread) = (&self.vcpus[vcpu], &self.threads[current]);
        let slice = match processor.top() {
            Some(top) if top == thread.priority => thread.slice,
            _ => u64::MAX,
        };
        let turn = match self.slots[thread.own].longest {
            0 => u64::MAX,
            longest => longest.saturating_sub(thread.known_turn()),
        };
        processor.since.saturating_add(slice.min(turn).min(processor.shortest))
    }
}

//! The IPC state machine told as simply as possible: lists that are searched, nothing cached, nothing packed.

use std::vec::Vec;

use abi::fault::{FaultKind, PASS};
use abi::kernel::control::SlotState;
use abi::token::Kind;
use abi::trap::BIT_TIMER;
use abi::{Message, Status, Token};

use super::naive_accounts::Account;
use crate::core::schedule::SLICE;

/// Address of the trap and what the exception of the tests says.
pub const TRAP_AT: u64 = 0x40_1000;
pub const TRAP_STACK: u64 = 0x1fff_f000;
pub const EXCEPTION: [u64; 4] = [0xbad, 0x40_0123, 6, 0x1fff_0000];

/// What the clock says at first.
pub const NOW: u64 = 1000;

/// What a thread does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Does {
    Nothing,
    Ready,
    Runs,
    Waits,
    Queues(usize),
    Awaits(usize),
    FaultQueues(usize),
    Faulted(usize),
}

/// A handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leads {
    Nowhere,
    Kernel,
    Wire { slot: usize, badge: u32, bits: u64, stale: bool },
    Bell { slot: usize, bits: u64 },
}

/// Registers of a thread that comes back from a trap: `rax rdi words r12 r13 rip`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Registers {
    pub rax: u64,
    pub message: Message,
    pub badge: u64,
    pub bits: u64,
    pub rip: u64,
}

/// How a thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goes {
    Frame,
    Trap(Registers),
    /// Its registers are filled from its inbox.
    Inbox,
}

#[derive(Clone, Debug)]
pub struct Thread {
    pub exists: bool,
    pub does: Does,
    pub goes: Goes,
    pub priority: u8,
    pub slot: usize,
    pub payer: usize,
    pub generation: u32,
    pub handles: Vec<Leads>,
    pub badge: u32,
    pub fault: (FaultKind, [u64; 4]),
    pub slice: u64,
    pub vcpu: usize,
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub state: SlotState,
    pub bits: u64,
    /// In the order in which they came.
    pub callers: Vec<usize>,
    pub server: Option<usize>,
    /// Who decides about its faults; slot 0 if nobody else.
    pub manager: usize,
    pub account: Option<Account>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    pub threads: Vec<Thread>,
    pub slots: Vec<Slot>,
    /// In the order in which they became ready.
    pub ready: Vec<usize>,
    pub current: Option<usize>,
    /// The vCPU whose `current` that is, and what the others run.
    pub here: usize,
    pub others: Vec<Option<usize>>,
    /// Those that rest, and until when.
    pub resting: Vec<(i128, usize)>,
    pub now: u64,
    pub stale_tokens: u64,
    pub lost: u64,
}

impl Thread {
    pub fn none() -> Self {
        Self {
            exists: false,
            does: Does::Nothing,
            goes: Goes::Frame,
            priority: 0,
            slot: 0,
            payer: 0,
            generation: 0,
            handles: Vec::new(),
            badge: 0,
            fault: (FaultKind::Exit, [0; 4]),
            slice: SLICE,
            vcpu: 0,
        }
    }
}

impl Naive {
    pub fn runs(&self) -> Option<usize> {
        self.current.filter(|thread| self.threads[*thread].does == Does::Runs)
    }

    pub fn make_ready(&mut self, thread: usize) {
        self.threads[thread].does = Does::Ready;
        if self.threads[thread].slice == 0 {
            self.threads[thread].slice = SLICE;
        }
        self.ready.push(thread);
    }

    pub fn interrupted(&mut self) {
        if let Some(thread) = self.runs().or_else(|| self.stopped_meanwhile()) {
            self.threads[thread].goes = Goes::Frame;
        }
    }

    /// Who ran here until just now, and was stopped from another vCPU.
    fn stopped_meanwhile(&self) -> Option<usize> {
        self.current.filter(|thread| self.threads[*thread].does == Does::Nothing)
    }

    fn wake(&mut self, slot: usize) {
        if let Some(server) = self.slots[slot].server
            && self.threads[server].does == Does::Waits
        {
            self.make_ready(server);
        }
    }

    pub fn raise(&mut self, slot: usize, bits: u64) {
        if self.slots[slot].state == SlotState::Off {
            self.lost += 1;
        } else if bits != 0 {
            self.slots[slot].bits |= bits;
            self.wake(slot);
        }
    }

    fn present(&mut self, thread: usize, slot: usize, does: Does) {
        self.threads[thread].does = does;
        self.threads[thread].generation = self.threads[thread].generation.wrapping_add(1);
        self.slots[slot].callers.push(thread);
        self.wake(slot);
        self.end_rest_of_waiter(slot);
    }

    pub fn come_back(&mut self, thread: usize, status: Status, message: Message) {
        let rip = TRAP_AT + 2;
        self.threads[thread].goes =
            Goes::Trap(Registers { rax: status as u64, message, rip, ..Registers::default() });
    }

    fn fault(&mut self, thread: usize, kind: FaultKind, of: [u64; 4]) {
        self.threads[thread].fault = (kind, of);
        let manager = self.slots[self.threads[thread].slot].manager;
        let there = self.slots[manager].server.is_some();
        let up = self.slots[manager].state == SlotState::Up;
        self.send_fault(thread, if there && up { manager } else { 0 });
    }

    pub fn send_fault(&mut self, thread: usize, to: usize) {
        self.present(thread, to, Does::FaultQueues(to));
    }

    pub fn exception(&mut self, kind: FaultKind) {
        let Some(thread) = self.runs() else { return };
        self.threads[thread].goes = Goes::Frame;
        self.fault(thread, kind, EXCEPTION);
    }

    fn trap_fault(&mut self, kind: FaultKind, address: u64, rax: u64, message: Message) {
        let Some(thread) = self.runs() else { return };
        let again = Registers { rax, message, rip: TRAP_AT, ..Registers::default() };
        self.threads[thread].goes = Goes::Trap(again);
        self.fault(thread, kind, [address, TRAP_AT, 0, TRAP_STACK]);
    }

    pub fn trap(&mut self, rax: u64, message: Message) {
        let Some(thread) = self.runs() else {
            if let Some(thread) = self.stopped_meanwhile() {
                let again = Registers { rax, message, rip: TRAP_AT, ..Registers::default() };
                self.threads[thread].goes = Goes::Trap(again);
            }
            return;
        };
        let above = rax >> 8;
        let handle = usize::try_from(above)
            .ok()
            .and_then(|at| self.threads[thread].handles.get(at).copied());
        match (rax as u8, handle) {
            (0, Some(Leads::Nowhere)) => self.come_back(thread, Status::Gone, Message::default()),
            (0, Some(Leads::Wire { slot, .. })) if self.slots[slot].state == SlotState::Off => {
                self.freshen(thread, above);
                self.come_back(thread, Status::Gone, Message::default());
            }
            (0, Some(Leads::Wire { stale: true, .. })) => {
                self.freshen(thread, above);
                self.come_back(thread, Status::Reset, Message::default());
            }
            (0, Some(Leads::Wire { slot, badge, .. })) => {
                self.threads[thread].goes =
                    Goes::Trap(Registers { message, ..Registers::default() });
                self.threads[thread].badge = badge;
                self.present(thread, slot, Does::Queues(slot));
            }
            (0, Some(Leads::Kernel)) => self.kernel(thread, rax, message),
            (1, _) => {
                if above != 0 {
                    self.reply(thread, above, message);
                }
                self.threads[thread].payer = self.threads[thread].slot;
                self.threads[thread].goes = Goes::Inbox;
                let slot = &self.slots[self.threads[thread].slot];
                if slot.bits == 0 && slot.callers.is_empty() {
                    self.threads[thread].does = Does::Waits;
                } else {
                    self.threads[thread].does = Does::Ready;
                    self.ready.insert(0, thread);
                }
            }
            (2, _) => {
                self.reply(thread, above, message);
                self.come_back(thread, Status::Ok, Message::default());
            }
            (3, Some(Leads::Wire { slot, bits, .. } | Leads::Bell { slot, bits })) => {
                self.come_back(thread, Status::Ok, Message::default());
                self.raise(slot, bits);
            }
            (3, Some(Leads::Nowhere)) => self.come_back(thread, Status::Ok, Message::default()),
            (0 | 3, _) => self.trap_fault(FaultKind::BadHandle, above, rax, message),
            _ => self.trap_fault(FaultKind::BadTrap, rax, rax, message),
        }
    }

    fn freshen(&mut self, thread: usize, at: u64) {
        if let Leads::Wire { stale, .. } = &mut self.threads[thread].handles[at as usize] {
            *stale = false;
        }
    }

    fn kernel(&mut self, thread: usize, rax: u64, message: Message) {
        match message.label {
            1 => self.trap_fault(FaultKind::Exit, message.words[0], rax, message),
            5 => {
                self.threads[thread].slice = SLICE;
                self.come_back(thread, Status::Ok, Message::default());
                self.make_ready(thread);
            }
            // A deadline that has passed.
            2 => {
                self.come_back(thread, Status::Ok, Message::default());
                self.raise(self.threads[thread].slot, BIT_TIMER);
            }
            3 => self.come_back(thread, Status::Ok, Message::new(0, [self.now, 0, 0, 0, 0])),
            // It may not print.
            4 => self.come_back(thread, Status::Ok, Message::new(1, [0; 5])),
            label => self.trap_fault(FaultKind::BadCall, label, rax, message),
        }
    }

    fn reply(&mut self, server: usize, token: u64, message: Message) {
        let token = Token::from_bits(token << 8);
        let thread = usize::from(token.thread());
        let good = self.threads.get(thread).is_some_and(|caller| {
            let taken = match caller.does {
                Does::Awaits(slot) => slot == self.threads[server].slot,
                Does::Faulted(slot) => slot == self.threads[server].slot,
                _ => false,
            };
            taken && caller.generation == token.generation() && token.bits() >> 24 & 0xff == 0
        });
        if !good {
            self.stale_tokens += 1;
        } else if !matches!(self.threads[thread].does, Does::Faulted(_)) {
            self.come_back(thread, Status::Ok, message);
            self.make_ready(thread);
        } else if message.words[0] == 0 {
            self.make_ready(thread);
        } else if message.words[0] == PASS && self.threads[server].slot != 0 {
            self.send_fault(thread, 0);
        } else {
            self.stop(thread);
        }
    }

    /// The bits and the most urgent of the callers, the first of equals.
    fn collect(&mut self, thread: usize) -> bool {
        let slot = self.threads[thread].slot;
        let bits = core::mem::take(&mut self.slots[slot].bits);
        let callers = &mut self.slots[slot].callers;
        let best = callers.iter().map(|caller| self.threads[*caller].priority).max();
        let best = callers.iter().position(|caller| Some(self.threads[*caller].priority) == best);
        let caller = best.map(|at| callers.remove(at));
        if bits == 0 && caller.is_none() {
            self.threads[thread].does = Does::Waits;
            return false;
        }
        let mut registers = Registers { bits, rip: TRAP_AT + 2, ..Registers::default() };
        if let Some(at) = caller {
            let caller = &mut self.threads[at];
            let kind;
            if caller.does == Does::FaultQueues(slot) {
                let (fault, [address, rip, error, rsp]) = caller.fault;
                kind = Kind::Fault;
                registers.message =
                    Message::new(fault as u64, [at as u64, address, rip, error, rsp]);
                registers.badge = caller.slot as u64;
                caller.does = Does::Faulted(slot);
            } else {
                let Goes::Trap(Registers { message, .. }) = caller.goes else {
                    panic!("{caller:?}")
                };
                kind = Kind::Call;
                registers.message = message;
                registers.badge = u64::from(caller.badge);
                caller.does = Does::Awaits(slot);
            }
            registers.rax = Token::new(kind, at as u16, caller.generation).bits();
            self.threads[thread].payer = self.threads[at].payer;
        }
        self.threads[thread].goes = Goes::Trap(registers);
        true
    }

    /// Who runs next, and how it goes on.
    pub fn settle(&mut self) -> Option<(usize, Goes)> {
        loop {
            if let Some(current) = self.runs() {
                if !self.gives_way(current) {
                    self.begin(current);
                    return Some((current, self.threads[current].goes));
                }
                continue;
            }
            let best = self.best();
            let is_best = |thread: &usize| {
                let Thread { priority, vcpu, .. } = self.threads[*thread];
                Some(priority) == best && vcpu == self.here
            };
            let at = self.ready.iter().position(is_best);
            self.current = at.map(|at| self.ready.remove(at));
            let thread = self.current?;
            if self.threads[thread].slice == 0 && self.best() == best {
                self.make_ready(thread);
            } else if self.must_rest(thread) {
                self.rest(thread);
            } else if self.threads[thread].goes != Goes::Inbox || self.collect(thread) {
                self.threads[thread].does = Does::Runs;
            }
        }
    }

    /// The highest priority that has somebody ready.
    fn best(&self) -> Option<u8> {
        let here = self.ready.iter().filter(|thread| self.threads[**thread].vcpu == self.here);
        here.map(|thread| self.threads[*thread].priority).max()
    }

    /// Makes the current thread one of those that are ready if another is to run.
    fn gives_way(&mut self, current: usize) -> bool {
        let Thread { priority, slice, .. } = self.threads[current];
        let best = self.best();
        if best == Some(priority) && slice == 0 {
            self.make_ready(current);
        } else if best > Some(priority) || self.must_rest(current) {
            self.threads[current].does = Does::Ready;
            self.ready.insert(0, current);
        } else {
            return false;
        }
        true
    }
}

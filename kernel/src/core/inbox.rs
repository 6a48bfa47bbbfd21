//! Inboxes: bits, the queue of callers, and the thread that waits.
//!
//! A wait ends in two steps. What arrives (a bit, a caller) makes the parked thread Ready with its registers still to be
//! filled; when it comes to run, it takes all bits and the first caller. So bits that come in a row wake it once, and an
//! urgent caller that comes in between is served first. If nothing is left by then, it parks again.

use abi::token::Kind;
use abi::{Message, Token};

use super::Core;
use super::hardware::{Hardware, TrapRegisters};
use super::schedule::Place;
use super::slot::{ATTENTION_BITS, ATTENTION_CALLERS};
use super::table::{SlotId, ThreadId};
use super::thread::{Fault, Saved, State};

use abi::kernel::control::SlotState;

impl Core<'_> {
    /// Sets bits and wakes who waits for them. Into a slot that is off: counted and dropped.
    pub(super) fn raise(&mut self, hardware: &mut impl Hardware, slot: SlotId, bits: u64) {
        let inbox = &mut self.slots[slot];
        if inbox.state == SlotState::Off {
            self.lost_notifications += 1;
            return;
        }
        if bits != 0 {
            inbox.bits |= bits;
            inbox.attention |= ATTENTION_BITS;
            self.wake(hardware, slot);
        }
    }

    /// Lets a thread wait.
    pub(super) fn park(&mut self, slot: SlotId, thread: ThreadId) {
        self.threads[thread].state = State::Waiting;
        if self.slots[slot].state != SlotState::Off {
            self.slots[slot].parked = thread;
        }
    }

    /// Makes the thread that waits at an inbox look at it.
    pub(super) fn wake(&mut self, hardware: &mut impl Hardware, slot: SlotId) {
        let parked = core::mem::replace(&mut self.slots[slot].parked, ThreadId::NONE);
        if let Some(thread) = parked.some() {
            self.make_ready(hardware, thread, Place::Back);
        }
    }

    /// Puts a caller into a queue: the most urgent first, first come first served among equals.
    pub(super) fn enqueue(&mut self, hardware: &mut impl Hardware, slot: SlotId, caller: ThreadId) {
        let priority = self.threads[caller].priority;
        let mut before = ThreadId::NONE;
        let mut after = self.slots[slot].first_caller;
        while let Some(next) = after.some().filter(|next| self.threads[*next].priority >= priority)
        {
            before = next;
            after = self.threads[next].next;
        }
        self.threads[caller].next = after;
        self.link(slot, before, caller);
        self.wake(hardware, slot);
        if self.limits {
            self.end_rest_of_waiter(hardware, slot);
        }
    }

    /// Takes a caller out of a queue, wherever it is in it.
    pub(super) fn unqueue(&mut self, slot: SlotId, caller: ThreadId) {
        let mut before = ThreadId::NONE;
        let mut at = self.slots[slot].first_caller;
        while let Some(thread) = at.some().filter(|at| *at != caller) {
            before = thread;
            at = self.threads[thread].next;
        }
        if at == caller {
            self.link(slot, before, self.threads[caller].next);
        }
    }

    fn link(&mut self, slot: SlotId, before: ThreadId, thread: ThreadId) {
        match before.some() {
            Some(before) => self.threads[before].next = thread,
            None => self.slots[slot].first_caller = thread,
        }
        let slot = &mut self.slots[slot];
        match slot.first_caller.some() {
            Some(_) => slot.attention |= ATTENTION_CALLERS,
            None => slot.attention &= !ATTENTION_CALLERS,
        }
    }

    /// Ends a wait with all bits and at most one caller; parks the thread again if there is neither.
    pub(super) fn collect(&mut self, thread: ThreadId) -> bool {
        let server = &mut self.threads[thread];
        let inbox = server.inbox;
        let slot = &mut self.slots[inbox];
        let caller = slot.first_caller.some();
        let bits = core::mem::take(&mut slot.bits);
        slot.attention &= !ATTENTION_BITS;
        if bits == 0 && caller.is_none() {
            self.park(inbox, thread);
            return false;
        }
        let TrapRegisters { rip, rsp, .. } = server.registers;
        server.registers = TrapRegisters { r13: bits, rip, rsp, ..TrapRegisters::default() };
        server.saved = Saved::Trap;
        if let Some(caller) = caller {
            self.unqueue(inbox, caller);
            self.take(thread, caller);
        }
        true
    }

    /// Hands a caller's call or fault to the thread that serves it, and lets the caller pay.
    fn take(&mut self, thread: ThreadId, caller: ThreadId) {
        let from = &mut self.threads[caller];
        let (token, payer) = (Token::from_bits(from.token), from.payer);
        let (kind, badge, message) = match from.state {
            State::FaultQueued => {
                from.state = State::Faulted;
                (Kind::Fault, u32::from(from.own.0), fault_message(caller, from.fault))
            }
            _ => {
                from.state = State::Awaiting;
                let message = Message::new(from.registers.rdi, from.registers.words);
                (Kind::Call, from.badge, message)
            }
        };
        let server = &mut self.threads[thread];
        server.payer = payer;
        server.taken += 1;
        server.registers.rax = Token::new(kind, token.thread(), token.generation()).bits();
        server.registers.rdi = message.label;
        server.registers.words = message.words;
        server.registers.r12 = u64::from(badge);
    }
}

fn fault_message(thread: ThreadId, fault: Option<Fault>) -> Message {
    fault.map_or(Message::default(), |fault| {
        let thread = u64::from(thread.0);
        Message::new(fault.kind as u64, [thread, fault.address, fault.rip, fault.error, fault.rsp])
    })
}

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
use super::thread::{Saved, State};

use abi::kernel::control::SlotState;

impl Core<'_> {
    /// Sets bits and wakes who waits for them. Into a slot that is off: counted and dropped.
    pub(super) fn raise(&mut self, hardware: &mut impl Hardware, slot: SlotId, bits: u64) {
        if self.slots[slot].state == SlotState::Off {
            self.lost_notifications += 1;
            return;
        }
        if bits != 0 {
            self.slots[slot].bits |= bits;
            self.slots[slot].attention |= ATTENTION_BITS;
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
        if let Some(thread) = self.slots[slot].parked.some() {
            self.slots[slot].parked = ThreadId::NONE;
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
        let inbox = self.threads[thread].inbox;
        let caller = self.slots[inbox].first_caller.some();
        let bits = core::mem::take(&mut self.slots[inbox].bits);
        self.slots[inbox].attention &= !ATTENTION_BITS;
        if bits == 0 && caller.is_none() {
            self.park(inbox, thread);
            return false;
        }
        let TrapRegisters { rip, rsp, .. } = self.threads[thread].registers;
        self.threads[thread].registers =
            TrapRegisters { r13: bits, rip, rsp, ..TrapRegisters::default() };
        self.threads[thread].saved = Saved::Trap;
        if let Some(caller) = caller {
            self.unqueue(inbox, caller);
            self.take(thread, caller);
        }
        true
    }

    /// Hands a caller's call or fault to the thread that serves it, and lets the caller pay.
    fn take(&mut self, thread: ThreadId, caller: ThreadId) {
        let token = Token::from_bits(self.threads[caller].token);
        let (kind, badge, message) = match self.threads[caller].state {
            State::FaultQueued => {
                self.threads[caller].state = State::Faulted;
                (Kind::Fault, u32::from(self.threads[caller].own.0), self.fault_message(caller))
            }
            _ => {
                self.threads[caller].state = State::Awaiting;
                let registers = &self.threads[caller].registers;
                let message = Message::new(registers.rdi, registers.words);
                (Kind::Call, self.threads[caller].badge, message)
            }
        };
        let payer = self.threads[caller].payer;
        let server = &mut self.threads[thread];
        server.payer = payer;
        server.taken += 1;
        server.registers.rax = Token::new(kind, token.thread(), token.generation()).bits();
        server.registers.rdi = message.label;
        server.registers.words = message.words;
        server.registers.r12 = u64::from(badge);
    }

    fn fault_message(&self, thread: ThreadId) -> Message {
        self.threads[thread].fault.map_or(Message::default(), |fault| {
            let thread = u64::from(thread.0);
            Message::new(
                fault.kind as u64,
                [thread, fault.address, fault.rip, fault.error, fault.rsp],
            )
        })
    }
}

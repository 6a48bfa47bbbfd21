//! The four traps.
//!
//! A token is good for one answer: the caller must wait for this inbox, taken, in this generation; each call has a new
//! generation. A caller runs again only by an answer, a reset of the slot, a cancel, or never.

use abi::fault::{FaultKind, PASS, RETRY};
use abi::kernel::control::{HandleKind, SlotState};
use abi::{Message, Status, Token, trap};

use super::Core;
use super::handle::{CALL, FAR, Handle, NOTIFY};
use super::hardware::{Hardware, TrapRegisters, Vcpu};
use super::schedule::Place;
use super::slot::SUPERVISOR;
use super::table::{Number, PortId, SlotId, ThreadId, VcpuId};
use super::thread::{Fault, Saved, State};

impl Core<'_> {
    /// The current thread trapped with these registers (`rip` and `rsp` included).
    #[cfg(any(test, fuzzing))]
    pub fn trap(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu, registers: TrapRegisters) {
        let here = self.enter(vcpu);
        // As the machine does, whatever became of it meanwhile.
        let Some(thread) = self.vcpus[here].current.some() else { return };
        self.threads[thread].registers = TrapRegisters { r12: 0, r13: 0, ..registers };
        self.trapped(hardware, vcpu);
    }

    /// The current thread trapped; its registers are kept already (`rip` and `rsp` included, `r12` and `r13` as 0).
    #[inline(always)]
    pub fn trapped(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu) {
        let vcpu = self.enter(vcpu);
        let Some(thread) = self.running(vcpu) else {
            return self.stopped_meanwhile(vcpu, Saved::Trap);
        };
        let trapped = &mut self.threads[thread];
        trapped.saved = Saved::Trap;
        let rax = trapped.registers.rax;
        let above = rax >> 8;
        let (first, count) = (trapped.handles, trapped.handles_count);
        if let [trap::CALL, ..] = rax.to_le_bytes() {
            return self.trap_call(hardware, thread, (first, count), above);
        }
        match rax.to_le_bytes() {
            [trap::REPLY_WAIT, ..] => self.trap_reply_wait(hardware, thread, above),
            [trap::REPLY, ..] => self.trap_reply(hardware, thread, above),
            [trap::NOTIFY, ..] => self.trap_notify(hardware, thread, above),
            _ => self.fault_trap(hardware, thread, FaultKind::BadTrap, rax),
        }
    }

    fn trap_call(
        &mut self,
        hardware: &mut impl Hardware,
        thread: ThreadId,
        (first, count): (u32, u16),
        index: u64,
    ) {
        let Some(handle) = self.handle_at(first, count, index) else {
            return self.fault_trap(hardware, thread, FaultKind::BadHandle, index);
        };
        let found = *handle;
        match found.kind() {
            HandleKind::Stale if found.rights & CALL != 0 => {
                *handle = found.with_kind(HandleKind::Wire);
                let off = self.slots[SlotId(found.object)].state == SlotState::Off;
                self.finish(thread, if off { Status::Gone } else { Status::Reset });
            }
            HandleKind::Wire if found.rights & CALL != 0 => self.call(hardware, thread, &found),
            HandleKind::Empty => self.finish(thread, Status::Gone),
            HandleKind::Own => self.own_call(hardware, thread, found),
            HandleKind::Port | HandleKind::Window | HandleKind::Control => {
                self.kernel_call(hardware, thread, index);
            }
            _ => self.fault_trap(hardware, thread, FaultKind::BadHandle, index),
        }
    }

    /// Calls a slot: the caller queues, and whoever waits there looks.
    fn call(&mut self, hardware: &mut impl Hardware, thread: ThreadId, handle: &Handle) {
        let callee = SlotId(handle.object);
        if self.slots[callee].state == SlotState::Off {
            return self.finish(thread, Status::Gone);
        }
        let caller = &mut self.threads[thread];
        caller.badge = handle.badge;
        caller.calls += 1;
        if handle.rights & FAR != 0 {
            caller.saved = Saved::Far;
        }
        self.present(hardware, thread, callee, State::Queued);
    }

    /// Puts a thread's call or fault into an inbox, in a new generation.
    pub(super) fn present(
        &mut self,
        hardware: &mut impl Hardware,
        thread: ThreadId,
        callee: SlotId,
        state: State,
    ) {
        let caller = &mut self.threads[thread];
        caller.callee = callee;
        caller.state = state;
        caller.token = caller.token.wrapping_add(1 << 32);
        self.enqueue(hardware, callee, thread);
    }

    /// Ends the current trap of a thread with a status and zeros.
    pub(super) fn finish(&mut self, thread: ThreadId, status: Status) {
        self.answer(thread, status, Message::default());
    }

    /// Ends the current trap of a thread with a status and a message.
    pub(super) fn answer(&mut self, thread: ThreadId, status: Status, message: Message) {
        let registers = &mut self.threads[thread].registers;
        let TrapRegisters { rip, rsp, .. } = *registers;
        *registers = TrapRegisters {
            rax: status as u64,
            rdi: message.label,
            words: message.words,
            r12: 0,
            r13: 0,
            rip,
            rsp,
        };
    }

    fn trap_reply_wait(&mut self, hardware: &mut impl Hardware, thread: ThreadId, token: u64) {
        if token != 0 {
            self.reply(hardware, thread, token);
        }
        let Some(inbox) = self.threads[thread].inbox.some() else {
            let rax = self.threads[thread].registers.rax;
            return self.fault_trap(hardware, thread, FaultKind::NoInbox, rax);
        };
        self.end_turn(hardware, thread);
        self.unmask_ports(hardware, inbox);
        self.threads[thread].saved = Saved::Collect;
        self.park(inbox, thread);
        if self.slots[inbox].bits != 0 || self.slots[inbox].first_caller != ThreadId::NONE {
            self.slots[inbox].parked = ThreadId::NONE;
            self.make_ready(hardware, thread, Place::Front);
        }
    }

    /// A server that waits has done its turn, and runs on its own account from here on.
    fn end_turn(&mut self, hardware: &mut impl Hardware, thread: ThreadId) {
        self.charge(hardware, self.here);
        self.pay_oneself(thread);
        self.threads[thread].turn = 0;
    }

    fn trap_reply(&mut self, hardware: &mut impl Hardware, thread: ThreadId, token: u64) {
        self.reply(hardware, thread, token);
        self.finish(thread, Status::Ok);
    }

    /// Answers a call with the thread's message; a token that is not good is counted and dropped.
    fn reply(&mut self, hardware: &mut impl Hardware, thread: ThreadId, token: u64) {
        let TrapRegisters { rdi, words, .. } = self.threads[thread].registers;
        let Some(caller) = self.token_holder(thread, Token::from_bits(token << 8)) else {
            self.stale_tokens += 1;
            return;
        };
        if self.threads[caller].state == State::Faulted {
            return self.answer_fault(hardware, caller, words[0]);
        }
        self.answer(caller, Status::Ok, Message::new(rdi, words));
        self.make_ready(hardware, caller, Place::Back);
    }

    /// The thread that a token lets `thread` answer.
    fn token_holder(&self, thread: ThreadId, token: Token) -> Option<ThreadId> {
        let holder = self.threads.check(token.thread())?;
        let caller = &self.threads[holder];
        let same = token.bits() >> 8 == caller.token >> 8;
        let taken = matches!(caller.state, State::Awaiting | State::Faulted);
        (same && taken && caller.callee == self.threads[thread].inbox).then_some(holder)
    }

    fn trap_notify(&mut self, hardware: &mut impl Hardware, thread: ThreadId, index: u64) {
        let Some(handle) = self.handle_mut(thread, index).copied() else {
            return self.fault_trap(hardware, thread, FaultKind::BadHandle, index);
        };
        match handle.kind() {
            HandleKind::Empty => {}
            HandleKind::Wire | HandleKind::Stale | HandleKind::Bell
                if handle.rights & NOTIFY != 0 =>
            {
                self.raise(hardware, SlotId(handle.object), handle.bits);
            }
            HandleKind::Port => self.send(hardware, PortId(handle.object)),
            _ => return self.fault_trap(hardware, thread, FaultKind::BadHandle, index),
        }
        self.finish(thread, Status::Ok);
    }

    /// Ends a call of a thread without an answer.
    fn fail(&mut self, hardware: &mut impl Hardware, caller: ThreadId, status: Status) {
        self.finish(caller, status);
        self.make_ready(hardware, caller, Place::Back);
    }

    /// Ends all calls that wait in a slot's queue; faults that wait there go to the supervisor.
    pub(super) fn fail_queued(
        &mut self,
        hardware: &mut impl Hardware,
        slot: SlotId,
        status: Status,
    ) {
        while let Some(caller) = self.slots[slot].first_caller.some() {
            self.unqueue(slot, caller);
            if self.threads[caller].state == State::FaultQueued {
                self.pass_on(hardware, caller);
            } else {
                self.fail(hardware, caller, status);
            }
        }
    }

    /// Ends all calls that a slot's server took; faults that it took go to the supervisor.
    pub(super) fn fail_taken(
        &mut self,
        hardware: &mut impl Hardware,
        slot: SlotId,
        status: Status,
    ) {
        for caller in self.threads.numbers() {
            let thread = &self.threads[caller];
            match thread.state {
                State::Awaiting if thread.callee == slot => self.fail(hardware, caller, status),
                State::Faulted if thread.callee == slot => self.pass_on(hardware, caller),
                _ => {}
            }
        }
    }

    /// Takes a thread out of whatever it waits for, and leaves it stopped.
    pub(super) fn withdraw(&mut self, hardware: &mut impl Hardware, thread: ThreadId) {
        match self.threads[thread].state {
            State::Ready => self.unready(thread),
            State::Running if self.threads[thread].vcpu != self.here.raw() => {
                hardware.kick(Vcpu(self.threads[thread].vcpu));
            }
            State::Waiting => {
                let inbox = self.threads[thread].inbox;
                self.slots[inbox].parked = ThreadId::NONE;
            }
            State::Queued | State::FaultQueued => self.unqueue(self.threads[thread].callee, thread),
            State::Awaiting | State::Faulted => self.disown(hardware, thread),
            State::Stopped | State::Running => {}
        }
        self.threads[thread].state = State::Stopped;
    }

    /// Servers that run on the account of a caller that goes away pay for themselves from here on, all along its chain.
    fn disown(&mut self, hardware: &mut impl Hardware, caller: ThreadId) {
        self.charge(hardware, self.here);
        let payer = self.threads[caller].payer;
        let mut at = caller;
        while matches!(self.threads[at].state, State::Awaiting | State::Faulted) {
            let callee = self.threads[at].callee;
            let Some(server) = self.slots[callee].server.some() else { return };
            let thread = &self.threads[server];
            if thread.payer != payer || thread.payer == thread.own {
                return;
            }
            let home = VcpuId(thread.vcpu);
            if home != self.here {
                self.charge(hardware, home);
            }
            self.pay_oneself(server);
            at = server;
        }
    }

    /// Ends the call of a thread with `Cancelled`, or its wait with nothing; true if there was either.
    pub(super) fn cancel(&mut self, hardware: &mut impl Hardware, thread: ThreadId) -> bool {
        match self.threads[thread].state {
            State::Queued | State::Awaiting => {
                self.withdraw(hardware, thread);
                self.fail(hardware, thread, Status::Cancelled);
            }
            State::Waiting => {
                self.withdraw(hardware, thread);
                self.threads[thread].saved = Saved::Trap;
                self.fail(hardware, thread, Status::Ok);
            }
            _ => return false,
        }
        true
    }

    /// Stops a thread for a reason and tells who decides about it; the supervisor's own fault ends the domain.
    pub(super) fn fault(&mut self, hardware: &mut impl Hardware, thread: ThreadId, fault: Fault) {
        if self.threads[thread].own == SUPERVISOR {
            self.fatal = Some(fault.into());
            return;
        }
        self.threads[thread].fault = Some(fault);
        let handler = self.handler(self.threads[thread].own);
        self.present(hardware, thread, handler, State::FaultQueued);
    }

    /// Hands a fault that a manager did not or cannot decide to the supervisor.
    #[inline(never)]
    fn pass_on(&mut self, hardware: &mut impl Hardware, thread: ThreadId) {
        self.present(hardware, thread, SUPERVISOR, State::FaultQueued);
    }

    /// A trap broke a rule. The address told, and gone on from if the handler says so, is that of the trap.
    pub(super) fn fault_trap(
        &mut self,
        hardware: &mut impl Hardware,
        thread: ThreadId,
        kind: FaultKind,
        address: u64,
    ) {
        self.trap_again(thread);
        let TrapRegisters { rip, rsp, .. } = self.threads[thread].registers;
        self.fault(hardware, thread, Fault { kind, address, error: 0, rip, rsp });
    }

    /// Lets a thread make the trap that it is in again when it goes on.
    pub(super) fn trap_again(&mut self, thread: ThreadId) {
        let registers = &mut self.threads[thread].registers;
        registers.rip = registers.rip.wrapping_sub(TRAP_BYTES);
    }

    fn answer_fault(&mut self, hardware: &mut impl Hardware, thread: ThreadId, verdict: u64) {
        if verdict == PASS && self.threads[thread].callee != SUPERVISOR {
            return self.pass_on(hardware, thread);
        }
        self.threads[thread].fault = None;
        if verdict == RETRY {
            self.threads[thread].turn = 0;
            self.make_ready(hardware, thread, Place::Back);
        } else {
            self.stop(hardware, thread);
        }
    }
}

/// Bytes of the instruction that traps (`syscall`).
const TRAP_BYTES: u64 = 2;

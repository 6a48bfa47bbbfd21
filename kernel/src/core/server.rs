//! Servers: made empty, started, stopped, taken apart.
//!
//! A server that goes away leaves nothing behind: no mapping, no table, no caller that waits for it, no time that runs. Its
//! number is free again only then; the generation of its thread goes on, so no token of the old one is good for the new one.

use abi::kernel::PAGES_PER_CALL;
use abi::kernel::control::{Error, HandleKind, SUPERVISOR_SERVER, SlotState};
use abi::layout::{PAGE, USER_END};
use abi::{Status, Token, token::Kind, trap::BIT_TIMER};

use super::Core;
use super::handle::{CALL, Handle};
use super::hardware::{Hardware, TrapRegisters};
use super::schedule::{Place, SLICE};
use super::slot::ATTENTION_BITS;
use super::table::{SlotId, ThreadId};
use super::thread::{Life, Saved, State, Thread};

impl Core<'_> {
    /// Makes an empty server in a slot that has none.
    pub(super) fn server_create(
        &mut self,
        hardware: &mut impl Hardware,
        slot: SlotId,
        handles: u16,
    ) -> Result<ThreadId, Error> {
        if self.slots[slot].server != ThreadId::NONE || handles == 0 {
            return Err(Error::Invalid);
        }
        let free = |id: &ThreadId| self.threads[*id].life == Life::Free;
        let id = self.threads.numbers().find(free).ok_or(Error::Exhausted)?;
        let first = self.handles_gap(handles).ok_or(Error::Exhausted)?;
        let space = hardware.space_create(id.0).map_err(|_| Error::Memory)?;
        let generation = Token::from_bits(self.threads[id].token).generation();
        let slot_of = self.slots[slot];
        self.threads[id] = Thread {
            space,
            token: Token::new(Kind::Call, id.0, generation).bits(),
            payer: slot,
            own: slot,
            inbox: slot,
            handles: first,
            handles_count: handles,
            vcpu: slot_of.vcpu,
            priority: slot_of.priority,
            life: Life::Live,
            ..Thread::default()
        };
        self.slots[slot].server = id;
        if let Some(own) = self.handle_mut(id, 0) {
            *own = Handle::new(HandleKind::Own, CALL, 0);
        }
        Ok(id)
    }

    /// Takes a server apart, some pages at a time; true when it is gone.
    pub(super) fn server_destroy(
        &mut self,
        hardware: &mut impl Hardware,
        id: ThreadId,
    ) -> Result<bool, Error> {
        match self.threads[id].life {
            Life::Live if id.0 != SUPERVISOR_SERVER => self.detach(hardware, id),
            Life::Dying => {}
            _ => return Err(Error::Invalid),
        }
        if !self.is_off_processors(id)
            || !self.unmap_some(hardware, id)
            || !hardware.space_destroy(id.0)
        {
            return Ok(false);
        }
        let token = self.threads[id].token;
        self.threads[id] = Thread { token, ..Thread::default() };
        Ok(true)
    }

    /// Takes a server out of its slot, stopped. If the slot was up, its clients learn of it.
    fn detach(&mut self, hardware: &mut impl Hardware, id: ThreadId) {
        self.stop(hardware, id);
        let slot = self.threads[id].own;
        if self.slots[slot].state == SlotState::Up {
            self.set_state(slot, SlotState::Down);
            self.reset(hardware, slot);
        }
        // Nobody is left who could answer these.
        self.fail_taken(hardware, slot, Status::Restarted);
        self.slots[slot].server = ThreadId::NONE;
        self.handles_clear(id);
        self.threads[id].life = Life::Dying;
    }

    fn is_off_processors(&self, id: ThreadId) -> bool {
        self.vcpus.iter().all(|vcpu| vcpu.current != id)
    }

    /// Unmaps up to 32 pages; true when there are no more.
    fn unmap_some(&mut self, hardware: &mut impl Hardware, id: ThreadId) -> bool {
        for _ in 0..PAGES_PER_CALL {
            match hardware.space_next(id.0, self.threads[id].cursor) {
                Ok(Some((address, ..))) => {
                    self.unmap_page(hardware, id, address);
                    self.threads[id].cursor = address.saturating_add(PAGE);
                }
                Ok(None) => return true,
                Err(next) => {
                    self.threads[id].cursor = next;
                    return false;
                }
            }
        }
        false
    }

    /// Starts a stopped thread.
    pub(super) fn thread_start(
        &mut self,
        hardware: &mut impl Hardware,
        id: ThreadId,
        (rip, rsp, argument): (u64, u64, u64),
    ) -> Result<(), Error> {
        if self.threads[id].state != State::Stopped || !self.is_off_processors(id) {
            return Err(Error::Invalid);
        }
        if rip >= USER_END || rsp > USER_END {
            return Err(Error::Address);
        }
        hardware.thread_reset(id.0, rip, rsp, argument);
        let thread = &mut self.threads[id];
        thread.registers = TrapRegisters { rip, rsp, ..TrapRegisters::default() };
        thread.saved = Saved::Frame;
        thread.payer = thread.own;
        thread.slice = SLICE;
        thread.turn = 0;
        self.make_ready(hardware, id, Place::Back);
        Ok(())
    }

    /// Stops a thread wherever it is.
    pub(super) fn stop(&mut self, hardware: &mut impl Hardware, id: ThreadId) {
        self.withdraw(hardware, id);
        let thread = &mut self.threads[id];
        thread.fault = None;
        thread.deadline = 0;
        let Some(inbox) = thread.inbox.some() else { return };
        let slot = &mut self.slots[inbox];
        slot.bits &= !BIT_TIMER;
        if slot.bits == 0 {
            slot.attention &= !ATTENTION_BITS;
        }
    }

    /// Five registers of a thread that stands still.
    pub(super) fn thread_registers(
        &self,
        hardware: &mut impl Hardware,
        id: ThreadId,
        set: u8,
    ) -> Result<[u64; 5], Error> {
        let thread = &self.threads[id];
        let still = matches!(thread.state, State::Stopped | State::FaultQueued | State::Faulted);
        if !still || set > 3 {
            return Err(Error::Invalid);
        }
        if thread.saved == Saved::Frame {
            return Ok(hardware.thread_registers(id.0, set));
        }
        // Behind a trap, what else is kept is of a thread that goes on or of one that broke a rule in it.
        let place = TrapRegisters {
            rip: thread.registers.rip,
            rsp: thread.registers.rsp,
            ..TrapRegisters::default()
        };
        let stopped = thread.state == State::Stopped;
        let TrapRegisters { rax, rdi, words: [rsi, rdx, r10, r8, r9], r12, r13, rip, rsp } =
            if stopped { place } else { thread.registers };
        Ok(match set {
            0 => [rip, rsp, FLAGS, rax, 0],
            1 => [0, rdx, rsi, rdi, 0],
            2 => [r8, r9, r10, 0, r12],
            _ => [r13, 0, 0, 0, 0],
        })
    }

    /// The server, if it exists and is not being taken apart.
    pub(super) fn live_server(&self, raw: u16) -> Result<ThreadId, Error> {
        let id = self.threads.check(raw).ok_or(Error::Invalid)?;
        if self.threads[id].life == Life::Live { Ok(id) } else { Err(Error::Invalid) }
    }
}

/// Flags of every thread behind a trap: interrupts on, all else off.
const FLAGS: u64 = 0x202;

//! Servers: made empty, started, stopped, taken apart.
//!
//! A server that goes away leaves nothing behind: no mapping, no table, no caller that waits for it, no time that runs. Its
//! number is free again only then; the generation of its thread goes on, so no token of the old one is good for the new one.

use abi::kernel::PAGES_PER_CALL;
use abi::kernel::control::{Error, HandleKind, ObjectKind, SUPERVISOR_SERVER, SlotState};
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
        let id = self.server_new(hardware, slot, handles)?;
        self.slots[slot].server = id;
        Ok(id)
    }

    /// Makes an empty server for a slot.
    pub(super) fn server_new(
        &mut self,
        hardware: &mut impl Hardware,
        slot: SlotId,
        handles: u16,
    ) -> Result<ThreadId, Error> {
        let free = |id: &ThreadId| self.threads[*id].life == Life::Free;
        let id = self.threads.numbers().find(free).ok_or(Error::Exhausted)?;
        let first = self.handles_gap(handles).ok_or(Error::Exhausted)?;
        let space = self.space_create(hardware, id, slot, handles)?;
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
            handles_held: handles,
            vcpu: slot_of.vcpu,
            priority: slot_of.priority,
            life: Life::Live,
            tables: 1,
            ..Thread::default()
        };
        if let Some(own) = self.handle_mut(id, 0) {
            *own = Handle::new(HandleKind::Own, CALL, 0);
        }
        Ok(id)
    }

    /// Makes a server's space, and counts the server, its handles and the space's top table for its slot.
    #[inline(never)]
    fn space_create(
        &mut self,
        hardware: &mut impl Hardware,
        id: ThreadId,
        slot: SlotId,
        handles: u16,
    ) -> Result<u64, Error> {
        let handles = u32::from(handles);
        self.hold(slot, ObjectKind::Server, 1)?;
        let held = self.hold(slot, ObjectKind::Handle, handles).and_then(|()| {
            self.hold(slot, ObjectKind::Table, 1)
                .and_then(|()| {
                    hardware.space_create(id.0).map_err(|_| {
                        self.release(slot, ObjectKind::Table, 1);
                        Error::Memory
                    })
                })
                .inspect_err(|_| self.release(slot, ObjectKind::Handle, handles))
        });
        held.inspect_err(|_| self.release(slot, ObjectKind::Server, 1))
    }

    /// Takes a server apart, some pages at a time; true when it is gone.
    pub(super) fn server_destroy(
        &mut self,
        hardware: &mut impl Hardware,
        id: ThreadId,
    ) -> Result<bool, Error> {
        match self.threads[id].life {
            Life::Dying => {}
            Life::Free => return Err(Error::Invalid),
            _ if id.0 == SUPERVISOR_SERVER => return Err(Error::Invalid),
            Life::Live | Life::Candidate | Life::Retired => self.detach(hardware, id),
        }
        if !self.is_off_processors(id)
            || !self.unmap_some(hardware, id)
            || !hardware.space_destroy(id.0)
        {
            return Ok(false);
        }
        let Thread { token, own, tables, handles_held, .. } = self.threads[id];
        self.release(own, ObjectKind::Server, 1);
        self.release(own, ObjectKind::Handle, u32::from(handles_held));
        self.release(own, ObjectKind::Table, tables);
        self.threads[id] = Thread { token, ..Thread::default() };
        Ok(true)
    }

    /// Takes a server out of its slot, stopped. If the slot was up, its clients learn of it.
    fn detach(&mut self, hardware: &mut impl Hardware, id: ThreadId) {
        self.stop(hardware, id);
        let slot = self.threads[id].own;
        if self.slots[slot].server == id {
            self.vacate(hardware, slot);
        }
        self.handles_clear(id);
        self.threads[id].life = Life::Dying;
    }

    /// A slot's server goes, and nobody comes.
    fn vacate(&mut self, hardware: &mut impl Hardware, slot: SlotId) {
        if self.slots[slot].state == SlotState::Up {
            self.set_state(slot, SlotState::Down);
            self.reset(hardware, slot);
        }
        // Nobody is left who could answer these.
        self.fail_taken(hardware, slot, Status::Restarted);
        self.slots[slot].server = ThreadId::NONE;
    }

    /// No vCPU runs it, nor is about to: its registers, its frame and its space are nobody's but the core's.
    #[inline(never)]
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
        let Thread { state, life, .. } = self.threads[id];
        if state != State::Stopped || life == Life::Retired {
            return Err(Error::Invalid);
        }
        if !self.is_off_processors(id) {
            return Err(Error::Busy);
        }
        if rip >= USER_END || rsp > USER_END {
            return Err(Error::Address);
        }
        hardware.thread_reset(id.0, rip, rsp, argument);
        let thread = &mut self.threads[id];
        thread.registers = TrapRegisters { rip, rsp, ..TrapRegisters::default() };
        thread.saved = Saved::Frame;
        thread.payer = thread.own;
        thread.begun = true;
        thread.slice = SLICE;
        thread.turn = 0;
        self.make_ready(hardware, id, Place::Back);
        Ok(())
    }

    /// Lets a stopped thread go on where it was stopped. It may have waited for its timer, which the stop disarmed.
    pub(super) fn thread_resume(
        &mut self,
        hardware: &mut impl Hardware,
        id: ThreadId,
    ) -> Result<(), Error> {
        let Thread { state, begun, inbox, own, life, .. } = self.threads[id];
        let fills = life == Life::Live;
        if state != State::Stopped || !begun || !fills {
            return Err(Error::Invalid);
        }
        if !self.is_off_processors(id) {
            return Err(Error::Busy);
        }
        let thread = &mut self.threads[id];
        thread.payer = own;
        thread.turn = 0;
        self.raise(hardware, inbox, BIT_TIMER);
        self.make_ready(hardware, id, Place::Back);
        Ok(())
    }

    /// Stops a thread wherever it is.
    #[inline(never)]
    pub(super) fn stop(&mut self, hardware: &mut impl Hardware, id: ThreadId) {
        let calling = matches!(self.threads[id].state, State::Queued | State::Awaiting);
        self.withdraw(hardware, id);
        if calling {
            self.finish(id, Status::Cancelled);
        }
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
        if !self.is_off_processors(id) {
            return Err(Error::Busy);
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
    #[inline(never)]
    pub(super) fn live_server(&self, raw: u16) -> Result<ThreadId, Error> {
        let id = self.threads.check(raw).ok_or(Error::Invalid)?;
        match self.threads[id].life {
            Life::Live | Life::Candidate | Life::Retired => Ok(id),
            Life::Free | Life::Dying => Err(Error::Invalid),
        }
    }
}

/// Flags of every thread behind a trap: interrupts on, all else off.
const FLAGS: u64 = 0x202;

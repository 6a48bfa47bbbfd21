//! Slots: places in the system, each with its inbox. They outlive the servers that fill them.
//!
//! `attention` has a bit for each reason why a wait does not simply park; it agrees with `bits`, `first_caller`,
//! `first_port` and `state` at all times.

use core::mem::offset_of;

use abi::Status;
use abi::kernel::control::{Error, HandleKind, SlotState};

use super::Core;
use super::account::Account;
use super::hardware::Hardware;
use super::table::{PortId, SlotId, ThreadId, VcpuId};
use super::thread::State;

/// In `attention`: bits are set.
pub const ATTENTION_BITS: u32 = 1;
/// In `attention`: callers wait.
pub const ATTENTION_CALLERS: u32 = 2;
/// In `attention`: ports wait to be unmasked.
pub const ATTENTION_PORTS: u32 = 4;
/// In `attention`: the slot is off.
pub const ATTENTION_OFF: u32 = 8;

/// A slot.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub struct Slot {
    /// Notification bits that were not taken yet.
    pub bits: u64,
    /// Why a wait does not simply park.
    pub attention: u32,
    /// The thread that waits here; none while the slot is off.
    pub parked: ThreadId,
    /// The caller that is served next.
    pub first_caller: ThreadId,
    /// The server that fills the slot.
    pub server: ThreadId,
    /// First of the ports whose events were delivered since the last wait.
    pub first_port: PortId,
    /// vCPU of its server.
    pub vcpu: u16,
    /// Priority of its server.
    pub priority: u8,
    /// Whether priority and vCPU were set.
    pub configured: bool,
    /// State.
    pub state: SlotState,
    /// CPU time charged to its account, in nanoseconds.
    pub used: u64,
    /// Most CPU time between two waits of its server, in nanoseconds; 0 if there is no limit.
    pub longest: u64,
    /// Its account.
    pub account: Account,
}

const _: () = {
    assert!(size_of::<Slot>() == 128);
    assert!(offset_of!(Slot, bits) == 0);
    assert!(offset_of!(Slot, attention) == 8);
    assert!(offset_of!(Slot, parked) == 12);
};

impl Default for Slot {
    fn default() -> Self {
        Self {
            bits: 0,
            attention: ATTENTION_OFF,
            parked: ThreadId::NONE,
            first_caller: ThreadId::NONE,
            server: ThreadId::NONE,
            first_port: PortId::NONE,
            vcpu: 0,
            priority: 0,
            configured: false,
            state: SlotState::Off,
            used: 0,
            longest: 0,
            account: Account::default(),
        }
    }
}

/// The supervisor's slot.
pub const SUPERVISOR: SlotId = SlotId(abi::kernel::control::SUPERVISOR_SLOT);

impl Core<'_> {
    /// Sets up a slot that was never used. Nobody may be as urgent as the supervisor, or it could not be told of faults.
    pub(super) fn slot_configure(
        &mut self,
        id: SlotId,
        priority: u8,
        vcpu: u16,
    ) -> Result<(), Error> {
        let slot = &self.slots[id];
        if slot.server != ThreadId::NONE || slot.state != SlotState::Off || id == SUPERVISOR {
            return Err(Error::Invalid);
        }
        if priority >= self.slots[SUPERVISOR].priority {
            return Err(Error::Priority);
        }
        // Wires to and from the slot rely on both.
        let differs = (slot.priority, slot.vcpu) != (priority, vcpu);
        if slot.configured && differs || self.vcpus.check(vcpu).is_none() {
            return Err(Error::Invalid);
        }
        let slot = &mut self.slots[id];
        (slot.priority, slot.vcpu, slot.configured) = (priority, vcpu, true);
        Ok(())
    }

    /// Limits the turns of a slot's server; 0 is no limit.
    pub(super) fn slot_longest(&mut self, id: SlotId, nanoseconds: u64) {
        self.slots[id].longest = nanoseconds;
        let home = VcpuId(self.slots[id].vcpu);
        let limit = if nanoseconds == 0 { u64::MAX } else { nanoseconds };
        let home = &mut self.vcpus[home];
        (home.shortest, home.looked_at) = (home.shortest.min(limit), u64::MAX);
    }

    /// Notes a slot's state: nobody waits at a slot that is off, though its server may be in a wait.
    pub(super) fn set_state(&mut self, id: SlotId, state: SlotState) {
        let server = self.slots[id].server.some();
        let waiting = server.filter(|server| self.threads[*server].state == State::Waiting);
        let slot = &mut self.slots[id];
        slot.state = state;
        if state == SlotState::Off {
            slot.parked = ThreadId::NONE;
            slot.attention |= ATTENTION_OFF;
        } else {
            slot.parked = waiting.unwrap_or(ThreadId::NONE);
            slot.attention &= !ATTENTION_OFF;
        }
    }

    /// Moves a slot to another state; what that means for calls is said at `kernel.control.slot_state`.
    pub(super) fn slot_state(
        &mut self,
        hardware: &mut impl Hardware,
        id: SlotId,
        state: SlotState,
    ) -> Result<(), Error> {
        if id == SUPERVISOR || !self.slots[id].configured {
            return Err(Error::Invalid);
        }
        self.set_state(id, state);
        match state {
            SlotState::Up => {}
            SlotState::Down => self.reset(hardware, id),
            SlotState::Off => {
                self.fail_queued(hardware, id, Status::Gone);
                self.fail_taken(hardware, id, Status::Restarted);
            }
        }
        Ok(())
    }

    /// What a restart means for a slot's clients.
    pub(super) fn reset(&mut self, hardware: &mut impl Hardware, id: SlotId) {
        self.fail_queued(hardware, id, Status::Reset);
        self.fail_taken(hardware, id, Status::Restarted);
        for handle in self.handles.iter_mut() {
            if handle.kind() == HandleKind::Wire && handle.object == id.0 {
                *handle = handle.with_kind(HandleKind::Stale);
            }
        }
        let Some(server) = self.slots[id].server.some() else { return };
        for index in 0..self.threads[server].handles_count {
            if let Some(bell) =
                self.handle(server, index).filter(|it| it.kind() == HandleKind::Bell)
            {
                self.raise(hardware, SlotId(bell.object), bell.bits);
            }
        }
    }
}

//! Live swap: a second server is made in a slot while the first one serves, and takes its place in one step.
//!
//! A *candidate* has a space and a whole handle table, of which it reaches the first two: the kernel and the supervisor. It
//! has no inbox, and whatever is mapped in it under the shared memory's top-level entry is read-only for it. So until its
//! commit nobody can learn that it is there, but the supervisor whom it calls.
//!
//! The commit moves the slot from the old server to the candidate, both of them waiting for the supervisor's answer. Callers,
//! tokens, bits, ports, wires and the account belong to the slot, and stay. The old server is *retired*: it never runs again,
//! and has no inbox and no handles. Nothing can fail half-way, and nothing in it depends on sizes.

use abi::Handle as HandleIndex;
use abi::kernel::control::Error;

use super::Core;
use super::hardware::Hardware;
use super::slot::SUPERVISOR;
use super::table::{SlotId, ThreadId};
use super::thread::{Life, State};

/// Handles that a candidate reaches: the kernel and the supervisor.
const REACHED: u16 = HandleIndex::SUPERVISOR.0 + 1;

impl Core<'_> {
    /// Makes a candidate in a slot that has a server, and no other candidate.
    pub(super) fn server_candidate(
        &mut self,
        hardware: &mut impl Hardware,
        slot: SlotId,
        handles: u16,
    ) -> Result<ThreadId, Error> {
        let is_candidate = |id: &ThreadId| {
            self.threads[*id].life == Life::Candidate && self.threads[*id].own == slot
        };
        if self.slots[slot].server == ThreadId::NONE || slot == SUPERVISOR || handles < REACHED {
            return Err(Error::Invalid);
        }
        if self.threads.numbers().any(|id| is_candidate(&id)) {
            return Err(Error::Busy);
        }
        let id = self.server_new(hardware, slot, handles)?;
        let thread = &mut self.threads[id];
        thread.life = Life::Candidate;
        thread.inbox = SlotId::NONE;
        thread.handles_count = REACHED;
        Ok(id)
    }

    /// Puts a candidate in the place of its slot's server, which is returned. Both must wait for the supervisor's answer.
    pub(super) fn server_commit(
        &mut self,
        hardware: &mut impl Hardware,
        id: ThreadId,
    ) -> Result<ThreadId, Error> {
        let slot = self.threads[id].own;
        let old = self.slots[slot].server;
        let asks = |id: ThreadId| {
            self.threads[id].state == State::Awaiting && self.threads[id].callee == SUPERVISOR
        };
        if self.threads[id].life != Life::Candidate || !asks(id) || !asks(old) {
            return Err(Error::Invalid);
        }
        self.withdraw(hardware, old);
        let retired = &mut self.threads[old];
        retired.life = Life::Retired;
        retired.inbox = SlotId::NONE;
        retired.handles_count = 0;
        let deadline = core::mem::take(&mut retired.deadline);
        let thread = &mut self.threads[id];
        thread.life = Life::Live;
        thread.inbox = slot;
        thread.handles_count = thread.handles_held;
        thread.deadline = deadline;
        self.slots[slot].server = id;
        hardware.space_shared(id.0, true);
        Ok(old)
    }
}

//! What each slot holds of the kernel's objects, how much it may hold, and which slot manages it.
//!
//! Every object counts for one slot: a region, its pages and its indexes for the slot that it was made for; a server, its
//! handles and its page tables for the slot that it fills; ports, windows and their references for the slot that they were set
//! up for. What is there already stays when a limit falls below it. Nothing here is looked at on the way of a call or a
//! notification.

use abi::kernel::control::{Error, NO_LIMIT, OBJECT_KINDS, ObjectKind, SlotState};

use super::Core;
use super::slot::SUPERVISOR;
use super::table::{SlotId, ThreadId};

/// What a slot holds, beside the slot itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Holdings {
    used: [u32; OBJECT_KINDS.len()],
    limit: [u32; OBJECT_KINDS.len()],
    /// The slot that decides about its faults and its memory; none: the supervisor.
    pub manager: SlotId,
}

impl Default for Holdings {
    fn default() -> Self {
        Self {
            used: [0; OBJECT_KINDS.len()],
            limit: [NO_LIMIT; OBJECT_KINDS.len()],
            manager: SlotId::NONE,
        }
    }
}

impl Holdings {
    /// How many objects of a kind there are.
    pub fn used(&self, kind: ObjectKind) -> u32 {
        self.used.get(kind as usize).copied().unwrap_or(0)
    }

    /// How many there may be.
    pub fn limit(&self, kind: ObjectKind) -> u32 {
        self.limit.get(kind as usize).copied().unwrap_or(0)
    }

    /// Says how many there may be.
    pub fn set_limit(&mut self, kind: ObjectKind, limit: u32) {
        if let Some(place) = self.limit.get_mut(kind as usize) {
            *place = limit;
        }
    }
}

impl Core<'_> {
    /// Counts `count` more objects for a slot; none if that is more than it may hold. For no slot nothing is counted.
    #[inline(never)]
    pub(super) fn hold(&mut self, slot: SlotId, kind: ObjectKind, count: u32) -> Result<(), Error> {
        if slot == SlotId::NONE || count == 0 {
            return Ok(());
        }
        let holdings = &mut self.holdings[slot];
        let refused = match kind {
            ObjectKind::Frame | ObjectKind::Table => Error::Memory,
            _ => Error::Exhausted,
        };
        let limit = holdings.limit(kind);
        let place = holdings.used.get_mut(kind as usize).ok_or(refused)?;
        let used = place.checked_add(count).filter(|used| *used <= limit).ok_or(refused)?;
        *place = used;
        Ok(())
    }

    /// Counts `count` objects less.
    #[inline(never)]
    pub(super) fn release(&mut self, slot: SlotId, kind: ObjectKind, count: u32) {
        if slot == SlotId::NONE {
            return;
        }
        if let Some(used) = self.holdings[slot].used.get_mut(kind as usize) {
            debug_assert!(*used >= count, "{slot:?} gives back more than it holds");
            *used = used.saturating_sub(count);
        }
    }

    /// Puts a slot that has no server under a manager, or under none.
    pub(super) fn slot_manager(&mut self, slot: SlotId, manager: SlotId) -> Result<(), Error> {
        if slot == SUPERVISOR || self.slots[slot].server != ThreadId::NONE {
            return Err(Error::Invalid);
        }
        if manager == SUPERVISOR {
            self.holdings[slot].manager = SlotId::NONE;
            return Ok(());
        }
        if self.slots[manager].priority <= self.slots[slot].priority {
            return Err(Error::Priority);
        }
        self.holdings[slot].manager = manager;
        Ok(())
    }

    /// Whether a slot manages another.
    pub(super) fn manages(&self, manager: SlotId, slot: SlotId) -> bool {
        self.holdings[slot].manager == manager
    }

    /// Who is told of a slot's faults: its manager if that is there, else the supervisor.
    pub(super) fn handler(&self, slot: SlotId) -> SlotId {
        let manager = self.holdings[slot].manager.some();
        let there = |id: &SlotId| {
            let manager = &self.slots[*id];
            manager.state == SlotState::Up && manager.server != ThreadId::NONE
        };
        manager.filter(there).unwrap_or(SUPERVISOR)
    }
}

//! Managers and those whom they manage: who belongs to whom, and that nobody runs without its manager.
//!
//! Invariant: a slot whose manager has no server has none either; it is `Down` until the manager starts again, or `Off` with
//! it.

use alloc::vec::Vec;

use abi::kernel::control::SlotState;
use abi::{Badge, Traps};

use crate::host::Host;
use crate::supervisor::{Place, State, Supervisor};

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    fn manager(&self, slot: u16) -> Option<u16> {
        self.system.slots.get(usize::from(slot))?.manager
    }

    /// The slots under a manager.
    pub(crate) fn managed_by(&self, manager: u16) -> Vec<u16> {
        self.numbers().filter(|slot| self.manager(*slot) == Some(manager)).collect()
    }

    /// Whether a slot has a manager that does not run.
    pub(crate) fn lacks_manager(&self, slot: u16) -> bool {
        let runs = |manager| self.place(manager).and_then(Place::loaded).is_some();
        self.manager(slot).is_some_and(|manager| !runs(manager))
    }

    /// Leaves a slot down until its manager starts; off if that one is.
    pub(crate) fn wait_for_manager(&mut self, slot: u16) {
        let is_off = |manager| self.place(manager).is_some_and(|place| place.state == State::Off);
        let off = self.manager(slot).is_some_and(is_off);
        let (state, told) = if off {
            (State::Off, SlotState::Off)
        } else {
            (State::Down { until: u64::MAX }, SlotState::Down)
        };
        let _ = self.kernel.control.slot_state(slot, told);
        if let Some(place) = self.place_mut(slot) {
            place.state = state;
        }
    }

    /// The running manager of a slot, and the badge by which it knows this incarnation of it.
    pub(crate) fn of_manager(&self, slot: u16) -> Option<(u16, Badge)> {
        let manager = self.manager(slot)?;
        self.place(manager).and_then(Place::loaded)?;
        let incarnation = self.place(slot)?.incarnation();
        Some((manager, Badge::new(ipc::supervisor::MANAGED, slot, incarnation)))
    }
}

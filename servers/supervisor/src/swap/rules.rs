//! What is checked before a swap touches anything.
//!
//! Invariant: who passes here finds the handles, methods and memory that it was built for, and so do its clients.

use ipc::operator::Reason;
use ipc::system::Wiring;

use crate::links;

use abi::Traps;

use crate::host::Host;
use crate::supervisor::Supervisor;

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// What the image is built for that a slot is started from.
    fn wiring_of(&self, slot: u16) -> Option<&Wiring> {
        let program = usize::from(self.place(slot)?.program);
        self.system.images.get(program).map(|image| &image.wiring)
    }

    /// Whether a server of image `program` may take the place of a slot's server.
    pub(super) fn check_swap(&self, slot: u16, program: u16) -> Result<(), Reason> {
        let new = self.system.images.get(usize::from(program)).map(|image| &image.wiring);
        let (Some(new), Some(old)) = (new, self.wiring_of(slot)) else {
            return Err(Reason::Numbers);
        };
        if new.abi != abi::ABI_HASH {
            return Err(Reason::Kernel);
        }
        if !new.fits(old) {
            return Err(Reason::Numbers);
        }
        self.check_clients(slot, new)?;
        self.check_needs(slot, new)?;
        let is_managed =
            self.system.slots.get(usize::from(slot)).is_some_and(|slot| slot.manager.is_some());
        if is_stateful(old) && (is_managed || old.control) {
            return Err(Reason::Managed);
        }
        if new.unaccepted(old).is_some() { Err(Reason::State) } else { Ok(()) }
    }

    /// Whether there is state to hand over; else a swap is a restart with another image.
    pub(super) fn has_state(&self, slot: u16) -> bool {
        self.wiring_of(slot).is_some_and(is_stateful)
    }

    /// All that clients use is served.
    fn check_clients(&self, slot: u16, new: &Wiring) -> Result<(), Reason> {
        for link in links::all(&self.system).filter(|link| link.server_slot == slot) {
            let serves = new.serves.iter().find(|end| end.index == u16::from(link.channel));
            let uses = self.need(link.client_slot, link.handle);
            // The supervisor's own methods are the same for all, and are not among anybody's needs.
            let Some(uses) = uses else { continue };
            if !serves.is_some_and(|serves| serves.covers(uses)) {
                return Err(Reason::Serves);
            }
        }
        Ok(())
    }

    /// All that it uses is served.
    fn check_needs(&self, slot: u16, new: &Wiring) -> Result<(), Reason> {
        for link in links::all(&self.system).filter(|link| link.client_slot == slot) {
            let number = link.handle.checked_sub(abi::wiring::Numbers::FIXED);
            let Some(uses) = number.and_then(|number| new.needs.get(usize::from(number))) else {
                continue;
            };
            let server = self.wiring_of(link.server_slot);
            let serves = server.and_then(|server| {
                server.serves.iter().find(|end| end.index == u16::from(link.channel))
            });
            if !serves.is_some_and(|serves| serves.covers(uses)) {
                return Err(Reason::Uses);
            }
        }
        Ok(())
    }

    /// The need behind a handle.
    fn need(&self, slot: u16, handle: u16) -> Option<&ipc::system::wiring::End> {
        let number = handle.checked_sub(abi::wiring::Numbers::FIXED)?;
        self.wiring_of(slot)?.needs.get(usize::from(number))
    }
}

fn is_stateful(wiring: &Wiring) -> bool {
    !wiring.writes.is_empty()
}

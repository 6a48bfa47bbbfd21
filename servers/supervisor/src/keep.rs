//! What a slot keeps over the death of its server: the region that its wiring asks for, and its devices with it.
//!
//! Invariant: a server that is told that nothing is kept finds zeros, closed ports and no grants. What is kept is never looked
//! at here.

use abi::Traps;
use abi::kernel::control::Access;
use abi::layout::{PAGE, SCRATCH, SCRATCH_PAGES};
use ipc::system::Kept;

use crate::backoff::FORGET;
use crate::host::Host;
use crate::kernel::{Kernel, Refused};
use crate::load::SUPERVISOR;
use crate::supervisor::Supervisor;

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// The region that a slot keeps, if there is one.
    pub(crate) fn kept(&self, slot: u16) -> Option<Kept> {
        self.system.kept(self.system.slots.get(usize::from(slot))?)
    }

    /// Lets a slot, which has no server, forget what the last one left.
    pub(crate) fn forget(&mut self, slot: u16) {
        let Some(place) = self.place_mut(slot) else { return };
        if core::mem::replace(&mut place.is_kept, false) {
            self.reset_devices(slot);
        }
    }

    /// The same after so many deaths that what is kept may be their cause.
    pub(crate) fn forget_in_time(&mut self, slot: u16) {
        let is_time = self.place(slot).is_some_and(|place| place.backoff.is_time_to_forget());
        if is_time && self.kept(slot).is_some() {
            self.tell(slot, format_args!("died {FORGET} times: what it kept is wiped"));
            self.forget(slot);
        }
    }

    /// Wipes what a slot keeps, unless its next server is to find it.
    pub(crate) fn wipe_forgotten(&self, slot: u16) -> Result<(), Refused> {
        let is_kept = self.place(slot).is_some_and(|place| place.is_kept);
        let Some(Kept { region, pages }) = self.kept(slot).filter(|_| !is_kept) else {
            return Ok(());
        };
        let Some(region) = self.regions.get(usize::from(region)) else { return Ok(()) };
        wipe(&self.kernel, &self.host, *region, pages)
    }
}

/// Fills a region with zeros.
fn wipe<T: Traps>(
    kernel: &Kernel<T>,
    host: &impl Host,
    region: u16,
    pages: u32,
) -> Result<(), Refused> {
    for first in (0..pages).step_by(SCRATCH_PAGES as usize) {
        let count = (pages - first).min(SCRATCH_PAGES);
        kernel.map(SUPERVISOR, region, SCRATCH, (first, count), Access::Write)?;
        host.scratch().fill(0, count as usize * PAGE as usize, 0);
        kernel.unmap(SUPERVISOR, SCRATCH, count)?;
    }
    Ok(())
}

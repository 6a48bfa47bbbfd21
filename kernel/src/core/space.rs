//! Mapping and unmapping: page tables and counts change together.
//!
//! No page is writable and executable, in one mapping or in several: executable pages belong to sealed regions, and sealed
//! regions have no writable mapping.

use abi::kernel::PAGES_PER_CALL;
use abi::kernel::control::{Access, Error, ObjectKind};
use abi::layout::{PAGE, USER_END};

use super::Core;
use super::hardware::{Frame, Hardware};
use super::table::{RegionId, SlotId, ThreadId};
use super::thread::Life;

/// Pages to be mapped.
#[derive(Clone, Copy, Debug)]
pub struct Mapping {
    /// Where from.
    pub region: RegionId,
    /// Its first page to be mapped.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Where to.
    pub address: u64,
    /// How.
    pub access: Access,
}

/// Whether `count` pages from `address` on are page-aligned user addresses; page 0 and the last user page are not.
fn is_user(address: u64, count: u32) -> bool {
    address.is_multiple_of(PAGE)
        && address >= PAGE
        && address.checked_add(u64::from(count) * PAGE).is_some_and(|end| end <= USER_END)
}

impl Core<'_> {
    /// Maps up to 32 pages; returns how many.
    pub(super) fn map(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        mapping: &Mapping,
    ) -> Result<u32, Error> {
        let count = mapping.count.min(PAGES_PER_CALL);
        if !is_user(mapping.address, count) {
            return Err(Error::Address);
        }
        let region = &self.regions[mapping.region];
        if !region.allows(mapping.access) {
            return Err(Error::Sealed);
        }
        if mapping.first.checked_add(count).is_none_or(|end| end > region.present) {
            return Err(Error::Invalid);
        }
        for done in 0..count {
            match self.map_page(hardware, server, mapping, done) {
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
                Ok(()) => {}
            }
            if self.threads[server].life == Life::Candidate {
                hardware.space_shared(server.0, false);
            }
        }
        Ok(count)
    }

    fn map_page(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        mapping: &Mapping,
        page: u32,
    ) -> Result<(), Error> {
        let address = mapping.address + u64::from(page) * PAGE;
        let Err(tables) = hardware.space_lookup(server.0, address) else {
            return Err(Error::Mapped);
        };
        let frame = self.region_frame(hardware, mapping.region, mapping.first + page);
        let frame = frame.ok_or(Error::Invalid)?;
        if self.regions[mapping.region].maps == u32::MAX {
            return Err(Error::Exhausted);
        }
        let own = self.threads[server].own;
        self.hold(own, ObjectKind::Table, tables)?;
        hardware.space_map(server.0, address, frame, mapping.access, tables).map_err(|_| {
            self.release(own, ObjectKind::Table, tables);
            Error::Memory
        })?;
        self.threads[server].tables += tables;
        let region = &mut self.regions[mapping.region];
        region.maps += 1;
        region.writable += u32::from(mapping.access == Access::Write);
        self.threads[server].pages += 1;
        if let Some(info) = self.frame_info(frame) {
            info.maps += 1;
        }
        Ok(())
    }

    /// Unmaps what is mapped at up to 32 addresses; returns how many addresses were done. For a manager it ends at the first
    /// page that is not of a region which that one made.
    pub(super) fn unmap(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        address: u64,
        count: u32,
        manager: Option<SlotId>,
    ) -> Result<u32, Error> {
        let count = count.min(PAGES_PER_CALL);
        if !is_user(address, count) {
            return Err(Error::Address);
        }
        let pages = (0..count).map(|page| address + u64::from(page) * PAGE);
        let mut done = 0;
        for address in pages {
            if let Some(manager) = manager
                && self.is_foreign(hardware, server, address, manager)
            {
                break;
            }
            self.unmap_page(hardware, server, address);
            done += 1;
        }
        hardware.space_flush();
        if done == 0 && count != 0 { Err(Error::NotAllowed) } else { Ok(done) }
    }

    /// Whether a page is there that is of no region which a manager made.
    fn is_foreign(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        address: u64,
        manager: SlotId,
    ) -> bool {
        let found = hardware.space_lookup(server.0, address);
        found.is_ok_and(|(frame, _)| {
            !self.frame_region(frame).is_some_and(|id| self.made_by(manager, id))
        })
    }

    /// Unmaps one page, if there is one.
    #[inline(never)]
    pub(super) fn unmap_page(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        address: u64,
    ) {
        if let Some((frame, access)) = hardware.space_unmap(server.0, address) {
            self.threads[server].pages -= 1;
            self.uncount(frame, access);
        }
    }

    fn uncount(&mut self, frame: Frame, access: Access) {
        if let Some(id) = self.frame_region(frame) {
            let region = &mut self.regions[id];
            region.maps -= 1;
            region.writable -= u32::from(access == Access::Write);
        }
        if let Some(info) = self.frame_info(frame) {
            info.maps -= 1;
        }
    }
}

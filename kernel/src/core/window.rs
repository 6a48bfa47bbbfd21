//! Windows: runs of grant references for one peer.
//!
//! A page whose grant the peer still holds stays where it is: its region cannot be freed, and the reference stays in use.

use abi::kernel::PAGES_PER_CALL;
use abi::kernel::control::{self, Access, GRANTABLE, NO_PEER, ObjectKind};
use abi::kernel::window::Error;
use abi::layout::PAGE;

use super::Core;
use super::hardware::{Frame, Hardware};
use super::table::{RegionId, SlotId, ThreadId, WindowId};

/// Grant references below this are not ours (Xen public/grant_table.h, `GNTTAB_NR_RESERVED_ENTRIES`); entry `n` of the array
/// of grants is reference `n + GRANTS_RESERVED`.
pub const GRANTS_RESERVED: u32 = 8;

/// Grants that one call of `window_reset` looks at, at most.
const TRIED_AT_ONCE: u32 = 256;

/// A window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Window {
    /// First of its entries in the array of grants.
    pub first: u32,
    /// Number of its entries; 0 until it is set up.
    pub count: u32,
    /// Entries that are in use.
    pub live: u32,
    /// Where the next `window_reset` goes on.
    pub cursor: u32,
    /// Peer domain.
    pub peer: u16,
    /// The slot that it counts for; none until it is set up.
    pub holder: SlotId,
}

impl Default for Window {
    fn default() -> Self {
        Self { first: 0, count: 0, live: 0, cursor: 0, peer: NO_PEER, holder: SlotId::NONE }
    }
}

/// One grant reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Grant {
    /// The page granted.
    pub frame: u32,
    /// Whether it is in use.
    pub live: bool,
}

/// Pages to be granted.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// First reference, counted from the window's first.
    pub first: u32,
    /// Address of the first page.
    pub address: u64,
    /// How many.
    pub count: u32,
    /// Whether the peer may only read.
    pub read_only: bool,
}

impl Core<'_> {
    fn grant_mut(&mut self, entry: u32) -> Option<&mut Grant> {
        self.grants.get_mut(usize::try_from(entry).ok()?)
    }

    fn check_range(&self, id: WindowId, first: u32, count: u32) -> Result<(), Error> {
        let inside = first.checked_add(count).is_some_and(|end| end <= self.windows[id].count);
        if inside && count <= PAGES_PER_CALL { Ok(()) } else { Err(Error::Range) }
    }

    /// Grants pages of the caller to the window's peer: all of them or none.
    pub(super) fn window_grant(
        &mut self,
        hardware: &mut impl Hardware,
        id: WindowId,
        server: ThreadId,
        request: &Request,
    ) -> Result<u32, Error> {
        let Window { first, peer, .. } = self.windows[id];
        self.check_range(id, request.first, request.count)?;
        if peer == NO_PEER {
            return Err(Error::NoPeer);
        }
        for page in 0..request.count {
            self.grantable(hardware, server, request, page)?;
            let entry = self.grant_mut(first + request.first + page);
            if entry.is_none_or(|grant| grant.live) {
                return Err(Error::Busy);
            }
        }
        for page in 0..request.count {
            let (frame, region) = self.grantable(hardware, server, request, page)?;
            let entry = first + request.first + page;
            self.count_grant(entry, frame, region);
            self.windows[id].live += 1;
            hardware.grant(entry + GRANTS_RESERVED, peer, frame, request.read_only);
        }
        Ok(first + request.first + GRANTS_RESERVED)
    }

    /// The page of a request, if the caller may grant it.
    fn grantable(
        &mut self,
        hardware: &mut impl Hardware,
        server: ThreadId,
        request: &Request,
        page: u32,
    ) -> Result<(Frame, RegionId), Error> {
        let address = request.address.checked_add(u64::from(page) * PAGE).ok_or(Error::Page)?;
        if !address.is_multiple_of(PAGE) {
            return Err(Error::Page);
        }
        let (frame, access) = hardware.space_lookup(server.0, address).map_err(|_| Error::Page)?;
        let region = self.frame_region(frame).ok_or(Error::Page)?;
        let writable = request.read_only || access == Access::Write;
        let known = self.frame_info(frame).is_some_and(|info| info.grants < u16::MAX);
        if self.regions[region].flags & GRANTABLE != 0 && writable && known {
            Ok((frame, region))
        } else {
            Err(Error::Page)
        }
    }

    fn count_grant(&mut self, entry: u32, frame: Frame, region: RegionId) {
        if let Some(grant) = self.grant_mut(entry) {
            *grant = Grant { frame: frame.0, live: true };
        }
        self.regions[region].grants += 1;
        if let Some(info) = self.frame_info(frame) {
            info.grants += 1;
        }
    }

    /// Takes a grant back; true unless the peer still has it mapped.
    fn ungrant(&mut self, hardware: &mut impl Hardware, id: WindowId, entry: u32) -> bool {
        let Some(grant) = self.grant_mut(entry).filter(|grant| grant.live) else { return true };
        if !hardware.ungrant(entry + GRANTS_RESERVED) {
            return false;
        }
        let frame = Frame(grant.frame);
        *grant = Grant::default();
        self.windows[id].live -= 1;
        if let Some(region) = self.frame_region(frame) {
            self.regions[region].grants -= 1;
        }
        if let Some(info) = self.frame_info(frame) {
            info.grants -= 1;
        }
        true
    }

    /// Takes some grants back; returns how many the peer still has mapped.
    pub(super) fn window_revoke(
        &mut self,
        hardware: &mut impl Hardware,
        id: WindowId,
        first: u32,
        count: u32,
    ) -> Result<u32, Error> {
        self.check_range(id, first, count)?;
        let start = self.windows[id].first + first;
        let mut held = 0;
        for entry in start..start + count {
            held += u32::from(!self.ungrant(hardware, id, entry));
        }
        Ok(held)
    }

    /// First reference and number of references.
    pub(super) fn window_extent(&self, id: WindowId) -> (u32, u32) {
        let Window { first, count, .. } = self.windows[id];
        (first + GRANTS_RESERVED, count)
    }

    /// Takes back up to 32 of a window's grants, going round; returns how many are in use still. Those that the peer keeps
    /// do not count, as far as there are not too many of them in a row.
    pub(super) fn window_reset(&mut self, hardware: &mut impl Hardware, id: WindowId) -> u32 {
        let Window { first, count, mut cursor, live, .. } = self.windows[id];
        let mut tried = 0;
        for _ in 0..count {
            let taken = live - self.windows[id].live;
            if taken == PAGES_PER_CALL || tried == TRIED_AT_ONCE {
                break;
            }
            tried += u32::from(self.grant_mut(first + cursor).is_some_and(|grant| grant.live));
            self.ungrant(hardware, id, first + cursor);
            cursor = if cursor + 1 < count { cursor + 1 } else { 0 };
        }
        self.windows[id].cursor = cursor;
        self.windows[id].live
    }

    /// Sets up a window, or changes its peer or size while none of its references is in use.
    pub(super) fn window_configure(
        &mut self,
        id: WindowId,
        holder: SlotId,
        count: u32,
        peer: u16,
    ) -> Result<(), control::Error> {
        let old = self.windows[id];
        if (old.holder, old.count, old.peer) == (holder, count, peer) {
            return Ok(());
        }
        if old.live != 0 {
            return Err(control::Error::Busy);
        }
        let first = if old.count == count { Some(old.first) } else { self.grants_gap(id, count) };
        let first = first.ok_or(control::Error::Exhausted)?;
        self.window_hold(old, holder, count)?;
        self.windows[id] = Window { first, count, live: 0, cursor: 0, peer, holder };
        Ok(())
    }

    /// Counts a window and its references for a slot, instead of what it was counted as.
    fn window_hold(
        &mut self,
        old: Window,
        holder: SlotId,
        count: u32,
    ) -> Result<(), control::Error> {
        if old.holder == holder {
            self.hold(holder, ObjectKind::Grant, count.saturating_sub(old.count))?;
            self.release(holder, ObjectKind::Grant, old.count.saturating_sub(count));
            return Ok(());
        }
        self.hold(holder, ObjectKind::Grant, count)?;
        self.hold(holder, ObjectKind::Window, 1)
            .inspect_err(|_| self.release(holder, ObjectKind::Grant, count))?;
        self.release(old.holder, ObjectKind::Window, 1);
        self.release(old.holder, ObjectKind::Grant, old.count);
        Ok(())
    }

    /// Finds `count` entries in a row that belong to no other window.
    fn grants_gap(&self, id: WindowId, count: u32) -> Option<u32> {
        let mut start = 0_u32;
        // Each round steps over one window, so there are at most as many rounds as windows.
        loop {
            let end = start.checked_add(count)?;
            if usize::try_from(end).ok()? > self.grants.len() {
                return None;
            }
            let others = self.windows.numbers().filter(|other| *other != id);
            let mut others = others.map(|other| &self.windows[other]);
            match others.find(|other| other.first < end && start < other.first + other.count) {
                Some(other) => start = other.first + other.count,
                None => return Some(start),
            }
        }
    }
}

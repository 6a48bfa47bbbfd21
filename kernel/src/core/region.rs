//! Regions: pages that can be mapped in several servers, and the rules of sealing.
//!
//! A region's frames are listed in index pages, so nothing needs to be contiguous; the fixed regions and those of one page
//! are a run of frames and need none. A sealed region has no writable mapping and never gets one.

use abi::kernel::PAGES_PER_CALL;
use abi::kernel::control::{
    Access, Error, GRANTABLE, KEEP, MADE, ObjectKind, REGIONS_FIXED, SEALED, WIRE,
};

use super::Core;
use super::hardware::{Frame, Hardware};
use super::slot::SUPERVISOR;
use super::table::{Number, RegionId, SlotId};
use super::thread::Life;

/// Internal flag: a page that Xen or the kernel writes; it can be mapped for reading alone.
pub const WATCHED: u32 = 1 << 16;
/// Internal flag: a page shared with another domain; it can be mapped for reading and writing, and not be sealed.
pub const DEVICE: u32 = 1 << 17;
/// The flags that `region_info` tells.
const PUBLIC: u32 = GRANTABLE | WIRE | KEEP | SEALED | MADE;
/// Entries of an index page.
const ENTRIES: u32 = 1024;

/// A region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Region {
    /// Pages that it is to have.
    pub pages: u32,
    /// Pages that it has.
    pub present: u32,
    /// First frame, or index page, by `depth`.
    pub root: u32,
    /// Flags as in `abi::kernel::control`, and internal ones.
    pub flags: u32,
    /// Mappings of all its pages.
    pub maps: u32,
    /// Writable ones among them.
    pub writable: u32,
    /// Grants of all its pages.
    pub grants: u32,
    /// 0: a run of frames from `root` on; 1: `root` is an index page; 2: `root` is an index page of index pages.
    pub depth: u8,
    /// Whether it exists.
    pub life: Life,
    /// The slot that it counts for.
    pub holder: SlotId,
}

const _: () = assert!(size_of::<Region>() == 32);

impl Default for Region {
    fn default() -> Self {
        Self {
            pages: 0,
            present: 0,
            root: 0,
            flags: 0,
            maps: 0,
            writable: 0,
            grants: 0,
            depth: 0,
            life: Life::Free,
            holder: SlotId::NONE,
        }
    }
}

impl Region {
    /// A region made at boot over a run of frames.
    pub fn fixed(first: Frame, pages: u32, flags: u32) -> Self {
        let (present, root) = (pages, first.0);
        let (life, holder) = (Life::Live, SUPERVISOR);
        Self { pages, present, root, flags, life, holder, ..Self::default() }
    }

    /// Whether its pages may be mapped so.
    pub fn allows(&self, access: Access) -> bool {
        match access {
            Access::Read => true,
            Access::Write => self.flags & (SEALED | WATCHED) == 0,
            Access::Execute => self.flags & (SEALED | WATCHED) == SEALED,
        }
    }
}

/// Index pages that a region of so many pages needs.
pub fn index_pages(pages: u32) -> u32 {
    match pages {
        0..=1 => 0,
        2..=ENTRIES => 1,
        _ => 1 + pages.div_ceil(ENTRIES),
    }
}

/// Place of a page in the two levels of indexes.
fn place(page: u32) -> (u16, u16) {
    // Both are below 1024: a region has at most `PAGES_MOST` pages.
    let low = |value: u32| u16::try_from(value % ENTRIES).unwrap_or(0);
    (low(page / ENTRIES), low(page))
}

/// Most pages of a region.
const PAGES_MOST: u32 = ENTRIES * ENTRIES;

impl Core<'_> {
    /// Makes a region without memory, which counts for a slot.
    pub(super) fn region_create(
        &mut self,
        hardware: &mut impl Hardware,
        holder: SlotId,
        pages: u32,
        flags: u32,
    ) -> Result<RegionId, Error> {
        if pages == 0 || pages > PAGES_MOST || flags & !(GRANTABLE | WIRE | KEEP) != 0 {
            return Err(Error::Invalid);
        }
        let free = |id: &RegionId| id.0 >= REGIONS_FIXED && self.regions[*id].life == Life::Free;
        let id = self.regions.numbers().find(free).ok_or(Error::Exhausted)?;
        let depth = match pages {
            1 => 0,
            2..=ENTRIES => 1,
            _ => 2,
        };
        self.hold(holder, ObjectKind::Region, 1)?;
        let root = if depth == 0 { Ok(0) } else { self.index_take(hardware, holder) };
        let root = root.inspect_err(|_| self.release(holder, ObjectKind::Region, 1))?;
        let life = Life::Live;
        self.regions[id] = Region { pages, root, flags, depth, life, holder, ..Region::default() };
        Ok(id)
    }

    /// Takes an index page, for a slot.
    #[inline(never)]
    fn index_take(&mut self, hardware: &mut impl Hardware, holder: SlotId) -> Result<u32, Error> {
        self.hold(holder, ObjectKind::Table, 1)?;
        hardware.index_take().map_err(|_| {
            self.release(holder, ObjectKind::Table, 1);
            Error::Memory
        })
    }

    /// Gives an index page of a slot back.
    #[inline(never)]
    fn index_give(&mut self, hardware: &mut impl Hardware, holder: SlotId, page: u32) {
        hardware.index_give(page);
        self.release(holder, ObjectKind::Table, 1);
    }

    /// Gives a region up to 32 zeroed pages; returns how many are missing still.
    pub(super) fn region_extend(
        &mut self,
        hardware: &mut impl Hardware,
        id: RegionId,
    ) -> Result<u32, Error> {
        if self.regions[id].flags & SEALED != 0 {
            return Err(Error::Sealed);
        }
        for done in 0..PAGES_PER_CALL {
            let region = self.regions[id];
            if region.present == region.pages {
                break;
            }
            match self.extend_by_page(hardware, id) {
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(self.regions[id].pages - self.regions[id].present)
    }

    fn extend_by_page(&mut self, hardware: &mut impl Hardware, id: RegionId) -> Result<(), Error> {
        let Region { present, holder, .. } = self.regions[id];
        if self.frames_free == 0 {
            return Err(Error::Memory);
        }
        self.hold(holder, ObjectKind::Frame, 1)?;
        let leaf = self.leaf(hardware, id);
        let leaf = leaf.inspect_err(|_| self.release(holder, ObjectKind::Frame, 1))?;
        let frame = self.frame_take(id).ok_or(Error::Memory)?;
        hardware.zero(frame);
        let (Region { depth, .. }, (_, low)) = (self.regions[id], place(present));
        if depth == 0 {
            self.regions[id].root = frame.0;
        } else {
            hardware.index_write(leaf, low, frame.0);
        }
        self.regions[id].present += 1;
        Ok(())
    }

    /// The index page that the next page of a region is to be noted in.
    #[inline(never)]
    fn leaf(&mut self, hardware: &mut impl Hardware, id: RegionId) -> Result<u32, Error> {
        let Region { present, root, depth, holder, .. } = self.regions[id];
        let (high, low) = place(present);
        match (depth, low) {
            (2, 0) => {
                let leaf = self.index_take(hardware, holder)?;
                hardware.index_write(root, high, leaf);
                Ok(leaf)
            }
            (2, _) => Ok(hardware.index_read(root, high)),
            _ => Ok(root),
        }
    }

    /// A page of a region, if it has that many.
    #[inline(never)]
    pub(super) fn region_frame(
        &self,
        hardware: &mut impl Hardware,
        id: RegionId,
        page: u32,
    ) -> Option<Frame> {
        let region = &self.regions[id];
        if page >= region.present {
            return None;
        }
        let (high, low) = place(page);
        Some(Frame(match region.depth {
            0 => region.root.checked_add(page)?,
            1 => hardware.index_read(region.root, low),
            _ => {
                let leaf = hardware.index_read(region.root, high);
                hardware.index_read(leaf, low)
            }
        }))
    }

    /// Seals a region, for ever.
    pub(super) fn region_seal(&mut self, id: RegionId) -> Result<(), Error> {
        let region = &mut self.regions[id];
        if region.flags & (WATCHED | DEVICE) != 0 {
            return Err(Error::Invalid);
        }
        if region.flags & SEALED != 0 || region.writable != 0 || region.grants != 0 {
            return Err(Error::Sealed);
        }
        region.flags |= SEALED;
        Ok(())
    }

    /// Frees up to 32 pages of a region, from its end on; returns how many are left. At 0 the region is gone.
    pub(super) fn region_free(
        &mut self,
        hardware: &mut impl Hardware,
        id: RegionId,
    ) -> Result<u32, Error> {
        if id.0 < REGIONS_FIXED {
            return Err(Error::Invalid);
        }
        if self.regions[id].maps != 0 || self.regions[id].grants != 0 {
            return Err(Error::Busy);
        }
        self.regions[id].life = Life::Dying;
        for _ in 0..PAGES_PER_CALL {
            if self.regions[id].present == 0 {
                break;
            }
            self.shrink_by_page(hardware, id);
        }
        let Region { present, root, depth, holder, .. } = self.regions[id];
        if present == 0 {
            if depth != 0 {
                self.index_give(hardware, holder, root);
            }
            self.release(holder, ObjectKind::Region, 1);
            self.regions[id] = Region::default();
        }
        Ok(present)
    }

    fn shrink_by_page(&mut self, hardware: &mut impl Hardware, id: RegionId) {
        let Region { present, root, depth, holder, .. } = self.regions[id];
        let last = present.saturating_sub(1);
        if let Some(frame) = self.region_frame(hardware, id, last) {
            self.frame_give(frame);
            self.release(holder, ObjectKind::Frame, 1);
        }
        if let (2, (high, 0)) = (depth, place(last)) {
            let leaf = hardware.index_read(root, high);
            self.index_give(hardware, holder, leaf);
        }
        self.regions[id].present = last;
    }

    /// Size, flags, mappings and holder.
    pub(super) fn region_info(&self, id: RegionId) -> (u32, u32, u32, u16) {
        let Region { pages, flags, maps, holder, .. } = self.regions[id];
        (pages, flags & PUBLIC, maps, holder.raw())
    }

    /// The region, if it exists and is not being freed.
    #[inline(never)]
    pub(super) fn live_region(&self, raw: u16) -> Result<RegionId, Error> {
        let id = self.regions.check(raw).ok_or(Error::Invalid)?;
        if self.regions[id].life == Life::Live { Ok(id) } else { Err(Error::Invalid) }
    }
}

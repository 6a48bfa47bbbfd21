//! The frame table: who owns each page of memory, and how often it is mapped and granted.
//!
//! A page has one owner. It becomes free only when nothing maps it and no peer holds a grant of it; it is zeroed before a
//! new owner sees it. Pages outside the table (Xen's and the toolstack's) belong to fixed regions and are never freed.

use abi::kernel::control::REGIONS_FIXED;

use super::Core;
use super::hardware::Frame;
use super::table::RegionId;

/// One page of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct FrameInfo {
    /// Region that owns it, [`FREE`] or [`KERNEL`].
    pub owner: u16,
    /// Grants that it has.
    pub grants: u16,
    /// Number of its mappings; of a free page the number of the next free one.
    pub maps: u32,
}

/// Owner of a free page.
pub const FREE: u16 = 0xfffe;
/// Owner of a page that is not given out.
pub const KERNEL: u16 = 0xffff;
/// End of the list of free pages.
const END: u32 = u32::MAX;

impl Default for FrameInfo {
    fn default() -> Self {
        Self { owner: KERNEL, grants: 0, maps: 0 }
    }
}

/// The pages that are free: a list through the table.
#[derive(Clone, Copy, Debug)]
pub struct FreeFrames {
    first: u32,
}

impl FreeFrames {
    /// None.
    pub const NONE: Self = Self { first: END };
}

impl Core<'_> {
    /// What is known of a page; `None` for pages outside the table.
    pub(super) fn frame_info(&mut self, frame: Frame) -> Option<&mut FrameInfo> {
        let at = usize::try_from(frame.0.checked_sub(self.first_frame)?).ok()?;
        self.frames.get_mut(at)
    }

    /// Puts a page into the list of free ones, if the table knows it.
    pub(super) fn frame_give(&mut self, frame: Frame) {
        let next = self.free.first;
        let Some(info) = self.frame_info(frame) else { return };
        debug_assert!(info.owner == KERNEL || (info.maps == 0 && info.grants == 0));
        *info = FrameInfo { owner: FREE, grants: 0, maps: next };
        self.free.first = frame.0;
        self.frames_free += 1;
    }

    /// Takes a free page for a region; it is not zeroed yet.
    pub(super) fn frame_take(&mut self, owner: RegionId) -> Option<Frame> {
        let frame = Frame(self.free.first);
        let info = self.frame_info(frame).filter(|info| info.owner == FREE)?;
        let next = info.maps;
        *info = FrameInfo { owner: owner.0, grants: 0, maps: 0 };
        self.free.first = next;
        self.frames_free -= 1;
        Some(frame)
    }

    /// Says that a fixed region owns a page.
    pub(super) fn frame_own(&mut self, frame: Frame, owner: RegionId) {
        if let Some(info) = self.frame_info(frame) {
            info.owner = owner.0;
        }
    }

    /// The region that owns a page.
    pub(super) fn frame_region(&mut self, frame: Frame) -> Option<RegionId> {
        match self.frame_info(frame) {
            Some(info) => {
                let owner = info.owner;
                self.regions.check(owner)
            }
            None => (0..REGIONS_FIXED).map_while(|raw| self.regions.check(raw)).find(|id| {
                let region = &self.regions[*id];
                frame.0.checked_sub(region.root).is_some_and(|page| page < region.present)
            }),
        }
    }
}

//! The kernel's half of every address space: built once at boot, then shared by all spaces through one entry of the top
//! table. Nothing in it is writable and executable, and nothing in it is reachable from user mode.

use abi::layout::PAGE;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::mapper::{MapToError, MappedPageTable};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

use super::descriptors::STACK_PLACES;
use super::layout::{KERNEL_BASE, POOL, TOP_ENTRY};
use super::pool::{Pool, View};

/// How a page is mapped in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelAccess {
    /// Read and execute.
    Execute,
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and write device registers.
    Device,
}

impl KernelAccess {
    fn flags(self) -> PageTableFlags {
        let kept = PageTableFlags::PRESENT | PageTableFlags::GLOBAL;
        kept | match self {
            Self::Execute => PageTableFlags::empty(),
            Self::Read => PageTableFlags::NO_EXECUTE,
            Self::Write => PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE,
            Self::Device => {
                PageTableFlags::NO_EXECUTE
                    | PageTableFlags::WRITABLE
                    | PageTableFlags::NO_CACHE
                    | PageTableFlags::WRITE_THROUGH
            }
        }
    }
}

/// The tables of the kernel's half.
#[derive(Clone, Copy, Debug)]
pub struct KernelTables {
    top: PhysAddr,
    view: View,
}

/// A page could not be mapped: the pool is used up, or something is mapped there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotMapped;

unsafe extern "C" {
    static image_start: u8;
    static text_start: u8;
    static text_end: u8;
    static rodata_end: u8;
    static image_end: u8;
}

/// Physical addresses of the kernel's image, without the part that only the entry needed.
pub fn image() -> ::core::ops::Range<u64> {
    physical(&raw const text_start)..physical(&raw const image_end)
}

/// Physical addresses of all that was loaded.
pub fn whole_image() -> ::core::ops::Range<u64> {
    &raw const image_start as u64..physical(&raw const image_end)
}

fn physical(symbol: *const u8) -> u64 {
    (symbol as u64).wrapping_sub(KERNEL_BASE)
}

impl KernelTables {
    /// Builds the tables of image, pool and the stacks of `vcpus` vCPUs, while the first tables are in use.
    ///
    /// # Errors
    /// The pool is too small.
    pub fn build(pool: &mut Pool, vcpus: u16) -> Result<Self, NotMapped> {
        let top = pool.take(1).ok_or(NotMapped)?;
        let tables = Self { top: PhysAddr::new(top), view: View::IDENTITY };
        tables.clear_top();
        let [start, text, rodata, end] = [
            &raw const text_start,
            &raw const text_end,
            &raw const rodata_end,
            &raw const image_end,
        ]
        .map(physical);
        tables.map_range(KERNEL_BASE + start, start..text, KernelAccess::Execute, pool)?;
        tables.map_range(KERNEL_BASE + text, text..rodata, KernelAccess::Read, pool)?;
        tables.map_range(KERNEL_BASE + rodata, rodata..end, KernelAccess::Write, pool)?;
        tables.map_range(POOL, pool.range(), KernelAccess::Write, pool)?;
        for vcpu in 0..vcpus {
            tables.map_stacks(vcpu, pool)?;
        }
        Ok(tables)
    }

    fn clear_top(&self) {
        // SAFETY: the page was just taken from the pool, for this table.
        unsafe { self.view.table(self.top) }.zero();
    }

    fn map_stacks(&self, vcpu: u16, pool: &mut Pool) -> Result<(), NotMapped> {
        for place in &STACK_PLACES {
            let first = pool.take(place.pages).ok_or(NotMapped)?;
            let pages = first..first + place.pages * PAGE;
            self.map_range(place.bottom(vcpu), pages, KernelAccess::Write, pool)?;
        }
        Ok(())
    }

    /// Leaves the first tables: from here on, memory is found where [`Pool::view`] says, and nowhere else.
    ///
    /// # Safety
    /// The caller uses no address outside the kernel's half afterwards.
    pub unsafe fn enter(self, pool: &Pool) -> Self {
        self.load();
        Self { view: pool.view(), ..self }
    }

    /// Loads the kernel's half with an empty user half.
    pub fn load(&self) {
        let top = PhysFrame::containing_address(self.top);
        // SAFETY: the table maps the kernel's image, the stack in use and the pool.
        unsafe { Cr3::write(top, Cr3Flags::empty()) };
    }

    /// Maps a run of pages.
    ///
    /// # Errors
    /// No page for a table, or something is mapped there.
    pub fn map_range(
        &self,
        address: u64,
        pages: ::core::ops::Range<u64>,
        access: KernelAccess,
        allocator: &mut impl FrameAllocator<Size4KiB>,
    ) -> Result<(), NotMapped> {
        for (i, page) in (0..).zip(pages.step_by(PAGE as usize)) {
            self.map(address + i * PAGE, page, access, allocator)?;
        }
        Ok(())
    }

    /// Maps a page of the kernel's half.
    ///
    /// # Errors
    /// No page for a table, or something is mapped there.
    pub fn map(
        &self,
        address: u64,
        page: u64,
        access: KernelAccess,
        allocator: &mut impl FrameAllocator<Size4KiB>,
    ) -> Result<(), NotMapped> {
        let parents = PageTableFlags::PRESENT | PageTableFlags::WRITABLE;
        let page_there = Page::<Size4KiB>::containing_address(VirtAddr::new_truncate(address));
        let frame = PhysFrame::containing_address(PhysAddr::new_truncate(page));
        let mut mapper = self.mapper();
        // SAFETY: only boot code maps here: the image, the pool, stacks and pages shared with Xen, each at its own place.
        let done = unsafe {
            mapper.map_to_with_table_flags(page_there, frame, access.flags(), parents, allocator)
        };
        match done {
            // Nothing was mapped there before, so the translation buffer holds nothing of it.
            Ok(flush) => flush.ignore(),
            Err(MapToError::FrameAllocationFailed | _) => return Err(NotMapped),
        }
        Ok(())
    }

    fn mapper(&self) -> MappedPageTable<'static, View> {
        // SAFETY: the top table is in the pool; only one mapper is alive at a time.
        let top = unsafe { self.view.table(self.top) };
        // SAFETY: the top table is complete, and the view reaches every table below.
        unsafe { MappedPageTable::new(top, self.view) }
    }

    /// The entry that every space's top table shares.
    pub fn share_with(&self, top: &mut PageTable) {
        // SAFETY: the top table is in the pool, and is only read here.
        let own = unsafe { self.view.table(self.top) };
        if let (Some(entry), Some(ours)) =
            (top.iter_mut().nth(TOP_ENTRY), own.iter().nth(TOP_ENTRY))
        {
            *entry = ours.clone();
        }
    }

    /// The word of the lowest table that maps an address of the kernel's half; a page must be mapped there.
    pub fn entry_of(&self, address: u64) -> Option<*mut u64> {
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new_truncate(address));
        let mut table = self.top;
        for index in [page.p4_index(), page.p3_index(), page.p2_index()] {
            // SAFETY: tables of the kernel's half are in the pool and are only read here.
            let entries = unsafe { self.view.table(table) };
            let entry = &entries[index];
            if !entry.flags().contains(PageTableFlags::PRESENT) {
                return None;
            }
            table = entry.addr();
        }
        let place = self.view.address(table.as_u64()) + u64::from(page.p1_index()) * 8;
        Some(place as *mut u64)
    }

    /// Physical address of the top table.
    pub fn top(&self) -> PhysAddr {
        self.top
    }
}

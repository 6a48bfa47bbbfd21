//! The pool: one run of pages, mapped at [`POOL`], for everything that the kernel keeps: page tables, objects, stacks.
//!
//! At boot it is handed out once, from its beginning; what is left over becomes [`TablePages`], which are taken and given
//! back for page tables and region indexes. There is no heap.

use abi::layout::PAGE;
use x86_64::PhysAddr;
use x86_64::structures::paging::mapper::PageTableFrameMapping;
use x86_64::structures::paging::{FrameAllocator, PageTable, PhysFrame, Size4KiB};

use super::layout::POOL;

/// The pool while the kernel boots.
#[derive(Debug)]
pub struct Pool {
    /// Physical address of its first page.
    start: u64,
    next: u64,
    end: u64,
}

impl Pool {
    /// A pool of free pages of RAM, from the physical address `start` on.
    pub const fn new(start: u64, pages: u64) -> Self {
        Self { start, next: start, end: start + pages * PAGE }
    }

    /// Physical addresses of the whole pool.
    pub const fn range(&self) -> ::core::ops::Range<u64> {
        self.start..self.end
    }

    /// How its memory is found once the kernel's own tables are in use.
    pub const fn view(&self) -> View {
        View { offset: POOL.wrapping_sub(self.start) }
    }

    /// Takes `pages` pages out, for good; returns the physical address of the first. They may hold anything.
    pub fn take(&mut self, pages: u64) -> Option<u64> {
        let end = self.next.checked_add(pages.checked_mul(PAGE)?)?;
        (end <= self.end).then(|| ::core::mem::replace(&mut self.next, end))
    }

    /// Takes a run of memory out for `bytes` bytes of objects. Only once the kernel's own tables are in use.
    pub fn objects(&mut self, bytes: u64) -> Option<Objects> {
        let next = self.view().address(self.take(bytes.div_ceil(PAGE))?);
        Some(Objects { next, end: next + bytes })
    }

    /// Makes all that is left over pages to be taken and given back.
    pub fn into_tables(self) -> TablePages {
        let mut tables = TablePages { view: self.view(), first: None, free: 0 };
        for page in (self.next..self.end).step_by(PAGE as usize) {
            tables.give(page);
        }
        tables
    }
}

/// Memory of the pool for arrays of objects.
#[derive(Debug)]
pub struct Objects {
    next: u64,
    end: u64,
}

impl Objects {
    /// What every array's address is a multiple of.
    pub const ALIGN: u64 = 256;

    /// Bytes that an array takes.
    pub const fn bytes<T>(count: usize) -> u64 {
        (count as u64 * size_of::<T>() as u64).next_multiple_of(Self::ALIGN)
    }

    /// Takes an array out, each element a copy of `value`.
    pub fn array<T: Copy>(&mut self, count: usize, value: T) -> Option<&'static mut [T]> {
        const { assert!(align_of::<T>() <= Self::ALIGN as usize) };
        let at = self.next as *mut T;
        let end = self.next.checked_add(Self::bytes::<T>(count))?;
        if end > self.end {
            return None;
        }
        self.next = end;
        for i in 0..count {
            let element = at.wrapping_add(i);
            // SAFETY: inside a run of the pool that was handed out to this once; mapped, aligned, and large enough.
            unsafe { element.write(value) };
        }
        // SAFETY: as above; every element was written, and `next` is past them.
        Some(unsafe { ::core::slice::from_raw_parts_mut(at, count) })
    }
}

/// How physical pages of the pool are reached.
#[derive(Clone, Copy, Debug)]
pub struct View {
    offset: u64,
}

impl View {
    /// Memory is where it physically is: true of the first tables only.
    pub const IDENTITY: Self = Self { offset: 0 };

    /// The address of a physical address.
    pub const fn address(self, physical: u64) -> u64 {
        physical.wrapping_add(self.offset)
    }

    /// The physical address of an address in the pool.
    pub const fn physical(self, address: u64) -> u64 {
        address.wrapping_sub(self.offset)
    }

    /// A page table by its physical address.
    ///
    /// # Safety
    /// It is a page table inside the pool, and no other reference to it is alive.
    pub unsafe fn table(self, physical: PhysAddr) -> &'static mut PageTable {
        // SAFETY: by the caller; the pool is mapped.
        unsafe { &mut *(self.address(physical.as_u64()) as *mut PageTable) }
    }
}

// SAFETY: tables are only ever taken from the pool, which the view reaches.
unsafe impl PageTableFrameMapping for View {
    fn frame_to_pointer(&self, frame: PhysFrame) -> *mut PageTable {
        self.address(frame.start_address().as_u64()) as *mut PageTable
    }
}

// SAFETY: every page is handed out once.
unsafe impl FrameAllocator<Size4KiB> for Pool {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.take(1).map(|at| PhysFrame::containing_address(PhysAddr::new(at)))
    }
}

/// Pages for page tables and region indexes: a list, each free page's first word naming the next.
#[derive(Debug)]
pub struct TablePages {
    view: View,
    first: Option<u64>,
    free: u32,
}

impl TablePages {
    /// How they are reached.
    pub const fn view(&self) -> View {
        self.view
    }

    /// How many are free.
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Takes one; it reads as zeros. Returns its physical address.
    pub fn take(&mut self) -> Option<u64> {
        let page = self.first?;
        let words = self.view.address(page) as *mut u64;
        // SAFETY: a free page of the pool: nobody refers to it but this list.
        let next = unsafe { words.read() };
        // SAFETY: as above.
        unsafe { words.write_bytes(0, PAGE as usize / 8) };
        self.first = (next != 0).then_some(next);
        self.free -= 1;
        Some(page)
    }

    /// Gives one back, by its physical address. Nothing may refer to it any more.
    pub fn give(&mut self, page: u64) {
        let words = self.view.address(page) as *mut u64;
        // SAFETY: the page is one of the pool's, and the caller gave it up. No page of the pool is page 0.
        unsafe { words.write(self.first.unwrap_or(0)) };
        self.first = Some(page);
        self.free += 1;
    }
}

// SAFETY: a page that was taken is not in the list.
unsafe impl FrameAllocator<Size4KiB> for TablePages {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        self.take().map(|at| PhysFrame::containing_address(PhysAddr::new(at)))
    }
}

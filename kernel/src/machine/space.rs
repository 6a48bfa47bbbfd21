//! The address spaces of servers: page tables taken from the pool, 4 KiB pages, the kernel's half shared.
//!
//! User memory itself is never touched here. Whoever maps has made sure that the address is a user address and free, and
//! which rights the pages may have; what this keeps is that tables are never lost and never used twice.

use abi::kernel::control::Access;
use abi::layout::{PAGE, SHARED, USER_END};
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::mapper::MappedPageTable;
use x86_64::structures::paging::{Mapper, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

use super::paging::KernelTables;
use super::pool::{TablePages, View};
use super::vcpu::Vcpu;
use crate::core::hardware::{Frame, TablesExhausted};

/// Entries of the top table that belong to the user's half.
const USER_ENTRIES: usize = 256;
/// Tables that one call of [`Space::destroy`] frees at most.
const DESTROYED_AT_ONCE: usize = 16;
/// Places that one call of [`Space::next`] looks at, at most.
const LOOKED_AT_ONCE: usize = 512;

/// The address space of a server, by the physical address of its top table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    top: PhysAddr,
}

/// Makes the kernel's own tables the current vCPU's.
pub fn leave_any(kernel: &KernelTables) {
    if Vcpu::current().space.replace(0) != 0 {
        kernel.load();
    }
}

const USER_TABLE: PageTableFlags =
    PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).union(PageTableFlags::USER_ACCESSIBLE);

/// The flags of a page.
fn flags(access: Access) -> PageTableFlags {
    let user = PageTableFlags::PRESENT | PageTableFlags::USER_ACCESSIBLE;
    match access {
        Access::Read => user | PageTableFlags::NO_EXECUTE,
        Access::Write => user | PageTableFlags::NO_EXECUTE | PageTableFlags::WRITABLE,
        Access::Execute => user,
    }
}

/// What flags allow.
fn access(flags: PageTableFlags) -> Access {
    if !flags.contains(PageTableFlags::NO_EXECUTE) {
        Access::Execute
    } else if flags.contains(PageTableFlags::WRITABLE) {
        Access::Write
    } else {
        Access::Read
    }
}

fn frame(address: PhysAddr) -> Frame {
    Frame((address.as_u64() / PAGE) as u32)
}

fn page(address: u64) -> Page<Size4KiB> {
    Page::containing_address(VirtAddr::new_truncate(address))
}

impl Space {
    /// Makes an empty one.
    ///
    /// # Errors
    /// No page for its top table.
    pub fn create(kernel: &KernelTables, tables: &mut TablePages) -> Result<Self, TablesExhausted> {
        let top = PhysAddr::new(tables.take().ok_or(TablesExhausted)?);
        // SAFETY: the page was just taken from the pool, for this table.
        kernel.share_with(unsafe { tables.view().table(top) });
        Ok(Self { top })
    }

    fn mapper(self, view: View) -> MappedPageTable<'static, View> {
        // SAFETY: the top table is in the pool; only one mapper is alive at a time.
        let top = unsafe { view.table(self.top) };
        // SAFETY: the top table is complete, and the view reaches every table below.
        unsafe { MappedPageTable::new(top, view) }
    }

    /// Maps a page at a free user address.
    ///
    /// # Errors
    /// No page for a table; nothing was mapped.
    pub fn map(
        self,
        tables: &mut TablePages,
        address: u64,
        frame: Frame,
        access: Access,
    ) -> Result<(), TablesExhausted> {
        let physical = PhysFrame::containing_address(PhysAddr::new(u64::from(frame.0) * PAGE));
        let mut mapper = self.mapper(tables.view());
        // SAFETY: a user address; the kernel itself never uses what is mapped there.
        let mapped = unsafe {
            let (page, flags) = (page(address), flags(access));
            mapper.map_to_with_table_flags(page, physical, flags, USER_TABLE, tables)
        };
        // What is not present is not cached, so nothing is to be flushed.
        mapped.map(|flush| flush.ignore()).map_err(|_| TablesExhausted)
    }

    /// Unmaps a page; says which it was. It is gone from the current vCPU's translation buffer, not from others'.
    pub fn unmap(self, view: View, address: u64) -> Option<(Frame, Access)> {
        let found = self.lookup(view, address).ok()?;
        let (_, flush) = self.mapper(view).unmap(page(address)).ok()?;
        flush.flush();
        Some(found)
    }

    /// Says whether what is mapped in the shared memory can be written at all. All of it hangs under one entry. The space is not
    /// loaded on the current vCPU: entering it empties the translation buffer.
    pub fn share(self, view: View, writable: bool) {
        // SAFETY: the top table is in the pool; only one reference to it is alive at a time.
        let top = unsafe { view.table(self.top) };
        let entry = &mut top[VirtAddr::new_truncate(SHARED).p4_index()];
        let mut flags = entry.flags();
        if flags.contains(PageTableFlags::PRESENT) {
            flags.set(PageTableFlags::WRITABLE, writable);
            entry.set_flags(flags);
        }
    }

    /// What is mapped at an address, or the number of tables that are missing there.
    ///
    /// # Errors
    /// Nothing is mapped there.
    pub fn lookup(self, view: View, address: u64) -> Result<(Frame, Access), u32> {
        let page = page(address);
        let indexes = [page.p4_index(), page.p3_index(), page.p2_index(), page.p1_index()];
        let mut at = self.top;
        let mut flags = PageTableFlags::empty();
        for (level, index) in (0..4).rev().zip(indexes) {
            // SAFETY: tables of a space are in the pool and are only read here.
            let entry = &unsafe { view.table(at) }[index];
            if !entry.flags().contains(PageTableFlags::PRESENT) {
                return Err(level);
            }
            (at, flags) = (entry.addr(), entry.flags());
        }
        Ok((frame(at), access(flags)))
    }

    /// The first mapped page at or above an address; `Err` says where to go on after a bounded search.
    ///
    /// # Errors
    /// Nothing found yet: go on from the address returned.
    pub fn next(self, view: View, from: u64) -> Result<Option<(u64, Frame, Access)>, u64> {
        let mut address = from & !(PAGE - 1);
        for _ in 0..LOOKED_AT_ONCE {
            if address >= USER_END {
                return Ok(None);
            }
            match self.look(view, address) {
                Ok((frame, access)) => return Ok(Some((address, frame, access))),
                Err(next) => address = next,
            }
        }
        Err(address)
    }

    /// What is mapped at an address, or the first address after the hole that it is in.
    fn look(self, view: View, address: u64) -> Result<(Frame, Access), u64> {
        self.lookup(view, address).map_err(|level| {
            let span = PAGE << (9 * level);
            (address & !(span - 1)) + span
        })
    }

    /// Frees some of the tables, in which no page is mapped any more; true when all are freed, the top table included.
    pub fn destroy(self, kernel: &KernelTables, tables: &mut TablePages) -> bool {
        self.leave(kernel);
        for _ in 0..DESTROYED_AT_ONCE {
            if !self.free_one(tables) {
                tables.give(self.top.as_u64());
                return true;
            }
        }
        false
    }

    /// Frees a table without tables below it; false if only the top table is left.
    fn free_one(self, tables: &mut TablePages) -> bool {
        let view = tables.view();
        // SAFETY: the tables of this space are in the pool; no mapper of it is alive.
        let mut table = unsafe { view.table(self.top) };
        let mut level = 4;
        loop {
            let Some(entry) = table
                .iter_mut()
                .take(if level == 4 { USER_ENTRIES } else { 2 * USER_ENTRIES })
                .find(|entry| !entry.is_unused())
            else {
                return false;
            };
            let below = entry.addr();
            // SAFETY: as above.
            let next: &'static mut PageTable = unsafe { view.table(below) };
            if level == 2 || next.is_empty() {
                entry.set_unused();
                tables.give(below.as_u64());
                return true;
            }
            (table, level) = (next, level - 1);
        }
    }

    /// Makes it the current vCPU's.
    pub fn enter(self) {
        let top = self.top.as_u64();
        if Vcpu::current().space.replace(top) != top {
            let frame = PhysFrame::containing_address(self.top);
            // SAFETY: the kernel's half of every space is the same.
            unsafe { Cr3::write(frame, Cr3Flags::empty()) };
        }
    }

    /// Makes sure that it is not the current vCPU's.
    fn leave(self, kernel: &KernelTables) {
        if Vcpu::current().space.get() == self.top.as_u64() {
            leave_any(kernel);
        }
    }

    /// Physical address of its top table.
    pub fn top(self) -> PhysAddr {
        self.top
    }
}

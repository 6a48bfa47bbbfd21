//! Walks all page tables and checks what must hold of every mapping: for tests, and for systems that ask for it.
//!
//! - No page is writable and executable.
//! - The kernel's half is the same in all spaces and not reachable from user mode; there is nothing else above user space.
//! - No user page is one of the pool's or of the kernel's image.

use ::core::ops::Range;

use abi::layout::PAGE;
use x86_64::PhysAddr;
use x86_64::structures::paging::{PageTable, PageTableFlags};

use super::layout::TOP_ENTRY;
use super::paging::{self, KernelTables};
use super::pool::View;
use super::space::Space;

/// A mapping that must not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Where it is mapped; only the lower 48 bits.
    pub address: u64,
    /// What is wrong with it.
    pub wrong: &'static str,
}

/// What is checked against.
struct Rules {
    view: View,
    pool: Range<u64>,
    image: Range<u64>,
}

/// Checks the kernel's half and all spaces.
///
/// # Errors
/// The first mapping that breaks a rule.
pub fn check(
    kernel: &KernelTables,
    view: View,
    pool: &Range<u64>,
    spaces: impl Iterator<Item = Space>,
) -> Result<(), Violation> {
    let rules = Rules { view, pool: pool.clone(), image: paging::image() };
    let shared = rules.kernel_entry(kernel.top());
    rules.top(kernel.top(), shared, true)?;
    for space in spaces {
        rules.top(space.top(), shared, false)?;
    }
    Ok(())
}

impl Rules {
    fn table(&self, at: PhysAddr) -> &PageTable {
        // SAFETY: tables are in the pool, and nobody changes them meanwhile: the kernel's lock is held.
        unsafe { self.view.table(at) }
    }

    fn kernel_entry(&self, top: PhysAddr) -> PhysAddr {
        self.table(top).iter().nth(TOP_ENTRY).map_or(PhysAddr::zero(), |entry| entry.addr())
    }

    fn top(&self, top: PhysAddr, shared: PhysAddr, kernel: bool) -> Result<(), Violation> {
        for (i, entry) in self.table(top).iter().enumerate() {
            let address = (i as u64) << 39;
            let wrong = |wrong| Err(Violation { address, wrong });
            match i {
                TOP_ENTRY if entry.addr() != shared => return wrong("another kernel half"),
                TOP_ENTRY if kernel => self.walk(entry.addr(), 3, address, false)?,
                TOP_ENTRY => {}
                0..256 if !entry.is_unused() => self.walk(entry.addr(), 3, address, true)?,
                _ if !entry.is_unused() => return wrong("above user space"),
                _ => {}
            }
        }
        Ok(())
    }

    fn walk(&self, table: PhysAddr, level: u32, base: u64, user: bool) -> Result<(), Violation> {
        for (i, entry) in (0..).zip(self.table(table).iter()) {
            let address = base + (i << (12 + 9 * (level - 1)));
            match entry.flags() {
                flags if !flags.contains(PageTableFlags::PRESENT) => {}
                flags if level == 1 => self.page(entry.addr().as_u64(), flags, address, user)?,
                flags if flags.contains(PageTableFlags::HUGE_PAGE) => {
                    return Err(Violation { address, wrong: "a large page" });
                }
                _ => self.walk(entry.addr(), level - 1, address, user)?,
            }
        }
        Ok(())
    }

    fn page(
        &self,
        physical: u64,
        flags: PageTableFlags,
        address: u64,
        user: bool,
    ) -> Result<(), Violation> {
        let writable = flags.contains(PageTableFlags::WRITABLE);
        let executable = !flags.contains(PageTableFlags::NO_EXECUTE);
        let ours =
            |range: &Range<u64>| (range.start..range.end).contains(&(physical & !(PAGE - 1)));
        let wrong = if writable && executable {
            "writable and executable"
        } else if flags.contains(PageTableFlags::USER_ACCESSIBLE) != user {
            "for the other half"
        } else if user && (ours(&self.pool) || ours(&self.image)) {
            "kernel memory in user space"
        } else {
            return Ok(());
        };
        Err(Violation { address, wrong })
    }
}

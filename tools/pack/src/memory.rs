//! How much memory a system takes, page by page, kernel included.
//!
//! Invariant: what is counted here is at least what the kernel and the supervisor take at boot. What the kernel keeps for each
//! object is its own affair; [`SIZES`] repeats it, and a test compares the two.

use abi::image::Counts;
use abi::layout::PAGE;
use ipc::system::Slot;
use object::{Object, ObjectSegment};

use crate::counts;
use crate::plan::Plan;

/// Pages that the loader and the toolstack keep: start info, command line, ACPI tables, and what alignment costs.
const LOADER: u64 = 16;
/// Pages of the boot's own: the clock's and the supervisor's.
const BOOT: u64 = 2;
/// The kernel's upper page tables, in pages.
const TABLES: u64 = 10;
/// What it keeps for each vCPU, in pages: stacks, the page shared with Xen, and, for all but the first, a run queue.
const VCPU: u64 = 13;
/// Bytes of a run queue.
const RUN_QUEUE: u64 = 2048;
/// Grant references that the toolstack owns, and references in a page of the grant table.
const GRANTS: (u64, u64) = (8, 512);

/// Bytes that the kernel keeps for each object.
pub struct Sizes {
    /// For a slot, and what it holds.
    pub slot: u64,
    /// For a server: the core's part.
    pub server: u64,
    /// For a server: the machine's part.
    pub frame: u64,
    /// For a handle.
    pub handle: u64,
    /// For a region.
    pub region: u64,
    /// For a port.
    pub port: u64,
    /// For a window.
    pub window: u64,
    /// For a grant reference.
    pub grant: u64,
    /// For a page of memory.
    pub page: u64,
    /// For everything else.
    pub rest: u64,
}

/// What the kernel keeps.
pub const SIZES: Sizes = Sizes {
    slot: 128 + 68,
    server: 256,
    frame: 1024 + 16,
    handle: 16,
    region: 32,
    port: 40,
    window: 20,
    grant: 8,
    page: 8,
    rest: 8192,
};

impl Sizes {
    /// Bytes of the core's objects, for a domain of so many pages.
    pub const fn core(&self, counts: &Counts, pages: u64) -> u64 {
        counts.slots as u64 * self.slot
            + counts.servers as u64 * self.server
            + counts.handles as u64 * self.handle
            + counts.regions as u64 * self.region
            + counts.ports as u64 * self.port
            + counts.windows as u64 * self.window
            + counts.grants as u64 * self.grant
            + pages * self.page
            + self.rest
    }
}

/// What a system is to be booted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// Pages that the kernel's own image takes.
    pub kernel: u64,
    /// Pages of memory.
    pub pages: u64,
    /// vCPUs.
    pub vcpus: u16,
}

impl Domain {
    /// A domain of so many MiB with this kernel, whose ELF was checked.
    pub fn new(kernel: &[u8], mebibytes: u32, vcpus: u16) -> Self {
        let file = object::File::parse(kernel);
        let segments = file.iter().flat_map(|file| file.segments());
        // The entry's own code is linked low, and is given back once the kernel runs.
        let kept = segments.filter(|segment| segment.address() > abi::layout::USER_END);
        let kernel = kept.map(|segment| segment.size().div_ceil(PAGE)).fold(0, u64::saturating_add);
        Self { kernel, pages: u64::from(mebibytes) * 256, vcpus }
    }
}

/// Pages that a system needs to boot.
pub fn to_boot(plan: &Plan<'_>, domain: Domain, counts: &Counts, image: u64) -> u64 {
    let private: u64 =
        plan.slots.iter().enumerate().map(|(number, slot)| private(plan, number, slot)).sum();
    let made: u64 = plan.managed.iter().map(|managed| managed.frames).sum();
    let shared: u64 = plan.regions.iter().map(|region| u64::from(region.pages)).sum();
    domain.kernel + pool(counts, domain) + image + shared + made + private + LOADER + BOOT
}

/// Pages of a slot's own.
fn private(plan: &Plan<'_>, number: usize, slot: &Slot) -> u64 {
    let record = if number == 0 { 0 } else { (record_bytes(slot) as u64).div_ceil(PAGE) };
    counts::data_pages(plan, number) + counts::memory(slot) + record
}

/// Pages that it takes more to have a second server in the slot where that is the largest: a swap.
pub fn to_swap(plan: &Plan<'_>) -> u64 {
    let slots = plan.slots.iter().enumerate().skip(1);
    slots.map(|(number, slot)| private(plan, number, slot)).max().unwrap_or(0)
}

/// Bytes of a slot's start record, with the lines that the supervisor may add of the domain's facts.
fn record_bytes(slot: &Slot) -> usize {
    const FACTS: usize = "console=absent\nxenstore=absent\n".len();
    abi::start::HEADER
        + slot.wires.len() * abi::start::ENTRY
        + slot.name.len()
        + slot.config.len()
        + FACTS
}

/// Pages of the kernel's pool.
fn pool(counts: &Counts, domain: Domain) -> u64 {
    let vcpus = u64::from(domain.vcpus);
    let bytes = SIZES.core(counts, domain.pages)
        + u64::from(counts.servers) * SIZES.frame
        + (vcpus - 1) * RUN_QUEUE;
    let kept = bytes.div_ceil(PAGE) + u64::from(counts.tables) + vcpus * VCPU + TABLES;
    let grants = (u64::from(counts.grants) + GRANTS.0).div_ceil(GRANTS.1);
    kept + (kept + grants).div_ceil(512) + 1
}

#[cfg(test)]
mod tests {
    use abi::image::Counts;

    use super::SIZES;

    #[test]
    fn no_less_is_counted_than_the_kernel_keeps() {
        for many in [0, 1, 3, 17, 200] {
            let counts = Counts {
                slots: many,
                servers: many + 1,
                regions: 8 + 3 * many,
                handles: 40 * many,
                ports: many,
                windows: many,
                grants: 500 * many,
                tables: 0,
            };
            for pages in [4096u32, 65_536] {
                let kept = kernel::core::bytes(&counts, 1, pages as usize) as u64;
                let more = kernel::core::bytes(&counts, 8, pages as usize) as u64;
                assert!(more - kept <= 7 * super::RUN_QUEUE, "{} for a vCPU", (more - kept) / 7);
                let counted = SIZES.core(&counts, pages.into());
                assert!(counted >= kept, "{many} of each: {counted} for {kept}");
                assert!(counted - kept < 8192, "{many} of each: {counted} for {kept}");
            }
        }
    }
}

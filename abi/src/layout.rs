//! The layout of a server's address space, and the pages that the kernel and the supervisor fill for it.
//!
//! The layout is fixed so that addresses are constants; where a wire's pages lie is told by the start page.

/// Version of the layout; part of the ABI hash.
pub const VERSION: u32 = 3;

/// Bytes in a page.
pub const PAGE: u64 = 4096;
/// Where images are linked.
pub const IMAGE: u64 = 0x0040_0000;
/// End of the room for images.
pub const IMAGE_END: u64 = 0x1000_0000;
/// The start page(s), read only: [`crate::start::Start`] for a server, [`BootPage`] for the supervisor.
pub const START: u64 = 0x1000_0000;
/// Most pages of the start record.
pub const START_PAGES: u64 = 4;
/// The clock page, read only: Xen's `vcpu_time_info` (Xen public/xen.h) at offset 0.
pub const CLOCK: u64 = 0x1010_0000;
/// Where the supervisor maps pages of a server that it fills.
pub const SCRATCH: u64 = 0x1030_0000;
/// How many it maps there at most.
pub const SCRATCH_PAGES: u32 = crate::kernel::PAGES_PER_CALL;
/// Where a successor finds its predecessor's state, read only, until it has adopted it.
pub const STATE: u64 = 0x1040_0000;
/// Most pages of such a state.
pub const STATE_PAGES: u64 = 0x8000;
/// End (exclusive, highest address) of the stack; it grows down, and the page below its last is never mapped.
pub const STACK_END: u64 = 0x2000_0000;
/// Most pages of a stack.
pub const STACK_PAGES: u64 = 256;
/// The heap.
pub const HEAP: u64 = 0x4000_0000;
/// End of the room for the heap.
pub const HEAP_END: u64 = 0x6000_0000;
/// Memory that a server's manager fills page by page as it is touched; in the manager itself, memory of its regions.
pub const FILLED: u64 = 0x1_0000_0000;
/// End of the room for it.
pub const FILLED_END: u64 = 0x9_0000_0000;
/// Where the supervisor finds the boot image, read only.
pub const BOOT_IMAGE: u64 = 0x70_0000_0000;
/// Shared memory: everything from here to [`SHARED_END`] hangs under one top-level page-table entry.
pub const SHARED: u64 = 0x80_0000_0000;
/// A device's ring page that the toolstack made (XenStore or console).
pub const DEVICE: u64 = SHARED;
/// Where the memory of wires begins.
pub const WIRES: u64 = SHARED + 2 * PAGE;
/// What a server keeps over a crash, if its wiring asks for it; the memory of its wires follows.
pub const KEEP: u64 = WIRES;
/// End of the shared memory.
pub const SHARED_END: u64 = 0x100_0000_0000;
/// End of what a server may map; the last page below 2^47 stays free (a `syscall` there would return to a non-canonical address).
pub const USER_END: u64 = 0x7fff_ffff_f000;

/// Most bytes of the kernel's command line that are kept.
pub const COMMAND_LINE: usize = 2048;

/// What the kernel tells the supervisor, at [`START`] in its address space; little endian, no padding.
///
/// | offset | size | |
/// |---|---|---|
/// | 0 | 8 | [`BootPage::MAGIC`] |
/// | 8 | 4 | length of the command line |
/// | 12 | 4 | bytes of the boot image |
/// | 16 | 2048 | the command line (`extra=` of xl, or what follows the kernel's name on Xen's module line) |
#[derive(Clone, Copy, Debug)]
pub struct BootPage;

impl BootPage {
    /// First eight bytes.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"XylemBoo");
    /// Offset of the length of the command line.
    pub const COMMAND_LINE_LENGTH: usize = 8;
    /// Offset of the size of the boot image.
    pub const IMAGE_BYTES: usize = 12;
    /// Offset of the command line.
    pub const COMMAND_LINE: usize = 16;
}

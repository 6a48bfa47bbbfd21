//! The kernel's own half of every address space. All of it hangs under the last entry of the top table, so a server's
//! top table shares it by one word.
//!
//! What is mapped here, and nothing else: the kernel's image, the pool (objects and page tables), each vCPU's stacks, the
//! pages shared with Xen, the grant table, and a window page per vCPU through which pages are zeroed. No other memory of
//! the domain is mapped in the kernel's half.

use abi::layout::PAGE;

/// Most vCPUs that are used; a domain may have more.
pub const VCPUS: usize = 8;

/// Index of the entry of the top table that holds the kernel's half.
pub const TOP_ENTRY: usize = 511;

/// The vCPUs' stacks: one area of [`STACKS_STRIDE`] bytes each.
pub const STACKS: u64 = 0xffff_ff80_0000_0000;
/// Bytes from one vCPU's stacks to the next one's.
pub const STACKS_STRIDE: u64 = 32 * PAGE;

/// Pages that are not the kernel's own memory: one address each.
const SPECIAL: u64 = 0xffff_ff90_0000_0000;
/// Xen's `shared_info`.
pub const SHARED_INFO: u64 = SPECIAL;
/// The local APIC's registers, where there is no x2APIC.
pub const LOCAL_APIC: u64 = SPECIAL + PAGE;
/// The console's ring page, for the panic screen.
pub const CONSOLE: u64 = SPECIAL + 2 * PAGE;
/// The window pages, one for each vCPU.
pub const WINDOWS: u64 = SPECIAL + 16 * PAGE;
/// The clock page that servers see, too.
pub const CLOCK_PAGE: u64 = SPECIAL + 32 * PAGE;
/// The grant table.
pub const GRANTS: u64 = SPECIAL + 64 * PAGE;
/// Most frames of the grant table (Xen's default limit; 512 entries of version 1 each).
pub const GRANT_FRAMES: u64 = 64;

/// Where the kernel's image is linked.
pub use boot::entry::KERNEL_BASE;

/// The pool.
pub const POOL: u64 = 0xffff_ffff_c000_0000;
/// Most bytes of the pool.
pub const POOL_MAX: u64 = 0x3000_0000;

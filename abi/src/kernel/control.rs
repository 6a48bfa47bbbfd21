//! What only the supervisor may do: fill slots with servers, hand out memory and handles, end the domain.

use crate::word_enum;

word_enum! {
    /// What a handle leads to.
    pub enum HandleKind {
        /// Nothing; a call through it answers `Gone`.
        Empty = 0,
        /// The kernel's interface to the server itself.
        Own = 1,
        /// A channel of a slot: may be called and notified.
        Wire = 2,
        /// A client's inbox: may be notified.
        Bell = 3,
        /// An event channel.
        Port = 4,
        /// A grant window.
        Window = 5,
        /// This interface.
        Control = 6,
        /// A wire whose server was restarted; the next call answers `Reset` and makes it a wire again.
        Stale = 7,
    }
}

word_enum! {
    /// What a port is bound to.
    pub enum PortKind {
        /// An unbound channel that the peer domain may bind.
        Peer = 0,
        /// The XenStore channel that the toolstack made.
        Store = 1,
        /// The console channel that the toolstack made.
        Console = 2,
    }
}

word_enum! {
    /// What may be done with mapped pages.
    pub enum Access {
        /// Read.
        Read = 1,
        /// Read and write; never of a sealed region.
        Write = 2,
        /// Read and execute; only of a sealed region.
        Execute = 3,
    }
}

word_enum! {
    /// State of a slot.
    pub enum SlotState {
        /// Nobody serves and nobody will: calls answer `Gone`.
        Off = 0,
        /// A server is starting or restarting: calls queue.
        Down = 1,
        /// A server runs.
        Up = 2,
    }
}

word_enum! {
    /// State of a thread, as `ps` shows it.
    pub enum ThreadState {
        /// Not started, or ended.
        Stopped = 0,
        /// Could run.
        Ready = 1,
        /// Runs.
        Running = 2,
        /// Waits for bits or calls.
        Waiting = 3,
        /// Its call waits to be taken.
        Queued = 4,
        /// Its call was taken.
        Awaiting = 5,
        /// Stopped by a fault that its handler has not answered.
        Faulted = 6,
    }
}

word_enum! {
    /// Why the domain ends (Xen public/sched.h, `SHUTDOWN_*`).
    pub enum Shutdown {
        /// Power off.
        Poweroff = 0,
        /// Reboot.
        Reboot = 1,
        /// Something went wrong.
        Crash = 3,
    }
}

/// Region flag: its pages may be granted to other domains.
pub const GRANTABLE: u32 = 1;
/// Region flag: shared over a wire.
pub const WIRE: u32 = 2;
/// Region flag: survives the server.
pub const KEEP: u32 = 4;
/// Region flag: one-way; no writable mapping exists or can be made.
pub const SEALED: u32 = 8;

/// Region made by the kernel: the boot image, sealed.
pub const REGION_IMAGE: u16 = 0;
/// Region made by the kernel: the clock page ([`crate::layout::CLOCK`]).
pub const REGION_CLOCK: u16 = 1;
/// Region made by the kernel: the boot page ([`crate::layout::BootPage`]).
pub const REGION_BOOT: u16 = 2;
/// Region made by the kernel: XenStore's ring page; 0 pages where there is none.
pub const REGION_STORE: u16 = 3;
/// Region made by the kernel: the console's ring page; 0 pages where there is none.
pub const REGION_CONSOLE: u16 = 4;
/// The first region number that `region_create` gives out is at least this.
pub const REGIONS_FIXED: u16 = 8;

/// Bit of an own handle: its server may print on the debug console ([`super::own`]).
pub const MAY_PRINT: u64 = 1;
/// Peer of a port or window whose domain is not known yet: opening and granting answer `NoPeer`. (`DOMID_INVALID`, Xen
/// public/xen.h.)
pub const NO_PEER: u16 = 0x7ff4;

/// The smallest budget that an account can have, in nanoseconds.
pub const MIN_BUDGET: u64 = 100_000;
/// The longest period that an account can have, in nanoseconds.
pub const MAX_PERIOD: u64 = 60_000_000_000;

/// Whether an account can have this limit: budget and period in nanoseconds, or 0 and 0 for none.
pub const fn is_limit(budget: u64, period: u64) -> bool {
    let limit = MIN_BUDGET <= budget && budget <= period && period <= MAX_PERIOD;
    limit || budget == 0 && period == 0
}

/// Server number of the supervisor.
pub const SUPERVISOR_SERVER: u16 = 0;
/// Slot number of the supervisor.
pub const SUPERVISOR_SLOT: u16 = 0;

crate::interface! {
    /// Control over the domain.
    interface "kernel.control";
    /// Why the kernel refused.
    error Error {
        /// No such slot, server, region, port, window or handle number, or it is in a state that forbids this.
        Invalid = 1,
        /// All objects of this kind are in use.
        Exhausted = 2,
        /// No free memory, or no free page for page tables.
        Memory = 3,
        /// Something is mapped there already.
        Mapped = 4,
        /// The region is sealed, or has a writable mapping or a grant that forbids sealing.
        Sealed = 5,
        /// The region is still mapped or granted.
        Busy = 6,
        /// An address outside user space, not page-aligned, or the last user page.
        Address = 7,
        /// The caller's priority is not below the callee's.
        Priority = 8,
    }
    /// Sets up a slot that was never used: priority (higher runs first) and vCPU.
    1 now fn slot_configure(slot: u16, priority: u8, vcpu: u16) -> ();
    /// `Off`: every queued call answers `Gone`, taken ones `Restarted`. `Down`: queued calls answer `Reset`, taken ones
    /// `Restarted`, wires to the slot become stale, clients' bells for it ring; later calls queue. `Up`: normal.
    2 now fn slot_state(slot: u16, state: SlotState) -> ();
    /// Sets bits in the slot's inbox (bit 63: the supervisor has an event).
    3 now fn slot_notify(slot: u16, bits: u64) -> ();
    /// Makes an empty server (address space, handle table with `handles` entries, stopped thread) in a slot that has none.
    4 now fn server_create(slot: u16, handles: u16) -> u16;
    /// Takes a server apart, some pages at a time; returns true when it is gone. Its thread stops at the first call.
    5 now fn server_destroy(server: u16) -> bool;
    /// Starts the stopped thread at `rip` with the stack pointer `rsp` and `argument` in `rdi`.
    6 now fn thread_start(server: u16, rip: u64, rsp: u64, argument: u64) -> ();
    /// Stops a thread wherever it is; a call that it has in flight is withdrawn.
    7 now fn thread_stop(server: u16) -> ();
    /// Five registers of a faulted or stopped thread: `set` 0 is rip rsp rflags rax rbx; 1 is rcx rdx rsi rdi rbp; 2 is r8 to
    /// r12; 3 is r13 r14 r15 cr2 error code. Of a thread that was stopped in a trap, or behind one, rip and rsp are told, and
    /// all else is 0.
    8 now fn thread_registers(server: u16, set: u8) -> (u64, u64, u64, u64, u64);
    /// What the server used so far: state, CPU time (ns), calls made, calls taken, pages mapped.
    9 now fn server_usage(server: u16) -> (ThreadState, u64, u64, u64, u64);
    /// Makes a region of `pages` pages without memory yet; `region_extend` fills it.
    10 now fn region_create(pages: u32, flags: u32) -> u16;
    /// Gives a region more zeroed pages, up to 32; returns how many are missing still.
    11 now fn region_extend(region: u16) -> u32;
    /// Seals a region.
    12 now fn region_seal(region: u16) -> ();
    /// Frees an unmapped, ungranted region, some pages at a time; returns how many pages are left (0: it is gone).
    13 now fn region_free(region: u16) -> u32;
    /// Size in pages, flags, and number of mappings of all its pages.
    14 now fn region_info(region: u16) -> (u32, u32, u32);
    /// Maps up to 32 pages of a region from page `first` on at `address`; `count_access` is the count in the low 16 bits and
    /// an [`Access`] above. Returns how many were mapped.
    15 now fn map(server: u16, region: u16, address: u64, first: u32, count_access: u32) -> u32;
    /// Unmaps up to 32 pages from `address` on; pages that are not mapped are skipped. Returns how many addresses were done.
    16 now fn unmap(server: u16, address: u64, count: u32) -> u32;
    /// Fills a handle. `target`: kind in the low 16 bits; the slot (wire, bell) or object number (port, window) in the next
    /// 16; the badge in the upper 32. `bits` is what a notification sets in the target's inbox. An own handle goes to index 0
    /// alone; its `bits` are [`MAY_PRINT`] or 0, and a new server has one with 0.
    17 now fn handle_install(server: u16, index: u16, target: u64, bits: u64) -> ();
    /// Empties a handle.
    18 now fn handle_revoke(server: u16, index: u16) -> ();
    /// Sets up a port: what it is bound to, the peer domain (or [`NO_PEER`]), and which slot's inbox gets which bits.
    19 now fn port_configure(port: u16, kind: PortKind, peer: u16, slot: u16, bits: u64) -> ();
    /// Sets up a window of `count` references for a peer domain (or [`NO_PEER`]). A change of peer needs all references free.
    20 now fn window_configure(window: u16, count: u32, peer: u16) -> ();
    /// Facts of the domain: `set` 0 is Xen version (major << 16 | minor), domain number, vCPUs, pages of memory, free pages;
    /// 1 is pages of the kernel, nanoseconds since boot at kernel entry, upcalls, spurious upcalls, traps.
    21 now fn domain_info(set: u8) -> (u64, u64, u64, u64, u64);
    /// Ends the domain. Does not return.
    22 now fn domain_shutdown(reason: Shutdown) -> ();
    /// Closes a port whatever its state; for cold restarts.
    23 now fn port_reset(port: u16) -> ();
    /// Takes back all grants of a window, some at a time; returns how many are left. Pages that the peer keeps mapped stay
    /// pinned, and their references stay out of use until it lets go.
    24 now fn window_reset(window: u16) -> u32;
    /// Sets the most CPU time, in nanoseconds, that the slot's server may use between two waits (0: no limit). A server that
    /// uses more is faulted with `Overrun`, whatever its priority.
    25 now fn slot_longest(slot: u16, nanoseconds: u64) -> ();
    /// Ends what a thread waits for: a call answers `Cancelled` (if it was taken, its token is void), a wait returns with
    /// nothing. Returns false if it did not wait.
    26 now fn thread_cancel(server: u16) -> bool;
    /// Limits the CPU time of a slot's account: `budget` nanoseconds ([`MIN_BUDGET`] to `period`) in each `period` (at most
    /// [`MAX_PERIOD`]); 0 and 0: no limit, which a new slot has. It begins anew, with a full budget. Charged are its server
    /// and whoever serves calls of it; used up, its server rests until there is more, but nobody who serves is stopped (that
    /// takes `slot_longest`). `Invalid`: other values, no such slot, one never set up, or the supervisor's.
    27 now fn account_set(slot: u16, budget: u64, period: u64) -> ();
    /// A slot's account: budget and period (0: no limit), CPU time charged so far, CPU time given so far while there was a
    /// limit (all in nanoseconds), and how often its server had to rest.
    28 now fn account_read(slot: u16) -> (u64, u64, u64, u64, u64);
}

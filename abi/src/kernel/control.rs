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
    /// What a slot can hold, and be limited in.
    pub enum ObjectKind {
        /// Pages of its regions.
        Frame = 0,
        /// Pages for the page tables of its servers, and for the indexes of its regions.
        Table = 1,
        /// Regions.
        Region = 2,
        /// Entries of its servers' handle tables.
        Handle = 3,
        /// Servers, those that are being taken apart included.
        Server = 4,
        /// Ports.
        Port = 5,
        /// Windows.
        Window = 6,
        /// Grant references of its windows.
        Grant = 7,
    }
}

/// Every [`ObjectKind`].
pub const OBJECT_KINDS: [ObjectKind; 8] = [
    ObjectKind::Frame,
    ObjectKind::Table,
    ObjectKind::Region,
    ObjectKind::Handle,
    ObjectKind::Server,
    ObjectKind::Port,
    ObjectKind::Window,
    ObjectKind::Grant,
];
/// Limit of what a slot may hold: none.
pub const NO_LIMIT: u32 = u32::MAX;
/// Number of the server of a slot that has none.
pub const NO_SERVER: u16 = u16::MAX;

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

/// Region flag: a manager made it, through its own handle; it can be used through that handle.
pub const MADE: u32 = 16;

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
    ///
    /// The supervisor's handle reaches everything. A *manager* has one that reaches the slots which the supervisor put under
    /// it (`slot_manager`), their servers, and the regions that it made itself; everything else, and every method that does
    /// not say *manager*, answers `NotAllowed`.
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
        /// The region is still mapped or granted; or the thread was stopped and its vCPU has not let go of it yet: ask again.
        Busy = 6,
        /// An address outside user space, not page-aligned, or the last user page.
        Address = 7,
        /// The caller's priority is not below the callee's, or a slot's not below its manager's.
        Priority = 8,
        /// Not through this handle.
        NotAllowed = 9,
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
    /// Takes a server apart, some pages at a time; returns true when it is gone. Its thread stops at the first call; nothing
    /// else happens until its vCPU has let go of it.
    5 now fn server_destroy(server: u16) -> bool;
    /// (Manager.) Starts the stopped thread at `rip` with the stack pointer `rsp` and `argument` in `rdi`.
    6 now fn thread_start(server: u16, rip: u64, rsp: u64, argument: u64) -> ();
    /// (Manager.) Stops a thread wherever it is; a call that it has in flight is withdrawn, its timer disarmed. If it runs on
    /// another vCPU, that is told, and it makes no trap any more; until it has been let go of, it cannot be started and has no
    /// registers (`Busy`).
    7 now fn thread_stop(server: u16) -> ();
    /// (Manager.) Five registers of a faulted or stopped thread: `set` 0 is rip rsp rflags rax rbx; 1 is rcx rdx rsi rdi rbp; 2 is r8
    /// to r12; 3 is r13 r14 r15 cr2 error code. Of a thread that was stopped in a trap, or behind one, rip and rsp are told, and
    /// all else is 0.
    8 now fn thread_registers(server: u16, set: u8) -> (u64, u64, u64, u64, u64);
    /// (Manager.) What the server used so far: state, CPU time (ns), calls made, calls taken, pages mapped.
    9 now fn server_usage(server: u16) -> (ThreadState, u64, u64, u64, u64);
    /// (Manager: for its own slot, without flags.) Makes a region of `pages` pages without memory yet; `region_extend` fills
    /// it. The region, its pages and its indexes count among what `slot` holds.
    10 now fn region_create(slot: u16, pages: u32, flags: u32) -> u16;
    /// (Manager.) Gives a region more zeroed pages, up to 32; returns how many are missing still.
    11 now fn region_extend(region: u16) -> u32;
    /// (Manager.) Seals a region.
    12 now fn region_seal(region: u16) -> ();
    /// (Manager.) Frees an unmapped, ungranted region, some pages at a time; returns how many pages are left (0: it is gone).
    13 now fn region_free(region: u16) -> u32;
    /// (Manager.) Size in pages, flags, number of mappings of all its pages, and the slot that holds it.
    14 now fn region_info(region: u16) -> (u32, u32, u32, u16);
    /// (Manager: its own regions, in its own server too.) Maps up to 32 pages of a region from page `first` on at `address`; `count_access` is the count in the low 16 bits and
    /// an [`Access`] above. Returns how many were mapped.
    15 now fn map(server: u16, region: u16, address: u64, first: u32, count_access: u32) -> u32;
    /// (Manager: pages of its own regions, in its own server too; at the first other one it ends.) Unmaps up to 32 pages from
    /// `address` on; pages that are not mapped are skipped. Returns how many addresses were done.
    16 now fn unmap(server: u16, address: u64, count: u32) -> u32;
    /// Fills a handle. `target`: kind in the low 16 bits; the slot (wire, bell) or object number (port, window) in the next
    /// 16; the badge in the upper 32. `bits` is what a notification sets in the target's inbox. An own handle goes to index 0
    /// alone; its `bits` are [`MAY_PRINT`] or 0, and a new server has one with 0. A control handle names the server's own
    /// slot, and reaches what that slot manages.
    17 now fn handle_install(server: u16, index: u16, target: u64, bits: u64) -> ();
    /// Empties a handle.
    18 now fn handle_revoke(server: u16, index: u16) -> ();
    /// Sets up a port: what it is bound to, the peer domain (or [`NO_PEER`]), and which slot's inbox gets which bits.
    19 now fn port_configure(port: u16, kind: PortKind, peer: u16, slot: u16, bits: u64) -> ();
    /// Sets up a window of `count` references for a peer domain (or [`NO_PEER`]), held by `slot`. A change needs all
    /// references free.
    20 now fn window_configure(window: u16, slot: u16, count: u32, peer: u16) -> ();
    /// Facts of the domain: `set` 0 is Xen version (major << 16 | minor), domain number, vCPUs, pages of memory, free pages;
    /// 1 is pages of the kernel, nanoseconds since boot at kernel entry, upcalls, spurious upcalls, 0; 2 is vCPUs that are
    /// used, how often the kernel's lock was taken at once, and after a wait (by all but the quick path), how often others
    /// were let run meanwhile, how often all translation buffers were emptied.
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
    /// (Manager.) Ends what a thread waits for: a call answers `Cancelled` (if it was taken, its token is void), a wait returns with
    /// nothing. Returns false if it did not wait.
    26 now fn thread_cancel(server: u16) -> bool;
    /// (Manager.) Limits the CPU time of a slot's account: `budget` nanoseconds ([`MIN_BUDGET`] to `period`) in each `period` (at most
    /// [`MAX_PERIOD`]); 0 and 0: no limit, which a new slot has. It begins anew, with a full budget. Charged are its server
    /// and whoever serves calls of it; used up, its server rests until there is more, but nobody who serves is stopped (that
    /// takes `slot_longest`). `Invalid`: other values, no such slot, one never set up, or the supervisor's.
    27 now fn account_set(slot: u16, budget: u64, period: u64) -> ();
    /// (Manager.) A slot's account: budget and period (0: no limit), CPU time charged so far, CPU time given so far while there was a
    /// limit (all in nanoseconds), and how often its server had to rest.
    28 now fn account_read(slot: u16) -> (u64, u64, u64, u64, u64);
    /// Puts a slot without a server under a manager, whose priority is higher: the slot's faults go to the manager's inbox
    /// while a server runs there, and its control handle reaches the slot. The manager answers a fault by its token with
    /// word 0 as [`crate::fault::RETRY`], [`crate::fault::KILL`] or [`crate::fault::PASS`]; what it holds when it dies goes
    /// to the supervisor. The supervisor's own slot as manager: none.
    29 now fn slot_manager(slot: u16, manager: u16) -> ();
    /// (Manager: its own slot too.) A slot's state, server ([`NO_SERVER`]: none), priority and manager.
    30 now fn slot_info(slot: u16) -> (SlotState, u16, u8, u16);
    /// Limits what a slot may hold of a kind of object ([`NO_LIMIT`], which a new slot has: everything there is). What it
    /// holds above a limit it keeps.
    31 now fn quota_set(slot: u16, kind: ObjectKind, limit: u32) -> ();
    /// (Manager: its own slot too.) How many objects of a kind a slot holds, and its limit.
    32 now fn quota_read(slot: u16, kind: ObjectKind) -> (u32, u32);
    /// (Manager.) Lets a stopped thread go on where it was stopped: a call that it had in flight answers `Cancelled`, a wait
    /// ends with bit 62. `Invalid` if it was never started or is not stopped, `Busy` while its vCPU has not let go of it.
    33 now fn thread_resume(server: u16) -> ();
    /// Makes a candidate in a slot that has a server (`Busy`: and a candidate), with room for `handles` handles (at least 2).
    /// Until its commit it reaches the kernel and the supervisor alone, has no inbox, and cannot write shared memory.
    34 now fn server_candidate(slot: u16, handles: u16) -> u16;
    /// Puts a candidate in the place of its slot's server, both of them waiting for the supervisor's answer; returns the old
    /// server, which never runs again. Callers, tokens, bits, ports and the timer are the slot's, and stay.
    35 now fn server_commit(server: u16) -> u16;
}

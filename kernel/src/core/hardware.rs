//! The seam between the core, which decides, and the machine, which does.
//!
//! The core never touches hardware, page tables or user memory; it asks for it through [`Hardware`]. The machine never
//! decides who runs, who may do what, or what a call answers; it reports through the entry points of
//! [`Core`](super::Core) and then runs what [`Core::next`](super::Core::next) says. Host tests implement the trait by a model.

use abi::kernel::control::{Access, PortKind, Shutdown};

/// Number of a 4 KiB page of memory as the domain counts it (Xen: gfn).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Frame(pub u32);

/// Index of a vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vcpu(pub u16);

/// No page is left for page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TablesExhausted;

/// What the hypervisor refused to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

/// The registers of a thread that trapped: what a trap hands in and gets back. Everything else is zero at the way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct TrapRegisters {
    /// In: trap number, handle or token. Out: status or token.
    pub rax: u64,
    /// Label.
    pub rdi: u64,
    /// Words 0 to 4: `rsi rdx r10 r8 r9`.
    pub words: [u64; 5],
    /// Out: badge.
    pub r12: u64,
    /// Out: bits.
    pub r13: u64,
    /// Where the thread goes on.
    pub rip: u64,
    /// Its stack pointer.
    pub rsp: u64,
}

/// How a thread is put back on the vCPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resume {
    /// From a trap: the registers that the core keeps for this thread, zero in all others, vector registers and flags at
    /// their defaults.
    Trap,
    /// From an interrupt or a fault: the full frame that the machine saved for this thread.
    Frame,
}

/// What a vCPU does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Nobody is ready: wait for an event.
    Idle,
    /// Run this thread (the index is also that of its server's address space and frame).
    Run {
        /// Index of the thread and of its server.
        thread: u16,
        /// What [`Hardware::space_create`] returned for the server.
        space: u64,
        /// How.
        resume: Resume,
    },
    /// The supervisor broke a rule: print this and end the domain as crashed.
    Fatal(Exception),
}

/// [`Next`] in short: what the registers are is looked up where they are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// As [`Next::Idle`].
    Idle,
    /// As [`Next::Run`], from the full frame.
    Frame(u16),
    /// As [`Next::Run`], from a trap.
    Trap(u16),
    /// As [`Next::Fatal`].
    Fatal,
}

/// An exception in user mode; the machine has saved the thread's full frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exception {
    /// Which kind.
    pub kind: abi::fault::FaultKind,
    /// Address accessed (#PF: CR2), else 0.
    pub address: u64,
    /// Where.
    pub rip: u64,
    /// The processor's error code; the upper half is the vector.
    pub error: u64,
    /// The stack pointer.
    pub rsp: u64,
}

/// What the core needs done.
pub trait Hardware {
    /// Nanoseconds since boot (Xen's system time).
    fn now(&mut self) -> u64;
    /// Nanoseconds that the hypervisor withheld from the vCPU so far (runstate: runnable + offline).
    fn stolen(&mut self, vcpu: Vcpu) -> u64;
    /// Arms the current vCPU's single-shot timer for an absolute time; `None` disarms it.
    fn set_timer(&mut self, deadline: Option<u64>);
    /// Makes another vCPU come to the core, whatever it does.
    fn kick(&mut self, vcpu: Vcpu);

    /// Makes the empty address space of a server; returns what [`Next::Run`] is to hand back for it (CR3).
    ///
    /// # Errors
    /// No page for its top table.
    fn space_create(&mut self, server: u16) -> Result<u64, TablesExhausted>;
    /// Maps one page; the core made sure that the address is free, in range and aligned. `tables` is what `space_lookup` said.
    ///
    /// # Errors
    /// Not enough pages for tables; nothing was mapped, and none taken.
    fn space_map(
        &mut self,
        server: u16,
        address: u64,
        frame: Frame,
        access: Access,
        tables: u32,
    ) -> Result<(), TablesExhausted>;
    /// Unmaps one page and says which it was; other vCPUs may know it until the next `space_flush`.
    fn space_unmap(&mut self, server: u16, address: u64) -> Option<(Frame, Access)>;
    /// Nothing that was unmapped is in the translation buffer of any vCPU when this returns.
    fn space_flush(&mut self);
    /// What is mapped at an address.
    ///
    /// # Errors
    /// Nothing: how many pages of tables a mapping there would take.
    fn space_lookup(&mut self, server: u16, address: u64) -> Result<(Frame, Access), u32>;
    /// The first mapped page at or above `address`, looking at a bounded number of table entries: `Ok(None)` if there is
    /// none at all, `Err(next)` if the search must go on from `next`.
    fn space_next(
        &mut self,
        server: u16,
        address: u64,
    ) -> Result<Option<(u64, Frame, Access)>, u64>;
    /// Whether pages of the shared memory ([`abi::layout::SHARED`]) are writable in a space as they were mapped (this is so at
    /// first), or none of those that are mapped so far. It holds when the call returns.
    fn space_shared(&mut self, server: u16, writable: bool);
    /// Frees the (empty) tables of a space, a bounded number at a time; true when all are freed.
    fn space_destroy(&mut self, server: u16) -> bool;
    /// Sets the registers of a thread to the start state: zero but for these.
    fn thread_reset(&mut self, thread: u16, rip: u64, rsp: u64, argument: u64);
    /// Five registers of the saved full frame, by the sets of `kernel.control.thread_registers`.
    fn thread_registers(&mut self, thread: u16, set: u8) -> [u64; 5];
    /// Fills a page with zeros.
    fn zero(&mut self, frame: Frame);
    /// Copies the first `bytes` (at most a page) of a page of the boot image; used at boot alone, for the supervisor's data.
    fn copy(&mut self, from: Frame, to: Frame, bytes: u16);
    /// Takes one of the pages set aside for region indexes; it reads as zeros.
    ///
    /// # Errors
    /// There is none left.
    fn index_take(&mut self) -> Result<u32, TablesExhausted>;
    /// Gives an index page back.
    fn index_give(&mut self, page: u32);
    /// Reads entry `entry` (0 to 1023) of an index page.
    fn index_read(&mut self, page: u32, entry: u16) -> u32;
    /// Writes an entry of an index page.
    fn index_write(&mut self, page: u32, entry: u16, value: u32);

    /// Opens an event channel; returns its number. It starts masked.
    ///
    /// # Errors
    /// The hypervisor refused.
    fn channel_open(&mut self, kind: PortKind, peer: u16) -> Result<u32, Refused>;
    /// Lets its events come to a vCPU, if that can be; else they come to another one.
    fn channel_bind(&mut self, channel: u32, vcpu: Vcpu);
    /// Closes one.
    fn channel_close(&mut self, channel: u32);
    /// Sends its event.
    fn channel_send(&mut self, channel: u32);
    /// Lets events of the channel come again; one that is pending is delivered soon.
    fn channel_unmask(&mut self, channel: u32);
    /// Writes a grant: the peer may map the frame by the reference.
    fn grant(&mut self, reference: u32, peer: u16, frame: Frame, read_only: bool);
    /// Takes a grant back; false while the peer has it mapped.
    fn ungrant(&mut self, reference: u32) -> bool;

    /// Writes to the hypervisor's debug console.
    fn debug(&mut self, bytes: &[u8]);
    /// Ends the domain. The machine does not return from it; a test's model does.
    fn shutdown(&mut self, reason: Shutdown);
    /// Facts of `kernel.control.domain_info` that the core does not know: `set` as there, free pages left 0.
    fn domain_info(&mut self, set: u8) -> [u64; 5];
}

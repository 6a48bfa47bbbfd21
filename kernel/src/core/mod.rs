//! The pure core of the kernel: who runs, who waits for whom, who may do what, who owns which page.
//!
//! [`Core`] holds all objects of the kernel in tables that the machine carves from its pool at boot. The machine reports
//! through five entry points (`trap`, `exception`, `preempted`, `event`, `timer`), any number of them in a row, and then asks
//! [`Core::next`] what to run. All of it happens under one lock. Nothing here panics, allocates, or runs unboundedly.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(any(test, fuzzing)),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod account;
pub mod boot;
mod call;
mod control;
pub mod frame;
pub mod handle;
pub mod hardware;
mod inbox;
mod interfaces;
pub mod port;
pub mod quota;
pub mod region;
pub mod schedule;
mod server;
pub mod slot;
mod space;
mod swap;
pub mod table;
#[cfg(any(test, fuzzing))]
#[allow(missing_docs)]
pub mod tests;
pub mod thread;
mod timer;
pub mod window;

use abi::image::Counts;

use frame::{FrameInfo, FreeFrames};
use handle::Handle;
use hardware::{Exception, Frame, Hardware, Vcpu};
use port::{Channel, Port};
use quota::Holdings;
use region::Region;
use schedule::Processor;
use slot::Slot;
use table::{PortId, RegionId, SlotId, Table, ThreadId, VcpuId, WindowId};
use thread::{Saved, State, Thread};
use window::{Grant, Window};

/// Where the tables lie that the machine's quick path reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// Address of the first thread.
    pub threads: u64,
    /// Address of the first slot.
    pub slots: u64,
    /// Address of the first handle.
    pub handles: u64,
    /// Address of what is known of the vCPU.
    pub processor: u64,
    /// Number of threads.
    pub thread_count: u32,
}

/// Event channel numbers that the core keeps a map for.
pub const CHANNELS: usize = 1024;

/// The memory of all objects. Each slice is filled with `Default::default()` when it is handed over.
#[derive(Debug)]
pub struct Tables<'a> {
    /// `counts.slots` of them.
    pub slots: &'a mut [Slot],
    /// `counts.slots` of them.
    pub holdings: &'a mut [Holdings],
    /// `counts.servers`.
    pub threads: &'a mut [Thread],
    /// `counts.handles`.
    pub handles: &'a mut [Handle],
    /// `counts.regions`.
    pub regions: &'a mut [Region],
    /// `counts.ports`.
    pub ports: &'a mut [Port],
    /// `counts.windows`.
    pub windows: &'a mut [Window],
    /// `counts.grants`.
    pub grants: &'a mut [Grant],
    /// One for each vCPU.
    pub vcpus: &'a mut [Processor],
    /// One for each page of memory from `first_frame` on, holes included. Pages beyond can be used as fixed regions only.
    pub frames: &'a mut [FrameInfo],
    /// What `frames` begins with.
    pub first_frame: Frame,
    /// [`CHANNELS`] of them.
    pub channels: &'a mut [Channel],
}

/// Bytes that [`Tables`] takes in all, slices in the order of its fields and each aligned to 256 bytes.
pub fn bytes(counts: &Counts, vcpus: usize, frames: usize) -> usize {
    fn array<T>(count: usize) -> usize {
        (count * size_of::<T>()).next_multiple_of(256)
    }
    fn wide(count: u32) -> usize {
        usize::try_from(count).unwrap_or(usize::MAX)
    }
    array::<Slot>(wide(counts.slots))
        + array::<Holdings>(wide(counts.slots))
        + array::<Thread>(wide(counts.servers))
        + array::<Handle>(wide(counts.handles))
        + array::<Region>(wide(counts.regions))
        + array::<Port>(wide(counts.ports))
        + array::<Window>(wide(counts.windows))
        + array::<Grant>(wide(counts.grants))
        + array::<Processor>(vcpus)
        + array::<FrameInfo>(frames)
        + array::<Channel>(CHANNELS)
}

/// Everything that the kernel knows.
#[derive(Debug)]
pub struct Core<'a> {
    slots: Table<'a, SlotId, Slot>,
    holdings: Table<'a, SlotId, Holdings>,
    threads: Table<'a, ThreadId, Thread>,
    regions: Table<'a, RegionId, Region>,
    ports: Table<'a, PortId, Port>,
    windows: Table<'a, WindowId, Window>,
    vcpus: Table<'a, VcpuId, Processor>,
    handles: &'a mut [Handle],
    grants: &'a mut [Grant],
    frames: &'a mut [FrameInfo],
    channels: &'a mut [Channel],
    first_frame: u32,
    free: FreeFrames,
    frames_free: u32,
    /// The vCPU that is in the kernel now.
    here: VcpuId,
    /// Some slot has or had a limit: systems without pay nothing for accounts.
    limits: bool,
    /// Every way out of the kernel goes through [`Core::next`].
    always_looks: bool,
    /// The supervisor's fault, after which nothing runs.
    fatal: Option<Exception>,
    stale_tokens: u64,
    lost_notifications: u64,
    spurious_events: u64,
}

impl<'a> Core<'a> {
    /// A core with nothing in it.
    pub fn new(tables: Tables<'a>) -> Self {
        Self {
            slots: Table::new(tables.slots),
            holdings: Table::new(tables.holdings),
            threads: Table::new(tables.threads),
            regions: Table::new(tables.regions),
            ports: Table::new(tables.ports),
            windows: Table::new(tables.windows),
            vcpus: Table::new(tables.vcpus),
            handles: tables.handles,
            grants: tables.grants,
            frames: tables.frames,
            channels: tables.channels,
            first_frame: tables.first_frame.0,
            free: FreeFrames::NONE,
            frames_free: 0,
            here: VcpuId(0),
            limits: false,
            always_looks: false,
            fatal: None,
            stale_tokens: 0,
            lost_notifications: 0,
            spurious_events: 0,
        }
    }

    /// Where the tables lie, for a vCPU. They never move.
    pub fn places(&mut self, vcpu: Vcpu) -> Places {
        let vcpu = self.enter(vcpu);
        Places {
            threads: self.threads.address(),
            slots: self.slots.address(),
            handles: self.handles.as_mut_ptr().expose_provenance() as u64,
            processor: (&raw mut self.vcpus[vcpu]).expose_provenance() as u64,
            thread_count: u32::try_from(self.threads.iter().len()).unwrap_or(0),
        }
    }

    /// Notes which vCPU is in the kernel; one that the core does not know counts as the first.
    fn enter(&mut self, vcpu: Vcpu) -> VcpuId {
        let vcpu = VcpuId(vcpu.0);
        self.here = if self.vcpus.has(vcpu) { vcpu } else { VcpuId(0) };
        self.here
    }

    /// The current thread caused an exception; the machine saved its full frame.
    pub fn exception(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu, exception: Exception) {
        let vcpu = self.enter(vcpu);
        let Some(thread) = self.running(vcpu) else {
            return self.stopped_meanwhile(vcpu, Saved::Frame);
        };
        self.threads[thread].saved = Saved::Frame;
        self.fault(hardware, thread, exception.into());
    }

    /// The current thread, if there is one, was interrupted in user mode and the machine saved its full frame. Call it before
    /// the `event` and `timer` of the interrupt.
    pub fn preempted(&mut self, vcpu: Vcpu) {
        let vcpu = self.enter(vcpu);
        match self.running(vcpu) {
            Some(thread) => self.threads[thread].saved = Saved::Frame,
            None => self.stopped_meanwhile(vcpu, Saved::Frame),
        }
    }

    /// The current thread comes in, and was stopped from another vCPU while it still ran: what it does now is not done, and
    /// this is where it goes on if it is resumed.
    #[cold]
    #[inline(never)]
    fn stopped_meanwhile(&mut self, vcpu: VcpuId, saved: Saved) {
        let Some(thread) = self.vcpus[vcpu].current.some() else { return };
        if self.threads[thread].state == State::Stopped {
            self.threads[thread].saved = saved;
            if saved == Saved::Trap {
                self.trap_again(thread);
            }
        }
    }
}

//! What runs, and how it fares: channel 1 of the supervisor.

use alloc::string::String;
use alloc::vec::Vec;

use abi::kernel::control::OBJECT_KINDS;
use serde::{Deserialize, Serialize};
use shared::Memory;

/// The snapshot is written to the part of the supervisor.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(0, 2);

/// Number of the supervisor's channel.
pub const CHANNEL: u8 = 1;

abi::interface! {
    /// The state of the system, for reading.
    interface "status";
    /// Why it refused.
    error Error {
        /// The snapshot does not fit the shared memory.
        TooLarge = 1,
    }
    /// Writes a [`Snapshot`] to the start of the shared memory; returns its length in bytes.
    1 now (retry) fn snapshot() -> u32;
}

/// State of a slot, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum State {
    /// Started, and has not said that it is ready.
    Starting,
    /// Runs or could run.
    Running,
    /// Waits for calls or bits.
    Waiting,
    /// Waits for the answer to a call.
    Calling,
    /// Died; is started again after a pause.
    Down,
    /// Died and stays dead.
    Off,
}

/// One slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotStatus {
    /// Name of the slot.
    pub name: String,
    /// State.
    pub state: State,
    /// Priority; higher runs first.
    pub priority: u8,
    /// vCPU that it lives on.
    pub vcpu: u16,
    /// How often it was started again.
    pub restarts: u32,
    /// Memory mapped, in pages of 4 KiB.
    pub pages: u64,
    /// CPU time used, in nanoseconds, since it was started.
    pub cpu: u64,
    /// Calls that it made.
    pub calls: u64,
    /// Calls that it took.
    pub served: u64,
    /// CPU time that its slot's account was charged, in nanoseconds, since boot: its own, and that of those who served it.
    pub paid: u64,
    /// CPU time that the account was given so far, in nanoseconds; 0 if it has no limit.
    pub granted: u64,
    /// How long this server has run, in nanoseconds; 0 if there is none.
    pub age: u64,
    /// Name of its image.
    pub image: String,
    /// Version of its image, as its packer had it.
    pub version: String,
    /// The first bytes of its image's SHA-256.
    pub build: [u8; 4],
    /// What the slot holds of each kind of object, by [`abi::kernel::control::ObjectKind`], and the most that it may hold.
    pub held: [(u32, u32); OBJECT_KINDS.len()],
}

/// How a lock was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Contention {
    /// How often at once.
    pub at_once: u64,
    /// How often after a wait.
    pub waited: u64,
    /// How often another vCPU was let run meanwhile.
    pub yields: u64,
}

/// The whole system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Name of the system.
    pub system: String,
    /// Nanoseconds since the kernel's entry.
    pub uptime: u64,
    /// When that was, by the clock that servers read.
    pub entry: u64,
    /// Xen's version, major and minor.
    pub xen: (u16, u16),
    /// Number of this domain.
    pub domain: u16,
    /// Number of vCPUs.
    pub vcpus: u16,
    /// Memory of the domain, in pages.
    pub memory: u64,
    /// Free memory, in pages.
    pub free: u64,
    /// Memory of the kernel, in pages.
    pub kernel: u64,
    /// Interrupts taken for events and timers.
    pub upcalls: u64,
    /// How the kernel's lock was taken, but for the quick path.
    pub lock: Contention,
    /// How often the translation buffers of all vCPUs were emptied at once.
    pub flushes: u64,
    /// The servers, by slot number.
    pub servers: Vec<SlotStatus>,
}

impl Snapshot {
    /// Writes it to shared memory; returns its length, or `None` if it does not fit.
    pub fn write(&self, memory: Memory) -> Option<u32> {
        let bytes = postcard::to_allocvec(self).ok()?;
        if bytes.len() > memory.len() {
            return None;
        }
        memory.copy_to(0, &bytes);
        u32::try_from(bytes.len()).ok()
    }

    /// Reads one of `length` bytes: copies it, then decodes the copy.
    pub fn read(memory: Memory, length: u32) -> Option<Self> {
        let length = length as usize;
        if length > memory.len() {
            return None;
        }
        let mut bytes = alloc::vec![0; length];
        memory.copy_from(0, &mut bytes);
        postcard::from_bytes(&bytes).ok()
    }
}

//! Threads: one for each server, under the same number.
//!
//! The second cache line holds all that a call or reply between two waiting threads needs, so that an assembly path can do
//! it without touching the rest; the offsets are fixed by assertions. A thread is in at most one list: a run queue (Ready),
//! or an inbox's queue of callers (Queued, FaultQueued).

use core::mem::offset_of;

use abi::fault::FaultKind;
use abi::kernel::control::ThreadState;

use super::hardware::{Exception, TrapRegisters};
use super::table::{SlotId, ThreadId};

/// [`Thread::turn`] of a thread that waited since time was last charged: what of that time is its turn's is not known.
pub const WAITED: u64 = u64::MAX;

/// State of a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum State {
    /// Not started, or ended.
    #[default]
    Stopped = 0,
    /// In a run queue.
    Ready = 1,
    /// On its vCPU.
    Running = 2,
    /// Parked at its inbox.
    Waiting = 3,
    /// Its call waits in an inbox.
    Queued = 4,
    /// Its call was taken.
    Awaiting = 5,
    /// Its fault waits in the handler's inbox.
    FaultQueued = 6,
    /// Its fault was taken.
    Faulted = 7,
}

impl State {
    /// As `server_usage` tells it.
    pub fn public(self) -> ThreadState {
        match self {
            Self::Stopped => ThreadState::Stopped,
            Self::Ready => ThreadState::Ready,
            Self::Running => ThreadState::Running,
            Self::Waiting => ThreadState::Waiting,
            Self::Queued => ThreadState::Queued,
            Self::Awaiting => ThreadState::Awaiting,
            Self::FaultQueued | Self::Faulted => ThreadState::Faulted,
        }
    }
}

/// Where a thread's registers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Saved {
    /// In the machine's full frame.
    #[default]
    Frame = 0,
    /// In [`Thread::registers`]; all others are zero.
    Trap = 1,
    /// As `Trap`, but the registers are filled from the inbox when the thread next runs.
    Collect = 2,
    /// As `Trap`; it called a server of another vCPU.
    Far = 3,
}

/// Whether a server exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Life {
    /// The number is free.
    #[default]
    Free = 0,
    /// It exists.
    Live = 1,
    /// It is being taken apart.
    Dying = 2,
    /// It exists, and is to take the place of its slot's server.
    Candidate = 3,
    /// Another took its place; it never runs again.
    Retired = 4,
}

/// Why a thread was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Kind.
    pub kind: FaultKind,
    /// Address, handle, label or exit code, by kind.
    pub address: u64,
    /// The processor's error code and vector; 0 if a trap was the reason.
    pub error: u64,
    /// Where.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
}

impl From<Fault> for Exception {
    fn from(Fault { kind, address, error, rip, rsp }: Fault) -> Self {
        Self { kind, address, rip, error, rsp }
    }
}

impl From<Exception> for Fault {
    fn from(Exception { kind, address, rip, error, rsp }: Exception) -> Self {
        Self { kind, address, error, rip, rsp }
    }
}

/// A thread.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(256))]
pub struct Thread {
    /// Message and results of the trap that it is in; `rip` and `rsp` begin the second cache line.
    pub registers: TrapRegisters,
    /// What the machine needs to enter the address space (CR3).
    pub space: u64,
    /// Token of its latest call: kind `Call`, its number, and the generation that each call raises.
    pub token: u64,
    /// Account that its CPU time is charged to.
    pub payer: SlotId,
    /// Slot that it calls or called (Queued, Awaiting), or that handles its fault. Otherwise of no meaning.
    pub callee: SlotId,
    /// Its own account.
    pub own: SlotId,
    /// Its inbox.
    pub inbox: SlotId,
    /// First entry of its handle table.
    pub handles: u32,
    /// Number of entries that it reaches.
    pub handles_count: u16,
    /// vCPU that it is pinned to.
    pub vcpu: u16,
    /// State.
    pub state: State,
    /// Where its registers are.
    pub saved: Saved,
    /// Priority; higher runs first.
    pub priority: u8,
    /// Whether the server exists.
    pub life: Life,
    /// Next in the list that it is in.
    pub next: ThreadId,
    /// Whether it was ever started: its registers are its own then.
    pub begun: bool,
    /// Badge of the wire that it called through.
    pub badge: u32,
    /// Number of entries that its table has.
    pub handles_held: u16,
    /// Calls made.
    pub calls: u64,
    /// Calls taken.
    pub taken: u64,
    /// CPU time used, in nanoseconds.
    pub cpu: u64,
    /// CPU time used since it last waited, in nanoseconds, or [`WAITED`].
    pub turn: u64,
    /// What is left of its slice, in nanoseconds.
    pub slice: u64,
    /// Deadline of its timer, 0 if none.
    pub deadline: u64,
    /// Where its destruction goes on.
    pub cursor: u64,
    /// Pages mapped in its space.
    pub pages: u32,
    /// Pages of its space's tables.
    pub tables: u32,
    /// Its fault (FaultQueued, Faulted).
    pub fault: Option<Fault>,
}

const _: () = {
    assert!(size_of::<Thread>() == 256);
    assert!(offset_of!(Thread, registers) + offset_of!(TrapRegisters, rip) == 72);
    assert!(offset_of!(Thread, registers) + offset_of!(TrapRegisters, rsp) == 80);
    assert!(offset_of!(Thread, space) == 88);
    assert!(offset_of!(Thread, token) == 96);
    assert!(offset_of!(Thread, payer) == 104);
    assert!(offset_of!(Thread, callee) == 106);
    assert!(offset_of!(Thread, own) == 108);
    assert!(offset_of!(Thread, inbox) == 110);
    assert!(offset_of!(Thread, handles) == 112);
    assert!(offset_of!(Thread, handles_count) == 116);
    assert!(offset_of!(Thread, vcpu) == 118);
    assert!(offset_of!(Thread, state) == 120);
    assert!(offset_of!(Thread, saved) == 121);
    assert!(offset_of!(Thread, priority) == 122);
    assert!(offset_of!(Thread, badge) + 4 == 132);
};

impl Thread {
    /// CPU time that it is known to have used since it last waited, in nanoseconds.
    pub fn known_turn(&self) -> u64 {
        if self.turn == WAITED { 0 } else { self.turn }
    }
}

impl Default for Thread {
    fn default() -> Self {
        Self {
            registers: TrapRegisters::default(),
            space: 0,
            token: 0,
            payer: SlotId::NONE,
            callee: SlotId::NONE,
            own: SlotId::NONE,
            inbox: SlotId::NONE,
            handles: 0,
            handles_count: 0,
            handles_held: 0,
            vcpu: 0,
            state: State::Stopped,
            priority: 0,
            saved: Saved::Frame,
            life: Life::Free,
            next: ThreadId::NONE,
            begun: false,
            badge: 0,
            calls: 0,
            taken: 0,
            cpu: 0,
            turn: 0,
            slice: 0,
            deadline: 0,
            cursor: 0,
            pages: 0,
            tables: 0,
            fault: None,
        }
    }
}

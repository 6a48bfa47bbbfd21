//! The quick path: a call to a server that waits, answers, and notifications, without the core.
//!
//! `quick.s` takes over what the core would do (`core/call.rs`, `inbox.rs`, `schedule.rs`) where all of these hold, under
//! the kernel's lock:
//!
//! - `call`: the handle is a wire that may be called, is not stale and does not lead to another vCPU (kind and rights are
//!   compared at once); its slot is not off and its server waits (`Slot::parked` tells both).
//! - `reply_wait`: the token is good, a call's, and not from another vCPU (all but the token itself is in `State` and
//!   `Saved`, which are compared at once); nothing is in the own inbox, whose slot is not off (`Slot::attention`); the
//!   client is more urgent than all that are ready, and runs on the account that paid for the call.
//! - `reply`: the token is as good, and the client less urgent than whoever answers, who goes on.
//! - `notify`: the handle is a wire that may be called, as above, or a bell, and has bits; its slot is not off. Where nobody
//!   waits, bits are set and that is all. Where somebody waits who is less urgent and of this vCPU, he becomes ready. Where
//!   somebody more urgent does, he goes on at once: if nobody else that is ready is as urgent as the one that traps, neither
//!   of the two accounts is limited, no port of his is to be unmasked, and the timer needs not be set. Only here a clock is
//!   read, since time is to be charged.
//!
//! In every other case nothing has been changed but the registers that the trap is kept in and, as long as the thread runs,
//! its `callee`, which then has no meaning; and the trap goes to the core. What the core keeps exactly and this path does
//! not: whose time it was (see `core/schedule.rs`), and the message registers of a thread that waits for an answer, which
//! nobody reads again.
//!
//! The same text is assembled into the tests of the host, with other macros for the four privileged instructions.

use ::core::cell::Cell;
use ::core::mem::offset_of;

use crate::core::Places;
use crate::core::handle::Handle;
use crate::core::thread::Thread;

/// What the quick path finds through GS_BASE.
#[derive(Debug)]
#[repr(C)]
pub struct Quick {
    /// Address of the thread that runs, 0 if none.
    pub current: Cell<u64>,
    /// Addresses of the core's tables.
    pub threads: Cell<u64>,
    /// As above.
    pub slots: Cell<u64>,
    /// As above.
    pub handles: Cell<u64>,
    /// Address of what the core knows of this vCPU.
    pub processor: Cell<u64>,
    /// What three times a thread's address is added to for its frame's.
    pub frames: Cell<u64>,
    /// How many threads there are.
    pub thread_count: Cell<u32>,
}

/// The size of a thread, by which a number becomes an address.
const THREAD: u64 = size_of::<Thread>() as u64;

/// What `quick.s` shifts by and scales with.
const _: () = assert!(
    THREAD == 1 << 8
        && size_of::<Handle>() == 1 << 4
        && size_of::<crate::core::slot::Slot>() == 1 << 7
        && offset_of!(Handle, rights) == offset_of!(Handle, kind) + 1
        && offset_of!(Thread, saved) == offset_of!(Thread, state) + 1
);

impl Quick {
    /// Nothing known yet.
    pub const fn empty() -> Self {
        Self {
            current: Cell::new(0),
            threads: Cell::new(0),
            slots: Cell::new(0),
            handles: Cell::new(0),
            processor: Cell::new(0),
            frames: Cell::new(0),
            thread_count: Cell::new(0),
        }
    }

    /// Learns where everything is. `frames` is the address of the first thread's frame; a frame is three times as large as a
    /// thread. False if there are more threads than the quick path can tell apart from none.
    pub fn fill(&self, places: &Places, frames: u64) -> bool {
        self.threads.set(places.threads);
        self.slots.set(places.slots);
        self.handles.set(places.handles);
        self.processor.set(places.processor);
        self.frames.set(frames.wrapping_sub(places.threads.wrapping_mul(3)));
        self.thread_count.set(places.thread_count);
        places.thread_count < 1 << 15
    }

    /// The thread that runs.
    pub fn thread(&self) -> Option<u16> {
        let offset = self.current.get().checked_sub(self.threads.get())?;
        u16::try_from(offset / THREAD).ok()
    }

    /// Makes a thread the one that runs.
    pub fn set_thread(&self, thread: u16) {
        self.current.set(self.threads.get().wrapping_add(u64::from(thread) * THREAD));
    }

    /// Address of the registers of the thread that runs.
    #[cfg(target_os = "none")]
    pub fn registers(&self) -> *const crate::core::hardware::TrapRegisters {
        self.current.get() as *const _
    }

    /// Address of the frame of the thread that runs.
    #[cfg(target_os = "none")]
    pub fn frame(&self) -> u64 {
        self.frames.get().wrapping_add(self.current.get().wrapping_mul(3))
    }
}

/// The vector unit's control register of every thread behind a trap.
#[unsafe(no_mangle)]
static QUICK_MXCSR: u32 = 0x1f80;

/// `global_asm!` with the quick path and the names of its operands.
macro_rules! with_quick {
    ($before:expr, $after:expr, lock = $lock:path, quick = $quick:expr, $($operands:tt)*) => {
        ::core::arch::global_asm!(
            $before,
            include_str!("quick.s"),
            $after,
            lock = sym $lock,
            current = const $quick + ::core::mem::offset_of!(crate::machine::quick::Quick, current),
            thread_table = const $quick + ::core::mem::offset_of!(crate::machine::quick::Quick, threads),
            slot_table = const $quick + ::core::mem::offset_of!(crate::machine::quick::Quick, slots),
            handle_table = const $quick + ::core::mem::offset_of!(crate::machine::quick::Quick, handles),
            processor = const $quick + ::core::mem::offset_of!(crate::machine::quick::Quick, processor),
            thread_count = const $quick + ::core::mem::offset_of!(crate::machine::quick::Quick, thread_count),
            rsp = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.rsp),
            rip = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.rip),
            space = const ::core::mem::offset_of!(crate::core::thread::Thread, space),
            token = const ::core::mem::offset_of!(crate::core::thread::Thread, token),
            payer = const ::core::mem::offset_of!(crate::core::thread::Thread, payer),
            callee = const ::core::mem::offset_of!(crate::core::thread::Thread, callee),
            own = const ::core::mem::offset_of!(crate::core::thread::Thread, own),
            inbox = const ::core::mem::offset_of!(crate::core::thread::Thread, inbox),
            handles = const ::core::mem::offset_of!(crate::core::thread::Thread, handles),
            handles_count = const ::core::mem::offset_of!(crate::core::thread::Thread, handles_count),
            state = const ::core::mem::offset_of!(crate::core::thread::Thread, state),
            priority = const ::core::mem::offset_of!(crate::core::thread::Thread, priority),
            calls = const ::core::mem::offset_of!(crate::core::thread::Thread, calls),
            taken = const ::core::mem::offset_of!(crate::core::thread::Thread, taken),
            turn = const ::core::mem::offset_of!(crate::core::thread::Thread, turn),
            cpu = const ::core::mem::offset_of!(crate::core::thread::Thread, cpu),
            slice = const ::core::mem::offset_of!(crate::core::thread::Thread, slice),
            next = const ::core::mem::offset_of!(crate::core::thread::Thread, next),
            vcpu = const ::core::mem::offset_of!(crate::core::thread::Thread, vcpu),
            trap_rax = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.rax),
            trap_rdi = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.rdi),
            words = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.words),
            trap_r12 = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.r12),
            trap_r13 = const ::core::mem::offset_of!(crate::core::thread::Thread, registers.r13),
            handle_kind = const ::core::mem::offset_of!(crate::core::handle::Handle, kind),
            handle_object = const ::core::mem::offset_of!(crate::core::handle::Handle, object),
            handle_badge = const ::core::mem::offset_of!(crate::core::handle::Handle, badge),
            handle_bits = const ::core::mem::offset_of!(crate::core::handle::Handle, bits),
            parked = const ::core::mem::offset_of!(crate::core::slot::Slot, parked),
            attention = const ::core::mem::offset_of!(crate::core::slot::Slot, attention),
            bits = const ::core::mem::offset_of!(crate::core::slot::Slot, bits),
            used = const ::core::mem::offset_of!(crate::core::slot::Slot, used),
            budget = const ::core::mem::offset_of!(crate::core::slot::Slot, account.budget),
            floor = const ::core::mem::offset_of!(crate::core::schedule::Processor, floor),
            processor_current = const ::core::mem::offset_of!(crate::core::schedule::Processor, current),
            charged = const ::core::mem::offset_of!(crate::core::schedule::Processor, charged),
            since = const ::core::mem::offset_of!(crate::core::schedule::Processor, since),
            stolen = const ::core::mem::offset_of!(crate::core::schedule::Processor, stolen),
            armed = const ::core::mem::offset_of!(crate::core::schedule::Processor, armed),
            shortest = const ::core::mem::offset_of!(crate::core::schedule::Processor, shortest),
            ready = const ::core::mem::offset_of!(crate::core::schedule::Processor, ready),
            first = const ::core::mem::offset_of!(crate::core::schedule::Processor, queues)
                + ::core::mem::offset_of!(crate::core::schedule::Queue, first),
            last = const ::core::mem::offset_of!(crate::core::schedule::Processor, queues)
                + ::core::mem::offset_of!(crate::core::schedule::Queue, last),
            clock_tsc = const crate::machine::quick::clock::TSC,
            clock_system = const crate::machine::quick::clock::SYSTEM,
            clock_multiplier = const crate::machine::quick::clock::MULTIPLIER,
            clock_shift = const crate::machine::quick::clock::SHIFT,
            run_entered = const crate::machine::quick::clock::ENTERED,
            run_runnable = const crate::machine::quick::clock::RUNNABLE,
            run_offline = const crate::machine::quick::clock::OFFLINE,
            wire = const crate::machine::quick::WIRE,
            bell = const crate::machine::quick::BELL,
            attention_bits = const crate::core::slot::ATTENTION_BITS,
            attention_off = const crate::core::slot::ATTENTION_OFF,
            full_slice = const crate::core::schedule::SLICE,
            ready_state = const crate::core::thread::State::Ready as u8,
            ready_trap = const crate::machine::quick::READY,
            awaiting = const crate::machine::quick::AWAITING,
            running = const crate::machine::quick::RUNNING,
            waiting = const crate::machine::quick::WAITING,
            waited = const crate::core::thread::WAITED as i64,
            reply_wait = const abi::trap::REPLY_WAIT,
            reply = const abi::trap::REPLY,
            notify = const abi::trap::NOTIFY,
            flags = const crate::machine::quick::USER_FLAGS,
            $($operands)*
        );
    };
}
pub(crate) use with_quick;

/// RFLAGS of a thread that trapped or starts: interrupts on, all else clear.
pub const USER_FLAGS: u64 = 0x202;

mod words {
    use crate::core::handle::{CALL, NOTIFY};
    use crate::core::thread::{Saved, State};
    use abi::kernel::control::HandleKind;

    const fn state(state: State, saved: Saved) -> u16 {
        state as u16 | (saved as u16) << 8
    }

    /// Kind and rights of a wire.
    pub const WIRE: u16 = HandleKind::Wire as u16 | ((CALL | NOTIFY) as u16) << 8;
    /// Kind and rights of a bell.
    pub const BELL: u16 = HandleKind::Bell as u16 | (NOTIFY as u16) << 8;
    /// State and place of the registers: called.
    pub const AWAITING: u16 = state(State::Awaiting, Saved::Trap);
    /// Runs.
    pub const RUNNING: u16 = state(State::Running, Saved::Trap);
    /// Is to run, its trap done.
    pub const READY: u16 = state(State::Ready, Saved::Trap);
    /// Waits for a call.
    pub const WAITING: u16 = state(State::Waiting, Saved::Collect);
}
pub use words::{AWAITING, BELL, READY, RUNNING, WAITING, WIRE};

/// A token comes back with its kind replaced by the number of the trap, and both are compared at once; traps are told apart
/// by their order.
const _: () = assert!(
    abi::trap::REPLY_WAIT == abi::token::Kind::Call as u8
        && abi::trap::CALL == 0
        && abi::trap::REPLY == 2
        && abi::trap::NOTIFY == 3
);

/// Where the assembly finds the time: offsets in a vCPU's clock page (Xen public/xen.h, `vcpu_time_info`) and in the page
/// that it shares with Xen (public/vcpu.h, `vcpu_runstate_info`, behind the event words).
pub mod clock {
    /// Offset of the run-state area.
    pub const RUN_STATE: usize = 64;
    /// The counter when Xen wrote.
    pub const TSC: usize = 8;
    /// System time then.
    pub const SYSTEM: usize = 16;
    /// What ticks are multiplied with.
    pub const MULTIPLIER: usize = 24;
    /// By how much they are shifted before.
    pub const SHIFT: usize = 28;
    /// When the vCPU came to its present state; the highest bit is set while Xen writes.
    pub const ENTERED: usize = RUN_STATE + 8;
    /// Time for which it was ready and did not run.
    pub const RUNNABLE: usize = RUN_STATE + 24;
    /// Time for which it was offline.
    pub const OFFLINE: usize = RUN_STATE + 40;
}

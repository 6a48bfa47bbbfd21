//! What the operator may do with a running system: channel 2 of the supervisor.

pub mod swap;

use abi::kernel::control::Shutdown;

pub use swap::{Outcome, Reason};

/// No memory is shared.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::NONE;

/// Number of the supervisor's channel.
pub const CHANNEL: u8 = 2;

abi::word_enum! {
    /// How a server is killed.
    pub enum Way {
        /// It is taken apart where it is.
        AtOnce = 0,
        /// It goes on at address 0, and faults there.
        Null = 1,
    }
}

abi::interface! {
    /// The operator's side of the supervisor.
    interface "operator";
    /// Why it refused.
    error Error {
        /// No such slot.
        NoSuchSlot = 1,
        /// The supervisor does not restart itself on request.
        Supervisor = 2,
        /// No such image.
        NoSuchImage = 3,
        /// No server runs there.
        NotRunning = 4,
        /// Refused before anything was touched; `swap_outcome` tells the rule.
        Refused = 5,
        /// The slot has a server already.
        Runs = 6,
    }
    /// Kills the server in a slot and starts it again, as if it had faulted; the slots are numbered as in
    /// `status.snapshot`.
    1 now fn restart(slot: u16) -> ();
    /// Ends the domain.
    2 now fn shutdown(reason: Shutdown) -> ();
    /// Puts a new server into a slot in the place of the one that runs there, of the image whose name has this hash
    /// ([`abi::hash::text`]); 0: of the same image. A swap that is under way is given up first. The answer comes when the
    /// candidate is built and the old server is asked for its state; what becomes of it is told by `swap_outcome`.
    3 now fn swap(slot: u16, image: u64) -> ();
    /// The last swap of a slot: what became of it and why, when it began (nanoseconds since boot), for how long nobody
    /// served (ns: from the old server's last word to the new one's first), and how many bytes of state there were.
    4 now (retry) fn swap_outcome(slot: u16) -> (Outcome, Reason, u64, u64, u64);
    /// How long after its beginning, in nanoseconds, the last swap of a slot came to each step (0: not yet): the candidate
    /// was built, the old server had written its state, the candidate had adopted it, it had taken over, it had proved itself.
    5 now (retry) fn swap_steps(slot: u16) -> (u64, u64, u64, u64, u64);
    /// Ends the server in a slot for good: its callers are answered `Gone`.
    6 now fn stop(slot: u16) -> ();
    /// Starts a server in a slot that has none.
    7 now fn start(slot: u16) -> ();
    /// Ends the server in a slot as if it had faulted: it counts as a death, and what the manifest says for that is done.
    8 now fn kill(slot: u16, way: Way) -> ();
}

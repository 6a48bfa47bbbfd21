//! What the operator may do with a running system: channel 2 of the supervisor.

use abi::kernel::control::Shutdown;

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
        /// The slot has a server already.
        Runs = 3,
    }
    /// Kills the server in a slot and starts it again, as if it had faulted; the slots are numbered as in
    /// `status.snapshot`.
    1 now fn restart(slot: u16) -> ();
    /// Ends the domain.
    2 now fn shutdown(reason: Shutdown) -> ();
    /// Ends the server in a slot for good: its callers are answered `Gone`.
    3 now fn stop(slot: u16) -> ();
    /// Starts a server in a slot that has none.
    4 now fn start(slot: u16) -> ();
    /// Ends the server in a slot as if it had faulted: it counts as a death, and what the manifest says for that is done.
    5 now fn kill(slot: u16, way: Way) -> ();
}

//! What the operator may do with a running system: channel 2 of the supervisor.

use abi::kernel::control::Shutdown;

/// No memory is shared.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::NONE;

/// Number of the supervisor's channel.
pub const CHANNEL: u8 = 2;

abi::interface! {
    /// The operator's side of the supervisor.
    interface "operator";
    /// Why it refused.
    error Error {
        /// No such slot.
        NoSuchSlot = 1,
        /// The supervisor does not restart itself on request.
        Supervisor = 2,
    }
    /// Kills the server in a slot and starts it again, as if it had faulted; the slots are numbered as in
    /// `status.snapshot`.
    1 now fn restart(slot: u16) -> ();
    /// Ends the domain.
    2 now fn shutdown(reason: Shutdown) -> ();
}

//! A scheduler: shares CPU time out among the servers that it manages.

/// No memory is shared.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::NONE;

abi::interface! {
    /// Weights of the servers that a scheduler manages.
    interface "scheduler";
    /// Why it refused.
    error Error {
        /// The kernel does not let this scheduler decide about that slot.
        NotAllowed = 1,
    }
    /// Gives the server of a slot a weight. 0: it is stopped, where it is; more: it goes on.
    1 now fn weigh(slot: u16, weight: u32) -> ();
}

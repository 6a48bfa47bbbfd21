//! What clients and the test's driver ask of a relay.

/// One page each way.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(1, 1);

/// What a relay makes of a word that it held.
#[must_use]
pub const fn answer(word: u64) -> u64 {
    word.wrapping_mul(3).wrapping_add(1)
}

abi::interface! {
    /// A relay.
    interface "relay";
    /// Why it refused.
    error Error {
        /// It never does.
        Never = 1,
    }
    /// Counts a call of this client; returns how many there were.
    1 now fn count() -> u64;
    /// Holds the call until it is released; returns [`answer`] of `word`.
    2 wait fn hold(word: u64) -> u64;
    /// Answers all calls that are held, the last one first; returns how many there were.
    3 now fn release() -> u32;
    /// Notes how the answer to a held call was.
    4 now fn judge(right: bool) -> ();
    /// How many calls are held, how many answers were right, and how many were wrong or missing.
    5 now fn tally() -> (u32, u64, u64);
    /// Tells a successor how to misbehave.
    6 now fn act(act: u32) -> ();
    /// The layout of its state, and how often it was taken over.
    7 now fn version() -> (u32, u32);
}

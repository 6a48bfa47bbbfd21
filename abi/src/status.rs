//! What became of a call, as the kernel tells it. What the server says of it is in the reply's label.

/// Status of the trap `call`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Status {
    /// The server answered.
    Ok = 0,
    /// The server is a new one since the last call on this wire; this call was **not** delivered. Said once.
    Reset = 1,
    /// The server took this call and died; what it did of it is unknown.
    Restarted = 2,
    /// The supervisor cancelled the wait.
    Cancelled = 3,
    /// Nobody serves this wire, and nobody is going to.
    Gone = 4,
}

impl Status {
    /// Decodes the register; a value that the kernel does not produce reads as [`Status::Gone`].
    pub const fn from_word(word: u64) -> Self {
        match word {
            0 => Self::Ok,
            1 => Self::Reset,
            2 => Self::Restarted,
            3 => Self::Cancelled,
            _ => Self::Gone,
        }
    }
}

//! What a call carries, each way.

/// Number of words beside the label.
pub const WORDS: usize = 5;

/// A label and five words, in registers: `rdi`, then `rsi rdx r10 r8 r9`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Message {
    /// Of a call: the method's number. Of a reply: 0, or an error code (see [`mod@crate::interface`]).
    pub label: u64,
    /// Arguments or results; unused ones are 0.
    pub words: [u64; WORDS],
}

impl Message {
    /// A message from its parts.
    pub const fn new(label: u64, words: [u64; WORDS]) -> Self {
        Self { label, words }
    }
}

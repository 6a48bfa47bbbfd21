//! The memory that all share: a few words, a page for messages, and the samples of every figure.
//!
//! Whoever writes a sample is the only one that runs, so nothing here is synchronised.

use abi::layout::SHARED;
use shared::Memory;

/// Samples of each figure.
pub const ROUNDS: usize = 1_000;
/// Pages of the board.
pub const PAGES: u32 = 2 + (NAMES.len() * ROUNDS * 4).div_ceil(4096) as u32;

/// Names of the figures.
pub const NAMES: [&str; 17] = [
    "clock",
    "loop_2000",
    "call",
    "reply_wait",
    "round_trip",
    "round_trip_10_words",
    "round_trip_4_kib",
    "deferred_reply",
    "notify_higher",
    "notify_lower",
    "notify_busy",
    "kernel_call",
    "typed_call",
    "switch",
    "fault",
    "pager",
    "server",
];

/// A figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "as in `NAMES`")]
pub enum Figure {
    Clock,
    Loop,
    Call,
    ReplyWait,
    RoundTrip,
    TenWords,
    Kilobytes,
    DeferredReply,
    NotifyHigher,
    NotifyLower,
    NotifyBusy,
    KernelCall,
    TypedCall,
    Switch,
    Fault,
    Pager,
    Server,
}

/// The board.
#[derive(Clone, Copy)]
pub struct Board(Memory);

impl Board {
    /// The board, once it is mapped.
    pub fn new() -> Self {
        Self(rt::shared(SHARED, PAGES))
    }

    /// A time that one tells another.
    pub fn stamp(self) -> u64 {
        self.0.read(0)
    }

    /// Tells a time.
    pub fn set_stamp(self, time: u64) {
        self.0.write(0, &time);
    }

    /// The page for messages.
    pub fn page(self) -> Memory {
        self.0.part(4096, 4096).unwrap_or_default()
    }

    fn place(figure: Figure, round: usize) -> usize {
        8192 + (figure as usize * ROUNDS + round) * 4
    }

    /// Keeps a sample.
    pub fn keep(self, figure: Figure, round: usize, from: u64, to: u64) {
        self.0.write(Self::place(figure, round), &(to.wrapping_sub(from) as u32));
    }

    /// All samples of a figure, sorted.
    pub fn samples(self, figure: usize) -> [u32; ROUNDS] {
        let mut samples: [u32; ROUNDS] =
            core::array::from_fn(|round| self.0.read(8192 + (figure * ROUNDS + round) * 4));
        samples.sort_unstable();
        samples
    }
}

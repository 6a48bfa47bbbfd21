//! The memory that all share: words, each written by one server at a time.

use abi::layout::SHARED;
use shared::Memory;

/// Pages of the board.
pub const PAGES: u32 = 3;

/// Words of each slot.
const SLOT: usize = 16;
/// Where the trace begins.
const TRACE: usize = 70 * SLOT;
/// Entries of the trace.
pub const TRACES: u64 = 64;

/// A word that all see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Not 0: callers stop.
    Stop = 0,
    /// Not 0: whoever holds a call does not answer it.
    Hold = 1,
    /// Not 0: a call is held.
    Held = 2,
    /// How many calls were traced.
    Traced = 3,
}

/// A word of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// Calls made, or rounds done.
    Done = 0,
    /// Calls that were answered.
    Ok = 1,
    /// Calls that failed because the server was started again before they were taken.
    Reset = 2,
    /// Calls that failed because it was after they were taken.
    Restarted = 3,
    /// Calls that failed otherwise.
    Failed = 4,
    /// Answers that were not those to the call.
    Wrong = 5,
    /// Calls that were taken.
    Served = 6,
    /// The latest call that was taken from this slot.
    Seen = 7,
    /// Calls that were taken twice, or out of order.
    Twice = 8,
    /// What to say in a call.
    Label = 9,
    /// What came of it: the answer's label, or 0xdead0000 and the status.
    Result = 10,
    /// Waits that ended with bits.
    Bits = 11,
    /// Seed of random numbers.
    Seed = 12,
    /// Of the times that it measured, in nanoseconds: the median,
    Median = 13,
    /// the 99th percentile,
    Percentile = 14,
    /// and the longest.
    Longest = 15,
}

/// The board.
#[derive(Clone, Copy)]
pub struct Board(Memory);

impl Board {
    /// The board, once it is mapped.
    pub fn new() -> Self {
        Self(rt::shared(SHARED, PAGES))
    }

    fn load(self, word: usize) -> u64 {
        self.0.load_u64_acquire(word * 8)
    }

    fn store(self, word: usize, value: u64) {
        self.0.store_u64_release(word * 8, value);
    }

    /// Reads a word.
    pub fn get(self, word: Word) -> u64 {
        self.load(word as usize)
    }

    /// Writes a word.
    pub fn set(self, word: Word, value: u64) {
        self.store(word as usize, value);
    }

    /// Reads a word of a slot.
    pub fn of(self, slot: u16, word: Of) -> u64 {
        self.load(usize::from(slot) * SLOT + word as usize)
    }

    /// Writes a word of a slot.
    pub fn set_of(self, slot: u16, word: Of, value: u64) {
        self.store(usize::from(slot) * SLOT + word as usize, value);
    }

    /// Counts in a word of a slot.
    pub fn count(self, slot: u16, word: Of) {
        self.set_of(slot, word, self.of(slot, word) + 1);
    }

    /// Notes who was served.
    pub fn trace(self, slot: u64) {
        let at = self.get(Word::Traced);
        self.store(TRACE + (at % TRACES) as usize, slot);
        self.set(Word::Traced, at + 1);
    }

    /// Who was served as number `at`.
    pub fn traced(self, at: u64) -> u64 {
        self.load(TRACE + (at % TRACES) as usize)
    }

    /// A random number below `most`.
    pub fn random(self, slot: u16, most: u64) -> u64 {
        let next = self
            .of(slot, Of::Seed)
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.set_of(slot, Of::Seed, next);
        (next >> 33) % most
    }
}

//! What a console hands to its successor: the line under way, the last lines, and what waits for room in the ring.
//!
//! Invariant: what was read of it is written again to the last byte.

use alloc::string::String;
use alloc::vec::Vec;

use ipc::state::{Damaged, Full, Reader, Writer};

ipc::state! {
    /// What is typed, and how the other end takes what is written.
    pub struct Screen: "console.screen" {
        /// The line under way.
        pub line: String,
        /// How much of an escape sequence has come: 0 to 2.
        pub escape: u8,
        /// Whether the last key was a carriage return.
        pub was_return: bool,
        /// Whether a key has come at all.
        pub is_used: bool,
        /// Whether the ring is good.
        pub has_ring: bool,
        /// Free bytes of the ring when last seen.
        pub room: u32,
        /// Since when it did not grow.
        pub full_since: Option<u64>,
        /// Whether nobody reads.
        pub is_unread: bool,
        /// Lines that were dropped.
        pub dropped: u64,
    }
    /// One of the last lines.
    pub struct Line: "console.line" {
        /// Its text.
        pub text: String,
    }
    /// A part of what waits for room.
    pub struct Waiting: "console.waiting" {
        /// Its bytes.
        pub bytes: Vec<u8>,
    }
}

/// Most bytes in a part: the state is written with no more than that beside it.
const PART: usize = 1024;

/// The state of a console that has not been opened yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Saved {
    pub(crate) screen: Screen,
    pub(crate) lines: Vec<String>,
    pub(crate) waiting: Vec<u8>,
}

impl Saved {
    /// Reads it.
    ///
    /// # Errors
    /// It is not a console's.
    pub fn read(state: Reader<'_>) -> Result<Self, Damaged> {
        let mut waiting = Vec::new();
        for part in state.all::<Waiting>() {
            waiting.extend(part?.bytes);
        }
        let lines = state.all::<Line>().map(|line| line.map(|line| line.text));
        let screen = state.one::<Screen>()?.ok_or(Damaged)?;
        Ok(Self { screen, lines: lines.collect::<Result<_, _>>()?, waiting })
    }

    /// Writes it again.
    ///
    /// # Errors
    /// There is no room.
    pub fn save(&self, to: &mut Writer) -> Result<(), Full> {
        let (waiting, none) = (self.waiting.as_slice(), [].as_slice());
        write(to, &self.screen, self.lines.iter().map(String::as_str), (waiting, none))
    }
}

/// Writes the state of a console.
pub(crate) fn write<'a>(
    to: &mut Writer,
    screen: &Screen,
    mut lines: impl Iterator<Item = &'a str>,
    (front, back): (&[u8], &[u8]),
) -> Result<(), Full> {
    to.put(screen)?;
    lines.try_for_each(|line| to.put(&Line { text: String::from(line) }))?;
    let mut part = Vec::new();
    for &byte in front.iter().chain(back) {
        part.push(byte);
        if part.len() == PART {
            to.put(&Waiting { bytes: core::mem::take(&mut part) })?;
        }
    }
    if part.is_empty() { Ok(()) } else { to.put(&Waiting { bytes: part }) }
}

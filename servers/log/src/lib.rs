//! The log: reads every server's log ring and writes the lines, each with its server's name, to the console.
//!
//! Invariant: the lines of a server keep their order and stay whole; what is lost is counted where it is lost, in the writer's
//! ring, and told. The log itself loses nothing: when the console takes no more, lines wait in their rings. No writer gets
//! more than its turn, and nothing that a writer does costs another one a line.
//!
//! It keeps no history (the console does) and writes no files.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod sink;
mod source;
pub mod state;
mod tap;

pub use sink::{ConsoleSink, Sink};
pub use source::Source;
use state::Told;
pub use tap::Tapped;

use alloc::vec::Vec;

/// Most lines of one source in a row.
const ROW: usize = 4;
/// Most lines in a turn, so that a turn is short whatever is written.
const TURN: usize = 64;

/// Whether a turn did all that there was to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Left {
    /// Nothing is left.
    Nothing,
    /// Lines are left: another turn is due at once.
    Lines,
    /// Lines are left, for which the sink has no room; its bit says when it has.
    NoRoom,
}

/// The log.
#[derive(Debug)]
pub struct Log<S> {
    sources: Vec<Source>,
    sink: S,
    /// Who is next.
    next: usize,
}

impl<S: Sink> Log<S> {
    /// A log of `sources`, all of which are looked at in the first turn.
    pub const fn new(sources: Vec<Source>, sink: S) -> Self {
        Self { sources, sink, next: 0 }
    }

    /// One turn: collects lines, from the sources whose bits are set and from those that were not done.
    pub fn turn(&mut self, bits: u64) -> Left {
        self.sources.iter_mut().for_each(|source| source.rung(bits));
        let mut lines = 0;
        let mut quiet = 0;
        while quiet < self.sources.len() {
            let Some(source) = self.sources.get_mut(self.next) else { break };
            match source.copy_lines(&mut self.sink, ROW) {
                None => {
                    self.sink.flush();
                    return Left::NoRoom;
                }
                Some(0) => quiet += 1,
                Some(copied) => {
                    quiet = 0;
                    lines += copied;
                }
            }
            self.next = (self.next + 1) % self.sources.len();
            if lines >= TURN {
                self.sink.flush();
                return Left::Lines;
            }
        }
        self.sink.flush();
        Left::Nothing
    }

    /// What a successor has to know.
    #[must_use]
    pub fn told(&self) -> Told {
        let sources = self.sources.iter().map(Source::told).collect();
        Told { next: self.next as u32, sources }
    }

    /// Goes on where another log stopped.
    pub fn resume(&mut self, told: &Told) {
        self.next = if (told.next as usize) < self.sources.len() { told.next as usize } else { 0 };
        for (name, lost, is_broken) in &told.sources {
            let mut sources = self.sources.iter_mut();
            if let Some(source) = sources.find(|source| source.is_called(name)) {
                source.resume(*lost, *is_broken);
            }
        }
    }

    /// Where the lines go.
    pub const fn sink(&self) -> &S {
        &self.sink
    }
}

//! [`Keeper`]: the last lines of the log.
//!
//! Invariant: it keeps at most [`BYTES`] of text, the newest; a line's number is never used again, not
//! by a later incarnation either.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use ipc::manage::Line;

/// Most bytes of text that are kept.
pub const BYTES: usize = 48 * 1024;
/// What a line costs beside its text.
const COST: usize = size_of::<Line>();

/// The last lines.
#[derive(Debug, Default)]
pub struct Keeper {
    lines: VecDeque<Line>,
    bytes: usize,
    next: u64,
}

impl Keeper {
    /// An empty one of this incarnation of the server: no two incarnations number two lines alike.
    #[must_use]
    pub fn new(incarnation: u32) -> Self {
        Self { next: u64::from(incarnation) << 32, ..Self::default() }
    }

    /// An empty one of a successor, whose next line has this number.
    pub(crate) fn from_number(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// The number of the next line.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// All lines.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    /// Takes a line as `log` writes it: `[server] text`.
    pub fn keep(&mut self, text: &str, at: u64) {
        let text = text.trim_end_matches('\n');
        let parted = text.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let (server, text) = parted.unwrap_or(("", text));
        let line =
            Line { number: self.next, at, server: String::from(server), text: String::from(text) };
        self.next += 1;
        self.put(line);
    }

    /// Takes a line that has a number.
    pub(crate) fn put(&mut self, line: Line) {
        self.bytes += cost(&line);
        self.lines.push_back(line);
        while self.bytes > BYTES
            && let Some(old) = self.lines.pop_front()
        {
            self.bytes -= cost(&old);
        }
    }

    /// Lines from `from` on, of `server` alone if it is given, up to `most` bytes; and where to go on.
    #[must_use]
    pub fn lines(&self, from: u64, server: Option<&str>, most: usize) -> (Vec<Line>, u64) {
        let mut bytes = 0;
        let mut found = Vec::new();
        for line in self.lines.iter().skip_while(|line| line.number < from) {
            if server.is_some_and(|server| server != line.server) {
                continue;
            }
            bytes += cost(line);
            if bytes > most {
                return (found, line.number);
            }
            found.push(line.clone());
        }
        (found, self.next)
    }

    /// The number of the first of the last `count` lines.
    #[must_use]
    pub fn last(&self, count: usize, server: Option<&str>) -> u64 {
        let is_its = |line: &&Line| server.is_none_or(|server| server == line.server);
        let last = self.lines.iter().rev().filter(is_its).take(count).last();
        last.map_or(self.next, |line| line.number)
    }
}

fn cost(line: &Line) -> usize {
    COST + line.server.len() + line.text.len()
}

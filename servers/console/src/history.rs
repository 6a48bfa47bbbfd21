//! The last lines that went over the console, for the command `log`.

use alloc::collections::VecDeque;
use alloc::string::String;

/// Most lines that are kept.
const LINES: usize = 200;
/// Most bytes that are kept.
const BYTES: usize = 24 * 1024;

/// The last lines.
#[derive(Clone, Debug, Default)]
pub struct History {
    lines: VecDeque<String>,
    bytes: usize,
}

impl History {
    /// Keeps a line, and forgets the oldest ones for it.
    pub fn keep(&mut self, line: &str) {
        self.bytes += line.len();
        self.lines.push_back(String::from(line));
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// The last `count` lines, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        let skipped = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(skipped).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, History, LINES};
    use std::format;
    use std::vec::Vec;

    #[test]
    fn the_oldest_lines_are_forgotten() {
        let mut history = History::default();
        (0..LINES + 3).for_each(|n| history.keep(&format!("{n}")));
        assert_eq!(history.last(usize::MAX).next(), Some("3"));
        assert_eq!(history.last(2).collect::<Vec<_>>(), ["201", "202"]);
        assert_eq!(history.last(0).count(), 0);
    }

    #[test]
    fn long_lines_do_not_fill_the_heap() {
        let mut history = History::default();
        (0..LINES).for_each(|_| history.keep(&"x".repeat(1000)));
        assert!(history.last(usize::MAX).map(str::len).sum::<usize>() <= BYTES);
    }
}

//! One server's log ring, as its reader has it.

use alloc::string::String;
use core::fmt::Write;

use ipc::Wire;
use ipc::log::{DROPPED, LINE};
use shared::Memory;
use shared::bytes::Consumer;

use crate::Sink;

/// A server that logs.
#[derive(Debug)]
pub struct Source {
    name: String,
    wire: Wire,
    /// `None` until it can be opened: at first, and after the writer broke it.
    ring: Option<Consumer>,
    /// The writer's count of lost lines, and what was told of it.
    dropped: Memory,
    told: u32,
    /// Whether it is to be looked at.
    is_due: bool,
    /// Whether it was told that the ring is broken.
    is_told_broken: bool,
}

impl Source {
    /// The log of the server `name`, at the log's end of its wire.
    #[must_use]
    pub fn new(name: &str, wire: Wire) -> Self {
        let dropped = wire.up.part(DROPPED, size_of::<u32>()).unwrap_or_default();
        Self {
            name: String::from(name),
            wire,
            ring: None,
            dropped,
            // What was lost before this log started was told by the log before it, or is told now.
            told: 0,
            is_due: true,
            is_told_broken: false,
        }
    }

    /// Its name, the lines that were told as lost, and whether its ring was told as broken.
    pub(crate) fn told(&self) -> (String, u32, bool) {
        (self.name.clone(), self.told, self.is_told_broken)
    }

    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name
    }

    /// Goes on where another stopped that had told this.
    pub(crate) const fn resume(&mut self, lost: u32, is_broken: bool) {
        self.told = lost;
        self.is_told_broken = is_broken;
    }

    /// Looks at the ring in this turn if the writer rang.
    pub(crate) const fn rung(&mut self, bits: u64) {
        self.is_due |= self.wire.rang(bits);
    }

    /// Copies up to `most` lines to `sink` and says how many; `None` if the sink has no room for the next.
    pub(crate) fn copy_lines(&mut self, sink: &mut impl Sink, most: usize) -> Option<usize> {
        let mut lines = 0;
        while self.is_due && lines < most {
            match self.next_line() {
                Next::Line { text, taken } => {
                    if !sink.has_room(text.len()) {
                        return None;
                    }
                    sink.write(&text);
                    self.take(taken);
                    lines += 1;
                }
                Next::Nothing => self.is_due = false,
            }
        }
        Some(lines)
    }

    /// The next line to write, and what to do once it is written.
    fn next_line(&mut self) -> Next {
        if self.ring.is_none() {
            self.ring = ipc::log::ring(self.wire.up, self.wire.down)
                .and_then(|parts| Consumer::open(parts).ok());
        }
        let Some(ring) = &mut self.ring else { return self.broken() };
        let mut bytes = [0; LINE];
        let Ok(length) = ring.peek(&mut bytes) else { return self.broken() };
        let bytes = bytes.get(..length).unwrap_or_default();
        match line_of(bytes) {
            Some((text, taken)) => {
                self.is_told_broken = false;
                self.line(Taken::Bytes(taken), text)
            }
            None => self.drained(length),
        }
    }

    /// No whole line waits: tells what was lost, or asks to be rung for more.
    fn drained(&mut self, partial: usize) -> Next {
        let dropped = self.dropped.load_u32_relaxed(0);
        if dropped != self.told {
            let lost = dropped.wrapping_sub(self.told);
            let mut text = String::new();
            let _ = write!(text, "({lost} lines lost: the log's ring was full)");
            return self.line(Taken::Told(dropped), text.as_bytes());
        }
        let Some(ring) = &mut self.ring else { return Next::Nothing };
        match ring.arm(partial + 1) {
            Ok(true) => self.next_line(),
            Ok(false) => Next::Nothing,
            Err(_) => self.broken(),
        }
    }

    /// The writer's side makes no sense: it is told once, and the ring is opened anew when the writer rings again.
    fn broken(&mut self) -> Next {
        self.ring = None;
        if self.is_told_broken {
            return Next::Nothing;
        }
        self.line(Taken::Broken, b"(its log ring is broken)")
    }

    fn line(&self, taken: Taken, text: &[u8]) -> Next {
        let mut line = String::with_capacity(self.name.len() + text.len() + 4);
        let _ = write!(line, "[{}] ", self.name);
        line.extend(String::from_utf8_lossy(text).chars().map(visible));
        line.push('\n');
        Next::Line { text: line, taken }
    }

    fn take(&mut self, taken: Taken) {
        match taken {
            Taken::Bytes(length) => {
                if let Some(ring) = &mut self.ring {
                    let _ = ring.consume(length);
                    // A writer never waits for room, so it is not rung.
                    let _ = ring.publish();
                }
            }
            Taken::Told(dropped) => self.told = dropped,
            Taken::Broken => self.is_told_broken = true,
        }
    }
}

/// What a source has.
enum Next {
    Line { text: String, taken: Taken },
    Nothing,
}

/// What is done with once its line is written.
enum Taken {
    /// Bytes of the ring.
    Bytes(usize),
    /// The count of lost lines.
    Told(u32),
    /// That the ring is broken.
    Broken,
}

/// The first line of `bytes` without its end, and how many bytes it takes with its end; what fills a line without ending
/// it is a line.
fn line_of(bytes: &[u8]) -> Option<(&[u8], usize)> {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(end) => Some((bytes.get(..end)?, end + 1)),
        None if bytes.len() == LINE => Some((bytes, LINE)),
        None => None,
    }
}

/// Control characters could move the reader's cursor or worse.
fn visible(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        other => other,
    }
}

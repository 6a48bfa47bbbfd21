//! A server's log: lines into its ring, which `log` reads (`ipc::log` has the layout).
//!
//! Invariant: only whole lines of at most [`LINE`] bytes are shown to the reader, each ending in `\n` and holding no other line
//! break. A line that finds no room is dropped and counted: a server never waits for its log.

use core::fmt::{self, Write};

use ipc::log::{DROPPED, LINE};
use shared::bytes::Producer;
use shared::{Error, Memory};

/// Writes a line to the log, with the syntax of `format!`. What is longer than a line is cut, line breaks become spaces.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::write(&$crate::log::Line::new(::core::format_args!($($argument)*))) };
}

/// A line of the log, its end included.
#[derive(Clone, Debug)]
pub struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Line {
    /// Formats one.
    #[must_use]
    pub fn new(text: fmt::Arguments<'_>) -> Self {
        let mut line = Self { bytes: [0; LINE], length: 0 };
        let _ = line.write_fmt(text);
        line.push('\n', LINE);
        line
    }

    /// Its bytes: UTF-8, the last one `\n`.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn push(&mut self, character: char, limit: usize) {
        let end = self.length + character.len_utf8();
        if let Some(place) = self.bytes.get_mut(self.length..end)
            && end <= limit
        {
            character.encode_utf8(place);
            self.length = end;
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.push(if character == '\n' { ' ' } else { character }, LINE - 1);
        }
        Ok(())
    }
}

/// The writing end of a log ring.
#[derive(Debug)]
pub struct Writer {
    ring: Producer,
    dropped: Memory,
}

impl Writer {
    /// Goes on in the ring of a wire; `up` is written here, `down` by the reader.
    ///
    /// # Errors
    /// [`Error::Shape`] when the memory is too small, [`Error::Broken`] when its headers contradict each other.
    pub fn open(up: Memory, down: Memory) -> Result<Self, Error> {
        let ring = Producer::open(ipc::log::ring(up, down).ok_or(Error::Shape)?)?;
        let dropped = up.part(DROPPED, size_of::<u32>()).ok_or(Error::Shape)?;
        Ok(Self { ring, dropped })
    }

    /// Writes a line; says whether to ring the reader. A line that does not fit, or a reader that is not to be trusted,
    /// costs the line.
    #[must_use = "the reader sleeps until it is rung"]
    pub fn write(&mut self, line: &Line) -> bool {
        let bytes = line.bytes();
        if self.ring.free().is_ok_and(|free| free >= bytes.len()) && self.ring.write(bytes).is_ok()
        {
            return self.ring.publish();
        }
        self.dropped.store_u32_relaxed(0, self.dropped.load_u32_relaxed(0).wrapping_add(1));
        false
    }
}

#[cfg(xylem_user)]
mod target {
    use super::{Line, Writer};
    use crate::Trap;
    use crate::single::Single;
    use abi::{Handle, Traps};
    use ipc::Wire;

    static LOG: Single<Option<(Writer, Handle)>> = Single::new(None);

    /// Makes `wire` the log of this server. Without one, or if its memory is unusable, lines go to the debug console.
    pub fn open(wire: &Wire) {
        let Ok(writer) = Writer::open(wire.up, wire.down) else { return };
        LOG.with(|log| *log = Some((writer, wire.handle)));
        // A ring from before a restart may be lost.
        Trap.notify(wire.handle);
    }

    /// Writes a line to this server's log.
    pub fn write(line: &Line) {
        let written = LOG.with(|log| log.as_mut().map(|(log, reader)| (log.write(line), *reader)));
        match written.flatten() {
            Some((true, reader)) => Trap.notify(reader),
            Some((false, _)) => {}
            None => {
                crate::debug(line.bytes());
            }
        }
    }
}

#[cfg(not(xylem_user))]
mod target {
    use super::Line;
    use ipc::Wire;

    /// On the host there is no log to open.
    pub fn open(_: &Wire) {}

    /// On the host a line goes to the standard error.
    pub fn write(line: &Line) {
        use std::io::Write;
        let _ = std::io::stderr().write_all(line.bytes());
    }
}

pub use target::{open, write};

#[cfg(test)]
mod tests {
    use super::{Line, Writer};
    use ipc::log::{DROPPED, LINE};
    use shared::bytes::Consumer;
    use shared::{HostMemory, Memory};

    fn memory() -> (Memory, Memory) {
        (HostMemory::leak(3), HostMemory::leak(1))
    }

    fn reader(up: Memory, down: Memory) -> Consumer {
        Consumer::open(ipc::log::ring(up, down).unwrap()).unwrap()
    }

    #[test]
    fn lines_arrive_whole_and_in_order() {
        let (up, down) = memory();
        let mut writer = Writer::open(up, down).unwrap();
        let mut reader = reader(up, down);
        reader.arm(1).unwrap();
        assert!(writer.write(&Line::new(format_args!("one {}", 1))));
        assert!(!writer.write(&Line::new(format_args!("two\nthree"))));
        let mut bytes = [0; 100];
        let length = reader.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"one 1\ntwo three\n");
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let text = "é".repeat(LINE);
        let line = Line::new(format_args!("x{text}"));
        assert_eq!(line.bytes().len(), LINE);
        assert_eq!(line.bytes().last(), Some(&b'\n'));
        assert!(std::str::from_utf8(line.bytes()).is_ok());
    }

    #[test]
    fn a_full_ring_costs_lines_and_counts_them() {
        let (up, down) = memory();
        let mut writer = Writer::open(up, down).unwrap();
        let line = Line::new(format_args!("{:0511}", 7));
        (0..16).for_each(|_| _ = writer.write(&line));
        assert_eq!(up.load_u32_relaxed(DROPPED), 0);
        let _ = writer.write(&line);
        assert_eq!(up.load_u32_relaxed(DROPPED), 1);
    }

    #[test]
    fn a_reader_that_lies_costs_lines_only() {
        let (up, down) = memory();
        let mut writer = Writer::open(up, down).unwrap();
        down.store_u64_release(0, 0x1_8000_0000);
        let line = Line::new(format_args!("{:0511}", 7));
        (0..40).for_each(|_| _ = writer.write(&line));
        assert!(up.load_u32_relaxed(DROPPED) > 0);
    }

    #[test]
    fn too_little_memory_is_refused() {
        assert!(Writer::open(HostMemory::leak(1), HostMemory::leak(1)).is_err());
        assert!(Writer::open(Memory::empty(), Memory::empty()).is_err());
    }
}

//! [`Tapped`]: a sink that gives each line to a second reader too.
//!
//! Invariant: the second reader holds up nobody: a line for which it has no room is dropped there and counted, and the count
//! is told as soon as there is room again. A reader that contradicts itself gets nothing any more.

use alloc::format;

use abi::Traps;
use ipc::Wire;
use shared::bytes::Producer;

use crate::Sink;

/// A sink and a second reader.
#[derive(Debug)]
pub struct Tapped<S, T> {
    sink: S,
    traps: T,
    tap: Option<(Producer, Wire)>,
    dropped: u32,
}

impl<S, T: Traps> Tapped<S, T> {
    /// `sink`, with a ring of `wire` beside it if there is one that can be opened.
    pub fn new(sink: S, traps: T, wire: Option<Wire>) -> Self {
        let tap = wire.and_then(|wire| {
            let ring = Producer::open(ipc::console::ring(wire.up, wire.down)?).ok()?;
            // A ring from before a restart may be lost.
            wire.ring(&traps);
            Some((ring, wire))
        });
        Self { sink, traps, tap, dropped: 0 }
    }

    fn tap(&mut self, line: &str) {
        let Some((ring, _)) = &mut self.tap else { return };
        let lost = match self.dropped {
            0 => None,
            count => Some(format!("[log] ({count} lines were not kept: their reader was busy)\n")),
        };
        let needed = lost.as_ref().map_or(0, |lost| lost.len()) + line.len();
        match ring.free() {
            Ok(free) if free >= needed => {
                let lost = lost.unwrap_or_default();
                let _ = ring.write(lost.as_bytes());
                let _ = ring.write(line.as_bytes());
                self.dropped = 0;
            }
            Ok(_) => self.dropped = self.dropped.saturating_add(1),
            Err(_) => self.tap = None,
        }
    }
}

impl<S: Sink, T: Traps> Sink for Tapped<S, T> {
    fn has_room(&mut self, length: usize) -> bool {
        self.sink.has_room(length)
    }

    fn write(&mut self, line: &str) {
        self.sink.write(line);
        self.tap(line);
    }

    fn flush(&mut self) {
        self.sink.flush();
        if let Some((ring, wire)) = &mut self.tap
            && ring.publish()
        {
            wire.ring(&self.traps);
        }
    }
}

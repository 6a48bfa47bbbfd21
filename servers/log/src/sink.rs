//! Where the lines go.

use abi::Traps;
use ipc::Wire;
use shared::bytes::Producer;

/// What takes lines.
pub trait Sink {
    /// Whether a line of `length` bytes can be written now. If not, a bit will say when to ask again.
    fn has_room(&mut self, length: usize) -> bool;
    /// Writes a line that has room.
    fn write(&mut self, line: &str);
    /// The turn is over: what was written is to be seen.
    fn flush(&mut self);
}

/// The console's output ring, and the hypervisor's debug console; either may be missing.
#[derive(Debug)]
pub struct ConsoleSink<T, D> {
    traps: T,
    console: Option<(Producer, Wire)>,
    debug: Option<D>,
}

impl<T: Traps, D: FnMut(&[u8])> ConsoleSink<T, D> {
    /// Writes to the ring of `console`, and to `debug`. A console whose ring cannot be opened is none.
    pub fn new(traps: T, console: Option<Wire>, debug: Option<D>) -> Self {
        let console = console.and_then(|wire| {
            let ring = Producer::open(ipc::console::ring(wire.up, wire.down)?).ok()?;
            // A ring from before a restart may be lost.
            wire.ring(&traps);
            Some((ring, wire))
        });
        Self { traps, console, debug }
    }

    /// Whether there is a console.
    pub const fn has_console(&self) -> bool {
        self.console.is_some()
    }
}

impl<T: Traps, D: FnMut(&[u8])> Sink for ConsoleSink<T, D> {
    fn has_room(&mut self, length: usize) -> bool {
        let Some((ring, _)) = &mut self.console else { return true };
        match ring.free() {
            Ok(free) if free >= length => true,
            Ok(_) => ring.arm(length) == Ok(true),
            Err(_) => {
                // The console contradicts itself: lines go on to the debug console alone.
                self.console = None;
                true
            }
        }
    }

    fn write(&mut self, line: &str) {
        if let Some((ring, _)) = &mut self.console {
            let _ = ring.write(line.as_bytes());
        }
        if let Some(debug) = &mut self.debug {
            debug(line.as_bytes());
        }
    }

    fn flush(&mut self) {
        if let Some((ring, wire)) = &mut self.console
            && ring.publish()
        {
            wire.ring(&self.traps);
        }
    }
}

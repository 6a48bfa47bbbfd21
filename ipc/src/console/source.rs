//! A writer's ring, as whoever reads its lines does.

use alloc::string::String;
use alloc::vec;

use abi::Traps;
use shared::bytes::Consumer;

use crate::Wire;

/// Most bytes of a line; what is longer is cut.
const LINE: usize = 1024;

/// Somebody who writes lines.
#[derive(Debug)]
pub struct Source {
    wire: Wire,
    /// `None` until it can be opened, and after the writer broke it.
    ring: Option<Consumer>,
}

impl Source {
    /// The writer at the other end of a wire.
    #[must_use]
    pub const fn new(wire: Wire) -> Self {
        Self { wire, ring: None }
    }

    /// The next line with its end, if one waits; if not, the writer will ring when it has more.
    pub fn line(&mut self, traps: &impl Traps) -> Option<String> {
        if self.ring.is_none() {
            let parts = super::ring(self.wire.up, self.wire.down)?;
            self.ring = Consumer::open(parts).ok();
        }
        let ring = self.ring.as_mut()?;
        let line = next(ring);
        if ring.publish() {
            self.wire.ring(traps);
        }
        match line {
            Ok(line) => line,
            Err(_) => {
                // Opened anew when the writer rings.
                self.ring = None;
                None
            }
        }
    }
}

fn next(ring: &mut Consumer) -> Result<Option<String>, shared::Error> {
    let mut bytes = vec![0; LINE];
    loop {
        let length = ring.peek(&mut bytes)?;
        let waiting = bytes.get(..length).unwrap_or_default();
        let end = waiting.iter().position(|&byte| byte == b'\n');
        if end.is_none() && length < LINE {
            if ring.arm(length + 1)? {
                continue;
            }
            return Ok(None);
        }
        let text = waiting.get(..end.unwrap_or(length)).unwrap_or_default();
        let mut line = String::from_utf8_lossy(text).into_owned();
        line.push('\n');
        ring.consume(end.map_or(length, |end| end + 1))?;
        return Ok(Some(line));
    }
}

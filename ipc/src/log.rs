//! A server's log: a byte ring that the server writes and `log` reads, and a bit. Never a call, so that even the most
//! urgent server may log without waiting for the least urgent.
//!
//! The ring carries lines of UTF-8 that end in `\n`. A writer that finds no room drops the line and counts it; the count is
//! in the word at [`DROPPED`] of its part.

use shared::Memory;
use shared::bytes::{HEADER, Parts};

/// Where the ring's bytes begin in the up part; its producer's header is at offset 0, its consumer's at offset 0 of the down part.
pub const BYTES: usize = 4096;
/// Where the writer counts dropped lines, in the up part.
pub const DROPPED: usize = 2048;
/// Most bytes of a line, its end included.
pub const LINE: usize = 512;

/// One page of header and two of text up, one page of header down.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(3, 1);

/// Name of the interface.
pub const NAME: &str = "log";

/// It has no methods: `log` is never called.
pub const METHODS: &[abi::Method] = &[];

/// The ring in the two parts of a wire's memory; `None` if they are too small.
#[must_use]
pub fn ring(up: Memory, down: Memory) -> Option<Parts> {
    Some(Parts {
        producer: up.part(0, HEADER)?,
        entries: up.part(BYTES, up.len().checked_sub(BYTES)?)?,
        consumer: down.part(0, HEADER)?,
    })
}

//! The console's output: a byte ring that `log` (or who else is wired) writes and `console` reads, and a bit. Never a call.

mod source;

use shared::Memory;
use shared::bytes::Parts;

pub use source::Source;

/// Where the ring's bytes begin in the up part; its producer's header is at offset 0, its consumer's at offset 0 of the down part.
pub const BYTES: usize = crate::log::BYTES;

/// One page of header and four of text up, one page of header down.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(5, 1);

/// Name of the interface.
pub const NAME: &str = "console";

/// It has no methods: `console` is never called.
pub const METHODS: &[abi::Method] = &[];

/// The ring in the two parts of a wire's memory; `None` if they are too small.
#[must_use]
pub fn ring(up: Memory, down: Memory) -> Option<Parts> {
    crate::log::ring(up, down)
}

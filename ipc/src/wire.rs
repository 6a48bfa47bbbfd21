//! One end of a wire, as a server's main hands it to its logic.

use abi::{Handle, Traps};
use shared::Memory;

/// One end of a wire: the peer's handle, the bit by which the peer rings, and the memory that both share.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// At the client: the wire, to call and to notify. At the server: the client's bell, to notify.
    pub handle: Handle,
    /// The bits of the own inbox that the peer sets.
    pub bits: u64,
    /// The part that the client writes.
    pub up: Memory,
    /// The part that the server writes.
    pub down: Memory,
}

impl Wire {
    /// Rings the peer.
    pub fn ring(&self, traps: &impl Traps) {
        traps.notify(self.handle);
    }

    /// Whether the peer rang.
    pub const fn rang(&self, bits: u64) -> bool {
        bits & self.bits != 0
    }
}

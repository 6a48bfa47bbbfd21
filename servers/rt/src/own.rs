//! What the kernel does for every server, through handle 0: time, the end, and the debug console.

use abi::Handle;
use abi::kernel::own::Client;

use crate::Trap;

/// Most bytes that one call prints.
const DEBUG_BYTES: usize = 32;

/// The kernel's interface to this server.
#[must_use]
pub const fn own() -> Client<Trap> {
    Client::new(Trap, Handle::OWN)
}

/// Sets the one-shot timer: `abi::trap::BIT_TIMER` at `deadline` (nanoseconds since boot; at once if it has passed); 0
/// disarms it. A later call takes the place of an earlier one.
pub fn timer(deadline: u64) {
    let _ = own().timer(deadline);
}

/// Ends this server; its supervisor is told `code`, and where it ended.
#[inline(always)]
pub fn exit(code: u64) -> ! {
    loop {
        let _ = own().exit(code);
    }
}

/// Prints on the hypervisor's debug console, if the manifest lets this server (`debug = true`); says whether it does.
pub fn debug(text: &[u8]) -> bool {
    text.chunks(DEBUG_BYTES).all(|chunk| {
        let [a, b, c, d] = words(chunk);
        own().debug(chunk.len() as u64, a, b, c, d).is_ok()
    })
}

/// Up to 32 bytes as words, low byte first.
fn words(chunk: &[u8]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(chunk.chunks(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn the_first_byte_is_the_lowest() {
        assert_eq!(words(b"abcdefghi"), [u64::from_le_bytes(*b"abcdefgh"), 0x69, 0, 0]);
        assert_eq!(words(b""), [0; 4]);
    }
}

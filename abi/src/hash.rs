//! The hash of a contract: 64-bit FNV-1a over a canonical text, computed at compile time.
//!
//! It tells two versions of a declaration apart; it is no defence against somebody who looks for collisions (images are
//! bound by SHA-256, see [`crate::image`]).

use crate::interface::Method;

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Continues `state` with `bytes`.
const fn bytes(mut state: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        state = (state ^ bytes[i] as u64).wrapping_mul(PRIME);
        i += 1;
    }
    state
}

/// Hash of a text.
pub const fn text(text: &str) -> u64 {
    data(text.as_bytes())
}

/// Hash of bytes.
pub const fn data(data: &[u8]) -> u64 {
    bytes(OFFSET, data)
}

/// Hash of a sequence of hashes; the order matters.
pub const fn combine(parts: &[u64]) -> u64 {
    let mut state = OFFSET;
    let mut i = 0;
    while i < parts.len() {
        state = bytes(state, &parts[i].to_le_bytes());
        i += 1;
    }
    state
}

/// Hash of all methods of an interface.
pub const fn methods(methods: &[Method]) -> u64 {
    let mut state = OFFSET;
    let mut i = 0;
    while i < methods.len() {
        state = bytes(state, &methods[i].hash.to_le_bytes());
        i += 1;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::{combine, text};

    #[test]
    fn text_is_fnv_1a() {
        assert_eq!(text(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(text("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(text("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn order_matters() {
        assert_ne!(combine(&[1, 2]), combine(&[2, 1]));
    }
}

//! The function names of an image.
//!
//! Invariant: whatever the bytes are, a search ends and reads nothing outside them.

use alloc::vec::Vec;

/// Function names of an image, so that a fault can be told with its symbol: `count` entries of address (u32 little
/// endian, ascending) and end of name (u32, counted from the first name), then the names.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a>(&'a [u8]);

impl<'a> Symbols<'a> {
    /// Symbols in these bytes, which begin with the number of entries (u32).
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Encodes symbols; they must be sorted by address.
    pub fn encode(symbols: &[(u32, &str)]) -> Vec<u8> {
        let mut out = (symbols.len() as u32).to_le_bytes().to_vec();
        let mut end = 0u32;
        for (address, name) in symbols {
            end += name.len() as u32;
            out.extend_from_slice(&address.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
        }
        symbols.iter().for_each(|(_, name)| out.extend_from_slice(name.as_bytes()));
        out
    }

    /// The last function at or below an address, and how far into it the address lies.
    pub fn find(&self, address: u64) -> Option<(&'a str, u64)> {
        let count = self.word(0)? as usize;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if u64::from(self.word(4 + middle * 8)?) <= address {
                low = middle + 1
            } else {
                high = middle
            }
        }
        let at = low.checked_sub(1)?;
        let from = if at == 0 { 0 } else { self.word(4 + (at - 1) * 8 + 4)? as usize };
        let to = self.word(4 + at * 8 + 4)? as usize;
        let names = self.0.get(4 + count.checked_mul(8)?..)?;
        let name = core::str::from_utf8(names.get(from..to)?).ok()?;
        Some((name, address - u64::from(self.word(4 + at * 8)?)))
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.0.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::Symbols;

    #[test]
    fn an_address_finds_its_function() {
        let bytes = Symbols::encode(&[(0x1000, "start"), (0x1010, "main"), (0x2000, "end")]);
        let symbols = Symbols::new(&bytes);
        assert_eq!(symbols.find(0xfff), None);
        assert_eq!(symbols.find(0x1000), Some(("start", 0)));
        assert_eq!(symbols.find(0x1fff), Some(("main", 0xfef)));
        assert_eq!(symbols.find(0x9000), Some(("end", 0x7000)));
    }

    #[test]
    fn broken_symbols_find_nothing() {
        let bytes = Symbols::encode(&[(0x1000, "start")]);
        for length in 0..bytes.len() {
            assert_eq!(Symbols::new(&bytes[..length]).find(0x1000), None);
        }
        assert_eq!(Symbols::new(&[0xff; 40]).find(0x1000), None);
    }
}

//! Sizes as a manifest writes them: `"256K"`, `"16M"`, `"1G"`, or a number of pages.

use std::fmt;

use abi::layout::PAGE;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A number of pages; written as such, or as a size of whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages(pub u32);

/// Bytes of a size like `256K`; `None` if it is none.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let shift = match unit {
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return None,
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A size of whole MiB, in MiB.
pub fn mebibytes(text: &str) -> Option<u32> {
    let bytes = bytes(text).filter(|bytes| bytes.is_multiple_of(1 << 20))?;
    u32::try_from(bytes >> 20).ok()
}

impl<'de> Deserialize<'de> for Pages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Size)
    }
}

struct Size;

impl Visitor<'_> for Size {
    type Value = Pages;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of pages, or a size like \"256K\"")
    }

    fn visit_i64<E: Error>(self, pages: i64) -> Result<Pages, E> {
        u32::try_from(pages).map(Pages).map_err(|_| E::custom("not a number of pages"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Pages, E> {
        let bytes = bytes(text).ok_or_else(|| E::custom(format!("`{text}` is not a size")))?;
        if !bytes.is_multiple_of(PAGE) {
            return Err(E::custom(format!("`{text}` is not a size of whole pages")));
        }
        u32::try_from(bytes / PAGE).map(Pages).map_err(|_| E::custom("not a number of pages"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pages, bytes, mebibytes};

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("256K"), Some(256 << 10));
        assert_eq!(bytes(" 16 M "), Some(16 << 20));
        assert_eq!(bytes("1G"), Some(1 << 30));
        for wrong in ["", "K", "16", "16MB", "-1K", "1.5M", "99999999999999999999K", "é"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn memory_is_in_whole_mebibytes() {
        assert_eq!(mebibytes("16384K"), Some(16));
        assert_eq!(mebibytes("1G"), Some(1024));
        assert_eq!(mebibytes("100K"), None);
    }

    #[test]
    fn pages_are_numbers_or_sizes() {
        let read =
            |text: &str| toml::from_str::<toml::Table>(text).ok()?["x"].clone().try_into().ok();
        assert_eq!(read("x = 64"), Some(Pages(64)));
        assert_eq!(read("x = \"256K\""), Some(Pages(64)));
        for wrong in ["x = -1", "x = \"6K\"", "x = \"much\"", "x = true", "x = \"99999999G\""] {
            assert_eq!(read(wrong), None::<Pages>, "{wrong}");
        }
    }
}

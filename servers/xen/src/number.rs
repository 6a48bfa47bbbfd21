//! Numbers as xenstore carries them: decimal text, bounded before it is believed.
//!
//! Invariant: what is not wholly a number within the bounds is `None`. No sign, no blanks; xenstored stores what the
//! other side wrote, so anything may come.

use core::fmt::Write;

/// A decimal number of at most `most`.
#[must_use]
pub fn decimal(text: &[u8], most: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (value <= most).then_some(value)
}

/// A feature: set only if the text is `1`. An absent node is an absent feature.
#[must_use]
pub fn flag(text: Option<&[u8]>) -> bool {
    text == Some(b"1")
}

/// Six bytes in hexadecimal, parted by colons: a MAC address of one station (not a group, not all zeros).
#[must_use]
pub fn mac(text: &[u8]) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut fields = text.split(|byte| *byte == b':');
    for byte in &mut address {
        *byte = hexadecimal(fields.next()?)?;
    }
    let is_station = address[0] & 1 == 0 && address != [0; 6];
    (fields.next().is_none() && is_station).then_some(address)
}

fn hexadecimal(text: &[u8]) -> Option<u8> {
    let [high, low] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// `value` as decimal text.
#[must_use]
pub fn text(value: u64) -> heapless::String<20> {
    let mut text = heapless::String::new();
    // Twenty digits hold every u64, so there is no error to meet.
    let _ = write!(text, "{value}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_within_bounds_are_taken() {
        assert_eq!(decimal(b"0", 9), Some(0));
        assert_eq!(decimal(b"4096", 4096), Some(4096));
        assert_eq!(decimal(b"4097", 4096), None);
        assert_eq!(decimal(b"18446744073709551615", u64::MAX), Some(u64::MAX));
        for wrong in ["", "-1", "+1", " 1", "1 ", "1\0", "0x10", "18446744073709551616", "1e3"] {
            assert_eq!(decimal(wrong.as_bytes(), u64::MAX), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_feature_is_set_by_one_and_nothing_else() {
        assert!(flag(Some(b"1")));
        assert!(!flag(None));
        assert!(!flag(Some(b"0")) && !flag(Some(b"11")) && !flag(Some(b"")));
    }

    #[test]
    fn a_mac_address_is_six_bytes_of_one_station() {
        assert_eq!(mac(b"00:16:3e:0A:bc:01"), Some([0, 0x16, 0x3e, 0x0a, 0xbc, 1]));
        let wrong = [
            "",
            "00:16:3e:0a:bc",
            "00:16:3e:0a:bc:01:02",
            "0:16:3e:0a:bc:01",
            "00:16:3e:0a:bc:0g",
            "01:16:3e:0a:bc:01",
            "00:00:00:00:00:00",
            "00:16:3e:0a:bc:01\0",
        ];
        for text in wrong {
            assert_eq!(mac(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for value in [0, 7, u64::MAX] {
            assert_eq!(decimal(text(value).as_bytes(), u64::MAX), Some(value));
        }
    }
}

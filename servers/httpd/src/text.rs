//! Texts inside HTML, URLs and JSON, and numbers for people.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// `text` for HTML, inside an element or a quoted attribute.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// `text` as one name in the path of a URL.
pub fn url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `text` as a string of JSON, quotes included.
pub fn json(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => _ = write!(out, "\\u{:04x}", u32::from(control)),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A number of bytes.
pub fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", tenths(count, 1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(count, 1 << 20)),
        _ => format!("{} GiB", tenths(count, 1 << 30)),
    }
}

/// A time in nanoseconds.
pub fn duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        0 if nanoseconds < 1_000_000 => format!("{} µs", nanoseconds / 1000),
        0 => format!("{} ms", tenths(nanoseconds, 1_000_000)),
        1..60 => format!("{} s", tenths(nanoseconds, 1_000_000_000)),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `count` in units of `unit`, with one digit after the point where it says something.
fn tenths(count: u64, unit: u64) -> String {
    let (whole, part) = (count / unit, count % unit * 10 / unit);
    if part == 0 || whole >= 100 { format!("{whole}") } else { format!("{whole}.{part}") }
}

/// `text` with spaces behind it, up to `width` bytes: so that a page keeps its length while its numbers change, which
/// benchmarks and differences of two versions like.
pub fn fixed(text: &str, width: usize) -> String {
    let mut out = String::from(text);
    out.extend(core::iter::repeat_n(' ', width.saturating_sub(text.len())));
    out
}

/// A number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = format!("{number}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{bytes, duration, fixed, grouped, html, json, url};

    #[test]
    fn dangerous_characters_are_replaced() {
        assert_eq!(html("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
        assert_eq!(url("a b/ü?.txt"), "a%20b%2F%C3%BC%3F.txt");
        assert_eq!(json("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }

    #[test]
    fn changing_texts_keep_their_length() {
        assert_eq!((fixed("µs", 5).as_str(), fixed("long", 2).as_str()), ("µs  ", "long"));
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (bytes(0), bytes(1023), bytes(1536)),
            ("0 B".into(), "1023 B".into(), "1.5 KiB".into())
        );
        assert_eq!((bytes(16 << 20), bytes(5 << 30)), ("16 MiB".into(), "5 GiB".into()));
        assert_eq!((duration(1500), duration(2_500_000)), ("1 µs".into(), "2.5 ms".into()));
        assert_eq!(
            (duration(61_000_000_000), duration(3_661_000_000_000)),
            ("1 min 1 s".into(), "1 h 1 min".into())
        );
        assert_eq!(
            (grouped(7), grouped(1_234_567)),
            ("7".into(), "1\u{202f}234\u{202f}567".into())
        );
    }
}

//! Configuration from the kernel's command line: `SLOT.KEY=VALUE`, separated by spaces, so that `xl create` can change what
//! the manifest says without packing again.
//!
//! A line that comes later wins, so what is appended to a slot's configuration replaces the manifest's.

use alloc::string::String;

/// The settings for one slot, as configuration lines.
#[must_use]
pub fn lines(command_line: &str, slot: &str) -> String {
    let mut out = String::new();
    for (_, setting) in settings(command_line).filter(|(name, _)| *name == slot) {
        out.push_str(setting);
        out.push('\n');
    }
    out
}

/// The names of slots that the command line speaks of and `known` does not know.
pub fn strangers(command_line: &str, known: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
    settings(command_line).map(|(name, _)| name).filter(move |name| !known(name))
}

/// Slot and `key=value`; words of another form are the kernel's.
fn settings(command_line: &str) -> impl Iterator<Item = (&str, &str)> {
    command_line
        .split_ascii_whitespace()
        .filter_map(|word| word.split_once('.'))
        .filter(|(name, setting)| !name.contains('=') && setting.contains('='))
}

#[cfg(test)]
mod tests {
    use super::{lines, strangers};
    use std::vec::Vec;

    const LINE: &str = "quiet net.address=10.0.3.20/24 httpd.port=81  net.gateway=10.0.3.1 x=y.z=1";

    #[test]
    fn settings_go_to_their_slot() {
        assert_eq!(lines(LINE, "net"), "address=10.0.3.20/24\ngateway=10.0.3.1\n");
        assert_eq!(lines(LINE, "httpd"), "port=81\n");
        assert_eq!(lines(LINE, "x"), "");
    }

    #[test]
    fn unknown_slots_are_told() {
        let names: Vec<&str> = strangers(LINE, |name| name == "net").collect();
        assert_eq!(names, ["httpd"]);
    }
}

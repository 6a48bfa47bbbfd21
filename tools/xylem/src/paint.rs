//! The domain's console on the terminal: one colour for each server.
//!
//! Invariant: text of the domain can colour nothing and move no cursor: control characters are taken out.

use std::io::{IsTerminal, Write};

/// Prints lines of one console.
pub struct Painter {
    is_coloured: bool,
}

/// Colours that are told apart on dark and light ground.
const COLOURS: [u8; 10] = [31, 32, 33, 34, 35, 36, 91, 92, 94, 95];

impl Painter {
    /// For standard output as it is: coloured when it is a terminal and NO_COLOR is not set.
    pub fn new() -> Self {
        let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_coloured: std::io::stdout().is_terminal() && !is_refused }
    }

    /// Prints one line.
    pub fn print(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        // A closed pipe ends the reading elsewhere: here there is nothing to be done.
        let _ = writeln!(out, "{}", self.painted(line)).and_then(|()| out.flush());
    }

    fn painted(&self, line: &str) -> String {
        let line = plain(line);
        match (self.is_coloured, prefix(&line)) {
            (true, Some((server, rest))) => {
                format!("\x1b[{}m[{server}]\x1b[0m{rest}", colour(server))
            }
            _ => line,
        }
    }
}

/// A line without what a terminal would obey.
fn plain(line: &str) -> String {
    line.chars().filter(|letter| *letter == '\t' || !letter.is_control()).collect()
}

/// Parts `[server] text`.
fn prefix(line: &str) -> Option<(&str, &str)> {
    let (server, rest) = line.strip_prefix('[')?.split_once(']')?;
    let is_name = !server.is_empty()
        && server.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then_some((server, rest))
}

/// Always the same colour for the same name.
fn colour(server: &str) -> u8 {
    let sum =
        server.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLOURS.get(sum % COLOURS.len()).copied().unwrap_or(36)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_prefix_is_coloured_and_the_rest_is_not() {
        let painter = Painter { is_coloured: true };
        let text = painter.painted("[net] address 10.0.3.15");
        assert!(
            text.starts_with("\x1b[") && text.ends_with("m[net]\x1b[0m address 10.0.3.15"),
            "{text:?}"
        );
        assert_eq!(painter.painted("no prefix"), "no prefix");
        assert_eq!(painter.painted("[    0.0] Linux"), "[    0.0] Linux");
        assert_eq!(Painter { is_coloured: false }.painted("[net] x"), "[net] x");
    }

    #[test]
    fn the_domain_cannot_drive_the_terminal() {
        let painter = Painter { is_coloured: false };
        assert_eq!(painter.painted("[net] \x1b[2Jx\r\x07\u{9b}1m"), "[net] [2Jx1m");
    }

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(colour("net"), colour("net"));
    }
}

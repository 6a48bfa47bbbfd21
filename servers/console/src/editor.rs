//! The line that the operator types: echo, erasing, and the prompt.
//!
//! It knows backspace, Ctrl-C and Ctrl-U; cursor keys and what else comes as an escape sequence are swallowed.

use alloc::string::String;

use crate::state::Screen;

/// What stands before the line.
pub const PROMPT: &str = "xylem> ";
/// Most characters of a line.
const LINE: usize = 128;

const CTRL_C: u8 = 3;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const ESCAPE: u8 = 27;
const DELETE: u8 = 127;

/// What a key did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// Nothing to see.
    None,
    /// This is to be written.
    Echo(String),
    /// A line was ended.
    Line(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    Sequence,
}

/// The line under way.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    line: String,
    escape: Escape,
    was_return: bool,
    /// Whether a key was ever typed: only then there is a prompt.
    is_used: bool,
}

impl Editor {
    /// Takes a key.
    pub fn key(&mut self, key: u8) -> Key {
        if self.swallows(key) {
            return Key::None;
        }
        let first = !core::mem::replace(&mut self.is_used, true);
        let echo = self.edit(key);
        match echo {
            Key::Echo(text) if first => Key::Echo(String::from(PROMPT) + &text),
            other => other,
        }
    }

    fn edit(&mut self, key: u8) -> Key {
        match key {
            b'\r' | b'\n' => Key::Line(core::mem::take(&mut self.line)),
            BACKSPACE | DELETE => match self.line.pop() {
                Some(_) => Key::Echo(String::from("\x08 \x08")),
                None => Key::None,
            },
            CTRL_C | CTRL_U => {
                self.line.clear();
                Key::Echo(self.shown(""))
            }
            b' '..=b'~' if self.line.len() < LINE => {
                self.line.push(char::from(key));
                Key::Echo(String::from(char::from(key)))
            }
            _ => Key::None,
        }
    }

    /// Whether a key is part of an escape sequence, or the second half of a line end.
    fn swallows(&mut self, key: u8) -> bool {
        let after_return = core::mem::replace(&mut self.was_return, key == b'\r');
        let (escape, swallowed) = match (self.escape, key) {
            (_, ESCAPE) => (Escape::Begun, true),
            (Escape::Begun, b'[' | b'O') => (Escape::Sequence, true),
            (Escape::Begun, _) => (Escape::None, true),
            (Escape::Sequence, 0x40..=0x7e) => (Escape::None, true),
            (Escape::Sequence, _) => (Escape::Sequence, true),
            (Escape::None, b'\n') => (Escape::None, after_return),
            (Escape::None, _) => (Escape::None, false),
        };
        self.escape = escape;
        swallowed
    }

    /// What a successor has to know.
    pub fn save(&self, screen: &mut Screen) {
        screen.line.clone_from(&self.line);
        screen.escape = self.escape as u8;
        screen.was_return = self.was_return;
        screen.is_used = self.is_used;
    }

    /// One that goes on where another stopped.
    pub fn resume(screen: &Screen) -> Self {
        let escape = match screen.escape {
            1 => Escape::Begun,
            2 => Escape::Sequence,
            _ => Escape::None,
        };
        let line = screen.line.clone();
        Self { line, escape, was_return: screen.was_return, is_used: screen.is_used }
    }

    /// `text` in the place of the line under way, which follows again.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        let mut out = String::new();
        if self.is_used {
            out.push_str("\r\x1b[K");
        }
        out.push_str(text);
        if self.is_used {
            out.push_str(PROMPT);
            out.push_str(&self.line);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Editor, Key};
    use std::string::String;
    use std::vec::Vec;

    fn lines(keys: &[u8]) -> Vec<String> {
        let mut editor = Editor::default();
        let typed = keys.iter().filter_map(|key| match editor.key(*key) {
            Key::Line(line) => Some(line),
            _ => None,
        });
        typed.collect()
    }

    #[test]
    fn lines_end_with_any_line_end() {
        assert_eq!(lines(b"ps\rlog 3\nhelp\r\n\r"), ["ps", "log 3", "help", ""]);
    }

    #[test]
    fn mistakes_can_be_erased() {
        assert_eq!(lines(b"px\x7fs\r"), ["ps"]);
        assert_eq!(lines(b"\x7f\x08garbage\x15ps\rmore\x03ps\r"), ["ps", "ps"]);
    }

    #[test]
    fn cursor_keys_do_nothing() {
        assert_eq!(lines(b"\x1b[Ap\x1b[1;5Cs\x1bOP\r"), ["ps"]);
    }

    #[test]
    fn lines_and_keys_have_limits() {
        let mut keys = Vec::from([b'x'; 1000]);
        keys.extend_from_slice("\0\x01é\r".as_bytes());
        assert_eq!(lines(&keys)[0].len(), 128);
    }

    #[test]
    fn there_is_no_prompt_before_the_first_key() {
        let mut editor = Editor::default();
        assert_eq!(editor.shown("line\n"), "line\n");
        assert_eq!(editor.key(b'p'), Key::Echo(String::from("xylem> p")));
        assert_eq!(editor.key(b's'), Key::Echo(String::from("s")));
        assert_eq!(editor.shown("line\n"), "\r\x1b[Kline\nxylem> ps");
    }
}

//! The domain's console: what `log` writes goes out, what the operator types is done.
//!
//! Invariant: nothing waits for the console. While its backend reads, output that finds no room stays in its writers' rings.
//! When it takes nothing for [`PATIENCE`], output is dropped (the last lines are kept for `log`), and
//! what was dropped is told when somebody reads again. A backend that contradicts itself is not used any more.
//!
//! Until the first key there is no prompt, so that a console that is only read has lines and nothing else. It has no
//! users, no permissions and no scripts: who can type here can do all that it offers.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod editor;
mod history;
mod shell;
mod state;
mod swap;
mod table;
mod terminal;

pub use ipc::console::Source;
pub use shell::{Operator, Shell};
pub use state::{Line, Saved, Screen, Waiting};
pub use swap::Swapped;
pub use terminal::{PATIENCE, Terminal};

use alloc::string::String;
use alloc::vec::Vec;

use abi::Traps;
use editor::{Editor, Key};
use history::History;
use ipc::state::{Full, Writer};

/// Most keys in a turn: a ring of them.
const KEYS: usize = 1024;
/// Most lines in a turn.
const LINES: usize = 64;

/// When the next turn is due without a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// When a bit comes.
    Bit,
    /// At this time, in nanoseconds since boot.
    At(u64),
}

/// The console.
#[derive(Debug)]
pub struct Console<T, O> {
    terminal: Terminal<T>,
    sources: Vec<Source>,
    shell: Shell<O>,
    editor: Editor,
    history: History,
}

impl<T: Traps, O: Operator> Console<T, O> {
    /// A console with these writers, whose shell works for `operator`.
    pub fn new(terminal: Terminal<T>, sources: Vec<Source>, operator: O) -> Self {
        Self {
            terminal,
            sources,
            shell: Shell::new(operator),
            editor: Editor::default(),
            history: History::default(),
        }
    }

    /// One turn at the time `now`: keys in, lines out, as much as there is and as fits.
    pub fn turn(&mut self, traps: &impl Traps, now: u64) -> Next {
        self.terminal.begin(now);
        self.keys();
        let is_done = self.lines(traps);
        self.terminal.finish(now);
        if is_done { self.terminal.next() } else { Next::At(1) }
    }

    /// Writes the state for a successor.
    ///
    /// # Errors
    /// There is no room.
    pub fn save(&self, to: &mut Writer) -> Result<(), Full> {
        let mut screen = Screen {
            line: String::new(),
            escape: 0,
            was_return: false,
            is_used: false,
            has_ring: false,
            room: 0,
            full_since: None,
            is_unread: false,
            dropped: 0,
        };
        self.editor.save(&mut screen);
        let waiting = self.terminal.save(&mut screen);
        state::write(to, &screen, self.history.last(usize::MAX), waiting)
    }

    /// Goes on where another console stopped.
    pub fn resume(&mut self, saved: Saved) {
        self.editor = Editor::resume(&saved.screen);
        saved.lines.iter().for_each(|line| self.history.keep(line));
        self.terminal.resume(&saved.screen, saved.waiting);
    }

    /// Takes what was typed.
    fn keys(&mut self) {
        let mut keys = [0; KEYS];
        let count = self.terminal.read(&mut keys);
        for &byte in keys.get(..count).unwrap_or_default() {
            match self.editor.key(byte) {
                Key::None => {}
                Key::Echo(text) => self.terminal.push(text.as_str()),
                Key::Line(line) => self.run(&line),
            }
        }
    }

    fn run(&mut self, line: &str) {
        let mut out = String::from("\n");
        self.shell.run(line, &self.history, &mut out);
        out.push_str(editor::PROMPT);
        self.terminal.push(&out);
    }

    /// Moves lines of the writers to the terminal, while it has room. Says whether no more can be done in this turn.
    fn lines(&mut self, traps: &impl Traps) -> bool {
        for _ in 0..LINES {
            if !self.terminal.takes() {
                return true;
            }
            let Some(line) = self.sources.iter_mut().find_map(|source| source.line(traps)) else {
                return true;
            };
            self.history.keep(&line);
            self.terminal.push_line(&line, &self.editor);
        }
        false
    }
}

//! What the operator may ask for.

use alloc::string::String;
use core::fmt::Write;

use abi::kernel::control::Shutdown;
use ipc::manage::Action;
use ipc::status::Snapshot;

use crate::history::History;
use crate::swap;
use crate::table;

/// Lines of `log` when no number is given.
const LOG_LINES: usize = 20;

const HELP: &str = "\
help            this text
ps              the servers and what they use
ps objects      what they hold of the kernel's objects, and the most that they may hold
log [N]         the last N lines (20)
uptime          how long the domain runs
restart NAME    end a server and start it again
stop NAME       end a server for good
start NAME      start a server that was stopped
kill NAME       end a server as a fault would
swap NAME [IMAGE]  put a new server in the place of the one that runs, of the same image or another
swapped NAME    what became of the last swap of a server
shutdown        end the domain; `shutdown reboot` starts it again
";

/// Who does what the shell is told.
pub trait Operator {
    /// The state of the system.
    fn snapshot(&mut self) -> Option<Snapshot>;
    /// Does something to the server of a slot; says whether that was done.
    fn act(&mut self, slot: u16, action: Action) -> bool;
    /// Begins to swap the server of a slot for one of an image, by its hash (0: the same).
    ///
    /// # Errors
    /// Why not.
    fn swap(&mut self, slot: u16, image: u64) -> Result<(), &'static str>;
    /// The last swap of a slot.
    fn swapped(&mut self, slot: u16) -> Option<swap::Swapped>;
    /// Ends the domain; says whether that will be done.
    fn shutdown(&mut self, reason: Shutdown) -> bool;
}

/// The shell.
#[derive(Clone, Debug)]
pub struct Shell<O> {
    operator: O,
}

impl<O: Operator> Shell<O> {
    /// A shell that works through `operator`.
    pub const fn new(operator: O) -> Self {
        Self { operator }
    }

    /// Does what a line says, and writes what there is to say of it.
    pub(crate) fn run(&mut self, line: &str, history: &History, out: &mut String) {
        let mut words = line.split_ascii_whitespace();
        let (command, argument) = (words.next(), words.next());
        let image = if command == Some("swap") { words.next() } else { None };
        if words.next().is_some() {
            out.push_str("too many words; `help` tells what there is\n");
            return;
        }
        match (command, argument) {
            (None, _) => {}
            (Some("help"), None) => out.push_str(HELP),
            (Some("ps"), None) => self.with_snapshot(out, table::servers),
            (Some("ps"), Some("objects")) => self.with_snapshot(out, table::objects),
            (Some("uptime"), None) => self.with_snapshot(out, table::uptime),
            (Some("log"), count) => log(count, history, out),
            (Some("restart"), Some(name)) => self.act(name, Action::Restart, out),
            (Some("stop"), Some(name)) => self.act(name, Action::Stop, out),
            (Some("start"), Some(name)) => self.act(name, Action::Start, out),
            (Some("kill"), Some(name)) => self.act(name, Action::Kill, out),
            (Some("swap"), Some(name)) => self.swap(name, image, out),
            (Some("swapped"), Some(name)) => self.swapped(name, out),
            (Some("shutdown"), None) => self.shutdown(Shutdown::Poweroff, out),
            (Some("shutdown"), Some("reboot")) => self.shutdown(Shutdown::Reboot, out),
            (Some(other), _) => {
                let _ = writeln!(out, "no such command: {other}; `help` tells what there is");
            }
        }
    }

    fn with_snapshot(&mut self, out: &mut String, write: impl FnOnce(&Snapshot, &mut String)) {
        match self.operator.snapshot() {
            Some(snapshot) => write(&snapshot, out),
            None => out.push_str("the supervisor gave no answer\n"),
        }
    }

    /// The slot of this name; says if there is none.
    fn slot(&mut self, name: &str, out: &mut String) -> Option<u16> {
        let Some(snapshot) = self.operator.snapshot() else {
            out.push_str("the supervisor gave no answer\n");
            return None;
        };
        let slot = snapshot.servers.iter().position(|server| server.name == name);
        if slot.is_none() {
            let _ = writeln!(out, "no server is called {name}; `ps` lists them");
        }
        slot.map(|slot| slot as u16)
    }

    fn act(&mut self, name: &str, action: Action, out: &mut String) {
        let Some(slot) = self.slot(name, out) else { return };
        let _ = if self.operator.act(slot, action) {
            writeln!(out, "{name} {}", words(action).0)
        } else {
            writeln!(out, "{name} cannot be {}", words(action).1)
        };
    }

    fn swap(&mut self, name: &str, image: Option<&str>, out: &mut String) {
        let Some(slot) = self.slot(name, out) else { return };
        let _ = match self.operator.swap(slot, image.map_or(0, abi::hash::text)) {
            Ok(()) => {
                writeln!(out, "{name} is being swapped; `swapped {name}` tells what becomes of it")
            }
            Err(why) => writeln!(out, "{name} is not swapped: {why}"),
        };
    }

    fn swapped(&mut self, name: &str, out: &mut String) {
        let Some(slot) = self.slot(name, out) else { return };
        match self.operator.swapped(slot) {
            Some(swapped) => swapped.tell(name, out),
            None => out.push_str("the supervisor gave no answer\n"),
        }
    }

    fn shutdown(&mut self, reason: Shutdown, out: &mut String) {
        out.push_str(if self.operator.shutdown(reason) {
            "the domain ends\n"
        } else {
            "the supervisor refused\n"
        });
    }
}

/// What was done, and what could not be.
const fn words(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Restart => ("starts again", "restarted"),
        Action::Stop => ("is stopped", "stopped"),
        Action::Start => ("is started", "started"),
        Action::Kill | Action::KillWithNull => ("is killed", "killed"),
    }
}

fn log(count: Option<&str>, history: &History, out: &mut String) {
    let Ok(count) = count.map_or(Ok(LOG_LINES), str::parse) else {
        out.push_str("log wants a number of lines\n");
        return;
    };
    history.last(count).for_each(|line| out.push_str(line));
}

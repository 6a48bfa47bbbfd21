//! What the operator may ask for.

use alloc::string::String;
use core::fmt::Write;

use abi::kernel::control::Shutdown;
use ipc::status::Snapshot;

use crate::history::History;
use crate::table;

/// Lines of `log` when no number is given.
const LOG_LINES: usize = 20;

const HELP: &str = "\
help            this text
ps              the servers and what they use
ps objects      what they hold of the kernel's objects, and the most that they may hold
log [N]         the last N lines (20)
uptime          how long the domain runs
restart NAME    kill a server and start it again
shutdown        end the domain; `shutdown reboot` starts it again
";

/// Who does what the shell is told.
pub trait Operator {
    /// The state of the system.
    fn snapshot(&mut self) -> Option<Snapshot>;
    /// Starts the server of a slot again; says whether that was done.
    fn restart(&mut self, slot: u16) -> bool;
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
            (Some("restart"), Some(name)) => self.restart(name, out),
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

    fn restart(&mut self, name: &str, out: &mut String) {
        let Some(snapshot) = self.operator.snapshot() else {
            out.push_str("the supervisor gave no answer\n");
            return;
        };
        let slot = snapshot.servers.iter().position(|server| server.name == name);
        let _ = match slot {
            None => writeln!(out, "no server is called {name}; `ps` lists them"),
            Some(slot) if self.operator.restart(slot as u16) => {
                writeln!(out, "{name} starts again")
            }
            Some(_) => writeln!(out, "{name} cannot be restarted"),
        };
    }

    fn shutdown(&mut self, reason: Shutdown, out: &mut String) {
        out.push_str(if self.operator.shutdown(reason) {
            "the domain ends\n"
        } else {
            "the supervisor refused\n"
        });
    }
}

fn log(count: Option<&str>, history: &History, out: &mut String) {
    let Ok(count) = count.map_or(Ok(LOG_LINES), str::parse) else {
        out.push_str("log wants a number of lines\n");
        return;
    };
    history.last(count).for_each(|line| out.push_str(line));
}

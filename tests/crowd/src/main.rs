//! Several vCPUs, and accounts: it takes the place of the supervisor, makes servers of its own code on all vCPUs, lets them call and notify
//! one another, and kills them meanwhile. `crowd=NAME` on the command line says which act is played ([`acts`]).
//!
//! An act that finds all as it must be ends with the line `crowd: NAME holds`; one that does not, with `crowd: failed: WHY`.
//! Then the domain ends. The system's other servers are never started: they are there for their share of the kernel's objects.
#![cfg_attr(xylem_user, no_std, no_main)]

mod acts;
mod board;
mod roles;
mod stage;

use core::fmt::Arguments;

use abi::kernel::control::Shutdown;

ipc::wiring! {
    serves { 0 => ipc::supervisor }
    clients 64;
    stack 16;
    heap 16;
}

/// Prints a line.
pub fn tell(line: Arguments<'_>) {
    rt::debug(rt::log::Line::new(line).bytes());
}

/// Ends the domain.
pub fn end() -> ! {
    loop {
        let _ = stage::control().domain_shutdown(Shutdown::Poweroff);
    }
}

/// Ends the domain because something is not as it must be.
pub fn fail(why: Arguments<'_>) -> ! {
    tell(format_args!("crowd: failed: {why}"));
    end()
}

/// A word of the command line that begins with `key`, without it.
fn word(key: &str) -> Option<&'static str> {
    rt::boot().command_line.split_whitespace().find_map(|word| word.strip_prefix(key))
}

/// How often an act is repeated, if the command line says so.
pub fn rounds(default: u64) -> u64 {
    word("rounds=").and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn run() -> ! {
    let stage = stage::Stage::new();
    let name = word("crowd=").unwrap_or("none");
    tell(format_args!("crowd: {name} on {} vCPUs", stage.vcpus));
    match acts::ACTS.iter().find(|(act, _)| *act == name) {
        Some((_, act)) => act(&stage),
        None => fail(format_args!("no act is called {name}")),
    }
    stage.tell_contention();
    tell(format_args!("crowd: {name} holds"));
    end()
}

rt::main!(run; root);

//! Asks of the kernel what no server should, one trial after the other, in the place of the supervisor.
//!
//! Each trial ends with the line `trial: NAME: ok`, or names what was not as it must be; then the domain ends. The servers of
//! the trials are made of this one's code; the system's others are never started, they are there for their share of objects.
#![cfg_attr(xylem_user, no_std, no_main)]

mod edges;
mod handles;
mod roles;
mod servers;
mod tokens;
mod turns;

use core::fmt::Arguments;

use abi::kernel::control::{Access, SUPERVISOR_SERVER, Shutdown};
use abi::layout::SHARED;

use servers::{control, map, region};

ipc::wiring! {
    serves { 0 => ipc::supervisor, 1 => ipc::operator }
    clients 128;
    stack 16;
    heap 16;
}

/// What a trial may find.
type Verdict = Result<(), &'static str>;
/// A trial; it is told the region that all share.
type Trial = (&'static str, fn(u16) -> Verdict);

const TRIALS: [Trial; 11] = [
    ("a-token-answers-once", tokens::once),
    ("a-token-is-its-servers-alone", tokens::forged),
    ("a-cancelled-call-has-another-token", tokens::cancelled),
    ("a-client-dies-in-the-queue", tokens::queue),
    ("a-client-dies-three-calls-deep", tokens::deep),
    ("a-server-dies-under-a-chain", tokens::chain),
    ("sixty-tokens-out-of-order", tokens::sixty),
    ("addresses-at-the-edge", edges::addresses),
    ("wild-stacks-and-events", edges::wild),
    ("every-handle-with-every-trap", handles::every),
    ("a-spinner-before-an-answered-client", turns::middle),
];

/// Trials of sharing, which take longer.
const LONG: [Trial; 2] = [("a-flood-of-bits-and-of-calls", turns::floods), ("seals", edges::seals)];

/// Prints a line.
pub fn tell(line: Arguments<'_>) {
    rt::debug(rt::log::Line::new(line).bytes());
}

/// Ends the domain.
pub fn end() -> ! {
    loop {
        let _ = control().domain_shutdown(Shutdown::Poweroff);
    }
}

/// Good, or what is not.
pub fn only(good: bool, otherwise: &'static str) -> Verdict {
    if good { Ok(()) } else { Err(otherwise) }
}

fn run() -> ! {
    let board = region(1);
    map(SUPERVISOR_SERVER, board, SHARED, (0, 1), Access::Write);
    for (name, trial) in TRIALS.into_iter().chain(LONG) {
        match trial(board) {
            Ok(()) => tell(format_args!("trial: {name}: ok")),
            Err(what) => tell(format_args!("trial: {name}: failed: {what}")),
        }
    }
    end()
}

rt::main!(run; root);

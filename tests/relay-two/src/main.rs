//! The relay, with the second layout of its state.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use relay::{Layout, Relay};

ipc::wiring! {
    serves { 0 => relay::protocol }
    clients 80;
    needs { log: ipc::log }
    stack 8;
    heap 32;
    state { relay::state::Counters, relay::state::CountersTwo, relay::state::Held }
}

fn run() -> ! {
    rt::serve(
        || Relay::new(rt::Trap, Layout::Two),
        |state| Relay::adopt(rt::Trap, Layout::Two, state),
    )
}

rt::main!(run);

//! The relay, with the first layout of its state.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use relay::{Layout, Relay};

ipc::wiring! {
    serves { 0 => relay::protocol }
    clients 80;
    needs { log: ipc::log }
    stack 8;
    heap 32;
    state { relay::state::Counters, relay::state::Held }
}

fn run() -> ! {
    rt::serve(
        || Relay::new(rt::Trap, Layout::One),
        |state| Relay::adopt(rt::Trap, Layout::One, state),
    )
}

rt::main!(run);

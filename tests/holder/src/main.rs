//! A client of the relay that judges every answer. Configuration `does`: `hold` (the default) lets calls be held, one after the
//! other; `count` calls flat out, and looks that none of its calls was lost or done twice; `nothing`.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::Traps;
use relay::protocol::{Client, answer};

ipc::wiring! {
    needs { log: ipc::log, relay: relay::protocol }
    stack 4;
    heap 2;
}

fn relay() -> Client<rt::Trap> {
    Client::new(rt::Trap, wiring::relay.handle)
}

/// Lets a call be held, again and again.
fn hold() -> ! {
    let mut word = u64::from(rt::start().header.slot) << 32;
    loop {
        word += 1;
        let held = relay().hold(word);
        if held != Ok(answer(word)) {
            rt::log!("holder: {held:?} instead of {}", answer(word));
        }
        while relay().judge(held == Ok(answer(word))).is_err() {}
    }
}

/// Calls flat out.
fn count() -> ! {
    let mut own = 0;
    loop {
        own += 1;
        let counted = relay().count();
        if counted != Ok(own) {
            rt::log!("holder: {counted:?} instead of {own}");
            let _ = relay().judge(false);
            own = counted.unwrap_or(0);
        }
    }
}

fn run() -> ! {
    let _ = ipc::supervisor::Client::new(rt::Trap, abi::Handle::SUPERVISOR).ready();
    match rt::start().config("does") {
        Some("count") => count(),
        Some("nothing") => loop {
            rt::Trap.reply_wait(None);
        },
        _ => hold(),
    }
}

rt::main!(run);

//! Swaps the relay as its configuration says (`act`), and judges what became of it.
//!
//! An act that finds all as it must be ends with the line `swapper: ACT holds`; one that does not, with `swapper: failed: WHY`.
//! Then the domain ends.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

mod acts;
mod stage;

ipc::wiring! {
    needs { log: ipc::log, relay: relay::protocol, operator: ipc::operator }
    stack 8;
    heap 8;
}

fn run() -> ! {
    let _ = ipc::supervisor::Client::new(rt::Trap, abi::Handle::SUPERVISOR).ready();
    let act = rt::start().config("act").unwrap_or("tokens");
    let judged = match act {
        "tokens" => acts::tokens(),
        "loop" => acts::commits(),
        "bad" => acts::bad(),
        "log" => acts::log(),
        _ => Err("there is no such act"),
    };
    match judged {
        Ok(()) => rt::log!("swapper: {act} holds"),
        Err(why) => rt::log!("swapper: failed: {why}"),
    }
    stage::end()
}

rt::main!(run);

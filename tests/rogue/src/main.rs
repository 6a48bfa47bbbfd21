//! A server that misbehaves as its configuration says: `act=NAME`, one act of [`acts::ACTS`].
//!
//! It is the one place outside the four addresses where unsafe code may stand, since breaking rules is its purpose. It is
//! never part of a product's image. An act that the kernel must stop never returns; one that it must survive ends with the
//! line `rogue: survived NAME`, and the server then waits for ever.
#![cfg_attr(xylem_user, no_std, no_main)]

mod acts;
mod fuzz;
mod raw;

ipc::wiring! {
    needs { log: ipc::log, status: ipc::status }
    stack 16;
    heap 16;
}

fn run() -> ! {
    use abi::Traps;
    let start = rt::start();
    let name = start.config("act").unwrap_or("none");
    match acts::ACTS.iter().find(|(act, _)| *act == name) {
        Some((_, act)) => {
            act();
            rt::log!("rogue: survived {name}");
        }
        None => rt::log!("rogue: no act is called {name}"),
    }
    // Whoever waits for the end of the acts learns that this one is over.
    let _ = ipc::supervisor::Client::new(rt::Trap, abi::Handle::SUPERVISOR).ready();
    loop {
        rt::Trap.reply_wait(None);
    }
}

rt::main!(run);

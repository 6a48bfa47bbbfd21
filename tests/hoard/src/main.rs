//! A server that keeps a number over its crashes, and dies until it has begun three times; and one that makes it die, stops it
//! and starts it. Configuration `does`: `keep` or `ward`.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::Traps;
use abi::kernel::control::Shutdown;
use ipc::operator::Way;
use shared::record::Record;

ipc::wiring! {
    needs { log: ipc::log, operator: ipc::operator optional }
    stack 8;
    heap 8;
    keep 2 pages;
}

/// What the record is, for those who read it.
const SCHEMA: u64 = abi::hash::text("hoard 1");
const SECOND: u64 = 1_000_000_000;

/// Counts this beginning, tells of it, and dies if it is one of the first two.
fn keep() -> ! {
    let mut record = Record::open(rt::keep(), SCHEMA);
    let mut bytes = [0; 8];
    let found = record.read(&mut bytes).map(|()| u64::from_le_bytes(bytes));
    let number = rt::start().header.incarnation;
    rt::log!("hoard: beginning {number} is {:?}, and finds {found:?}", rt::beginning());
    let count = found.map_or(0, |count| count + 1);
    let _ = record.write(&count.to_le_bytes());
    if count < 2 {
        rt::exit(7);
    }
    rest()
}

fn rest() -> ! {
    loop {
        rt::Trap.reply_wait(None);
    }
}

/// Waits until `seconds` from now.
fn wait(seconds: u64) {
    let until = rt::clock::now() + seconds * SECOND;
    while rt::clock::now() < until {
        rt::timer(until);
        rt::Trap.reply_wait(None);
    }
}

fn ward() -> ! {
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    let slot = rt::start().config("slot").and_then(|slot| slot.parse().ok()).unwrap_or(0);
    wait(1);
    for _ in 0..2 {
        rt::log!("ward: kills it");
        let _ = operator.kill(slot, Way::AtOnce);
        wait(2);
    }
    wait(3);
    rt::log!("ward: stops it");
    let _ = operator.stop(slot);
    let _ = operator.start(slot);
    wait(5);
    let _ = operator.shutdown(Shutdown::Poweroff);
    rest()
}

fn run() -> ! {
    let _ = ipc::supervisor::Client::new(rt::Trap, abi::Handle::SUPERVISOR).ready();
    match rt::start().config("does") {
        Some("ward") => ward(),
        _ => keep(),
    }
}

rt::main!(run);

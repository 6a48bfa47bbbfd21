//! A good server beside bad ones: it calls the supervisor and takes its timer every `period_ms`, at least `beats` times and
//! until no other server is starting: each has said that it is ready, or is dead for good. Then it says how it fared and ends
//! the domain.
//!
//! `witness: alive, N beats` means that every call was answered rightly. It does not judge how late a beat was: the
//! emulator's clock says nothing.
#![cfg_attr(xylem_user, no_std, no_main)]

use ipc::status::{Snapshot, State};

ipc::wiring! {
    needs { log: ipc::log, status: ipc::status, operator: ipc::operator }
    stack 16;
    heap 64;
}

/// The slot that it fills.
const NAME: &str = "witness";

fn number(key: &str, default: u64) -> u64 {
    rt::start().config(key).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The state of the system; none if the answer is wrong.
fn ask() -> Option<Snapshot> {
    let memory = rt::need(wiring::status).down;
    let client = ipc::status::Client::new(rt::Trap, wiring::status.handle);
    let snapshot = Snapshot::read(memory, client.snapshot().ok()?)?;
    snapshot.servers.iter().any(|server| server.name == NAME).then_some(snapshot)
}

/// Whether another server is still at what it was started for.
fn is_starting(snapshot: &Snapshot) -> bool {
    let mut others = snapshot.servers.iter().filter(|server| server.name != NAME);
    others.any(|server| matches!(server.state, State::Starting | State::Down))
}

/// Waits until the timer rings.
fn sleep(nanoseconds: u64) {
    use abi::Traps;
    rt::timer(rt::clock::now() + nanoseconds);
    while rt::Trap.reply_wait(None).bits & abi::trap::BIT_TIMER == 0 {}
}

fn run() -> ! {
    use abi::Traps;
    let (least, period) = (number("beats", 100), number("period_ms", 10) * 1_000_000);
    let (mut beats, mut failures, mut has_more) = (0u64, 0u64, true);
    while beats < least || has_more {
        sleep(period);
        let snapshot = ask();
        failures += u64::from(snapshot.is_none());
        has_more = snapshot.is_none_or(|snapshot| is_starting(&snapshot));
        beats += 1;
    }
    if failures == 0 {
        rt::log!("witness: alive, {beats} beats");
    } else {
        rt::log!("witness: {failures} of {beats} calls went wrong");
    }
    sleep(200_000_000);
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    let _ = operator.shutdown(abi::kernel::control::Shutdown::Poweroff);
    loop {
        rt::Trap.reply_wait(None);
    }
}

rt::main!(run);

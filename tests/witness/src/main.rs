//! A good server beside bad ones: it calls the supervisor and takes its timer, `beats` times every `period_ms`, then says how
//! it fared and ends the domain.
//!
//! `witness: alive, N beats` means that every call was answered rightly. It does not judge how late a beat was: the
//! emulator's clock says nothing.
#![cfg_attr(xylem_user, no_std, no_main)]

ipc::wiring! {
    needs { log: ipc::log, status: ipc::status, operator: ipc::operator }
    stack 16;
    heap 64;
}

fn number(key: &str, default: u64) -> u64 {
    rt::start().config(key).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Asks for the state of the system; false if the answer is wrong.
fn ask() -> bool {
    let memory = rt::need(wiring::status).down;
    let client = ipc::status::Client::new(rt::Trap, wiring::status.handle);
    let Ok(length) = client.snapshot() else { return false };
    ipc::status::Snapshot::read(memory, length)
        .is_some_and(|snapshot| snapshot.servers.iter().any(|server| server.name == "witness"))
}

fn run() -> ! {
    use abi::Traps;
    use abi::trap::BIT_TIMER;
    let (beats, period) = (number("beats", 100), number("period_ms", 10) * 1_000_000);
    let mut failures = 0u64;
    for _ in 0..beats {
        rt::timer(rt::clock::now() + period);
        while rt::Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
        failures += u64::from(!ask());
    }
    if failures == 0 {
        rt::log!("witness: alive, {beats} beats");
    } else {
        rt::log!("witness: {failures} of {beats} calls went wrong");
    }
    rt::timer(rt::clock::now() + 200_000_000);
    while rt::Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    let _ = operator.shutdown(abi::kernel::control::Shutdown::Poweroff);
    loop {
        rt::Trap.reply_wait(None);
    }
}

rt::main!(run);

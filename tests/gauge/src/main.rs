//! Measures time: what a slot with a budget gets of it, how late a wake-up is, how often an idle domain is interrupted.
//!
//! `role` says what: `share` spins below the slot `of` and compares what that paid for with its budget, `wakes` takes its timer
//! again and again, `idle` waits once, `weights` judges what a scheduler gives its children. All but `wakes` end the domain. Figures are printed and only wide bounds are
//! judged: time in an emulator is not what it would be.
#![cfg_attr(xylem_user, no_std, no_main)]

mod weights;

use abi::Traps;
use abi::kernel::control::Shutdown;
use abi::trap::BIT_TIMER;
use ipc::status::Snapshot;
use rt::clock::now;

ipc::wiring! {
    needs { log: ipc::log, status: ipc::status, operator: ipc::operator, scheduler: ipc::scheduler optional }
    stack 16;
    heap 64;
}

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

fn number(key: &str, default: u64) -> u64 {
    rt::start().config(key).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// How long is measured, in nanoseconds.
fn length() -> u64 {
    number("seconds", 10) * 1_000 * MS
}

fn sleep_until(deadline: u64) {
    rt::timer(deadline);
    while rt::Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
}

fn snapshot() -> Option<Snapshot> {
    let memory = rt::need(wiring::status).down;
    let client = ipc::status::Client::new(rt::Trap, wiring::status.handle);
    Snapshot::read(memory, client.snapshot().ok()?)
}

/// What a slot paid for and what it was granted so far; 0 if there is no such slot.
fn account(slot: &str) -> (u64, u64) {
    let servers = snapshot().map(|snapshot| snapshot.servers).unwrap_or_default();
    let server = servers.iter().find(|server| server.name == slot);
    server.map_or((0, 0), |server| (server.paid, server.granted))
}

/// Spins until `end`; returns the longest time for which others ran.
fn spin(end: u64) -> u64 {
    let (mut before, mut longest) = (now(), 0);
    while before < end {
        let at = now();
        longest = longest.max(at.saturating_sub(before));
        before = at;
    }
    longest
}

fn share() {
    let slot = rt::start().config("of").unwrap_or_default();
    let (budget, period) = (number("budget_us", 0) * US, number("period_us", 1) * US);
    let (start, before) = (now(), account(slot));
    let mut gap = spin(start + length());
    let spent = || {
        let (paid, granted) = account(slot);
        (paid - before.0, granted - before.1)
    };
    // An emulator that stood still while the slot ran makes it overdraw, which is paid back before it runs again.
    let is_overdrawn = || spent().0 > spent().1 + budget;
    while is_overdrawn() && now() < start + 2 * length() {
        gap = gap.max(spin(now() + 10 * MS));
    }
    let ((paid, granted), time) = (spent(), now() - start);
    let full = time / period * budget;
    let off = |other: u64| paid.abs_diff(other) * 1000 / other.max(1);
    rt::log!(
        "gauge: {slot} paid {} us, was granted {} us, could have {} us in {} ms: off by {} and {} per mille",
        paid / US,
        granted / US,
        full / US,
        time / MS,
        off(granted),
        off(full)
    );
    let bound = (gap.div_ceil(period) + 1) * budget;
    rt::log!("gauge: nobody below ran for {} us, bound {} us", gap / US, bound / US);
    let most = number("most_per_mille", 20);
    if off(granted) <= most && paid <= full + 2 * budget && paid >= full / 2 {
        rt::log!("gauge: the share is kept within {most} per mille");
    }
    sleep_until(now() + 1_000 * MS);
    end();
}

fn wakes() {
    let mut late = [0u64; 2000];
    let (end, period) = (now() + length(), number("period_us", 5_000) * US);
    let mut count = 0;
    for place in &mut late {
        let deadline = now() + period;
        if deadline > end {
            break;
        }
        sleep_until(deadline);
        *place = now().saturating_sub(deadline);
        count += 1;
    }
    let late = late.get_mut(..count).unwrap_or_default();
    late.sort_unstable();
    let at = |thousandths: usize| late.get(count * thousandths / 1000).map_or(0, |late| late / US);
    let most = late.last().map_or(0, |late| late / US);
    rt::log!(
        "gauge: {count} wake-ups, late by {} us p50, {} us p99, {most} us max",
        at(500),
        at(990)
    );
    if count as u64 >= number("least", 1) {
        rt::log!("gauge: woken often enough");
    }
    loop {
        rt::Trap.reply_wait(None);
    }
}

fn idle() {
    // Whoever starts has started by then.
    sleep_until(now() + 1_000 * MS);
    let before = snapshot().map_or(0, |snapshot| snapshot.upcalls);
    sleep_until(now() + length());
    let upcalls = snapshot().map_or(u64::MAX, |snapshot| snapshot.upcalls) - before;
    rt::log!("gauge: {upcalls} interrupts in {} s", number("seconds", 10));
    // The one that ends the wait, which may come a little early and again, and one that was armed before.
    if upcalls <= 5 {
        rt::log!("gauge: an idle domain is left alone");
    }
    sleep_until(now() + 200 * MS);
    end();
}

fn end() {
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    let _ = operator.shutdown(Shutdown::Poweroff);
    loop {
        rt::Trap.reply_wait(None);
    }
}

fn run() -> ! {
    match rt::start().config("role") {
        Some("share") => share(),
        Some("wakes") => wakes(),
        Some("weights") => {
            weights::judge();
            end();
        }
        _ => idle(),
    }
    loop {
        rt::Trap.reply_wait(None);
    }
}

rt::main!(run);

//! Judges a scheduler: whether the shares of its children (`of`) follow their weights, whether one that it stops stands still,
//! and whether it can touch a server (`stranger`) that is none of its children.

use abi::CallError;
use ipc::scheduler::{Client, Error};

use crate::{MS, account, number, sleep_until, snapshot, wiring};
use rt::clock::now;

/// Children that can be judged.
const MOST: usize = 4;

/// The children, by name, and how many they are.
fn children() -> impl Iterator<Item = &'static str> + Clone {
    rt::start().config("of").unwrap_or_default().split(',').take(MOST)
}

fn slot(name: &str) -> u16 {
    let servers = snapshot().map(|snapshot| snapshot.servers).unwrap_or_default();
    servers.iter().position(|server| server.name == name).unwrap_or(usize::from(u16::MAX)) as u16
}

fn scheduler() -> Client<rt::Trap> {
    Client::new(rt::Trap, wiring::scheduler.handle)
}

/// What each child paid for in some time.
fn paid(time: u64) -> [u64; MOST] {
    let mut paid = [0; MOST];
    let told = |paid: &mut [u64; MOST]| {
        for (place, name) in paid.iter_mut().zip(children()) {
            *place = account(name).0 - *place;
        }
    };
    told(&mut paid);
    sleep_until(now() + time);
    told(&mut paid);
    paid
}

/// Compares what the children paid for with their weights.
fn shares(weights: &str, time: u64) {
    let paid = paid(time);
    let weight = || weights.split(',').map(|weight| weight.parse::<u64>().unwrap_or(0));
    let (all, whole) = (paid.iter().sum::<u64>().max(1), weight().sum::<u64>().max(1));
    let mut worst = 0;
    for ((paid, weight), name) in paid.into_iter().zip(weight()).zip(children()) {
        let due = all * weight / whole;
        let off = paid.abs_diff(due) * 1000 / due.max(1);
        rt::log!(
            "gauge: {name} of weight {weight} paid {} us, off by {off} per mille",
            paid / 1000
        );
        worst = worst.max(off);
    }
    if worst <= 30 && all * 2 > time {
        rt::log!("gauge: shares follow the weights {weights} within 30 per mille");
    }
}

/// Stops the first child, and lets it go on.
fn stops() {
    let Some(name) = children().next() else { return };
    let stopped = scheduler().weigh(slot(name), 0);
    let [still, ..] = paid(500 * MS);
    let resumed = scheduler().weigh(slot(name), 1);
    let [again, ..] = paid(500 * MS);
    rt::log!("gauge: {name} paid {still} ns while it was stopped, {} us then", again / 1000);
    if stopped.is_ok() && resumed.is_ok() && still == 0 && again > 10 * MS {
        rt::log!("gauge: a child that is stopped uses no time, and goes on");
    }
}

/// Tries to stop a server that is no child.
fn stranger() {
    let name = rt::start().config("stranger").unwrap_or_default();
    let refused = scheduler().weigh(slot(name), 0);
    let before = account(name).0;
    sleep_until(now() + 500 * MS);
    let paid = account(name).0 - before;
    rt::log!("gauge: {name} paid {} us after it: {refused:?}", paid / 1000);
    if refused == Err(CallError::Refused(Error::NotAllowed)) && paid > MS {
        rt::log!("gauge: a stranger cannot be stopped");
    }
}

/// All of it.
pub fn judge() {
    let time = number("seconds", 6) * 1_000 * MS;
    sleep_until(now() + 300 * MS);
    shares("1,2,3", time);
    stops();
    for (name, weight) in children().zip([4, 1, 1]) {
        let _ = scheduler().weigh(slot(name), weight);
    }
    sleep_until(now() + 100 * MS);
    shares("4,1,1", time);
    stranger();
    sleep_until(now() + 300 * MS);
}

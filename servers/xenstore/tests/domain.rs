//! What domain 0 asks of the domain, and an XenStore that is not what it should be.

mod common;

use abi::kernel::control::Shutdown;
use common::{Bench, DISK, NET};
use ipc::serve::Serve;
use ipc::xenstore::{Error, Operation, Server};
use shared::HostMemory;
use xen::fake::Xenstored;
use xen::store::{Connection, Rest};
use xenstore::{Broker, Grant};

const SHUTDOWN: &str = "/local/domain/1/control/shutdown";

fn wish(bench: &mut Bench, wish: &str) {
    bench.store.set(SHUTDOWN, wish);
    bench.run();
}

#[test]
fn the_domain_says_what_it_can_do() {
    let bench = Bench::new();
    let get = |name: &str| bench.store.get(&format!("/local/domain/1/control/{name}"));
    assert_eq!(get("feature-poweroff").unwrap(), b"1");
    assert_eq!(get("feature-reboot").unwrap(), b"1");
    assert_eq!(bench.heard.0.lock().unwrap().ended, []);
}

#[test]
fn a_wish_is_acknowledged_and_done() {
    for (text, reason) in [
        ("poweroff", Shutdown::Poweroff),
        ("halt", Shutdown::Poweroff),
        ("reboot", Shutdown::Reboot),
    ] {
        let mut bench = Bench::new();
        wish(&mut bench, text);
        assert_eq!(bench.store.get(SHUTDOWN).unwrap(), b"");
        assert_eq!(bench.heard.0.lock().unwrap().ended, [reason]);
    }
}

#[test]
fn an_unknown_wish_is_acknowledged_and_told() {
    let mut bench = Bench::new();
    wish(&mut bench, "suspend");
    assert_eq!(bench.store.get(SHUTDOWN).unwrap(), b"");
    let heard = bench.heard.0.lock().unwrap();
    assert_eq!(heard.ended, []);
    assert_eq!(heard.log, ["domain 0 wants `suspend`, which is not known here"]);
}

#[test]
fn a_wish_that_was_there_before_is_heard() {
    let page = HostMemory::leak(1);
    let mut store = Xenstored::attach(page, 0xffff_ff00);
    store.set(SHUTDOWN, "reboot");
    let bench = Bench::with(page, store);
    assert_eq!(bench.heard.0.lock().unwrap().ended, [Shutdown::Reboot]);
}

#[test]
fn a_wish_that_changes_while_it_is_taken_is_taken_again() {
    let mut bench = Bench::new();
    bench.store.set(SHUTDOWN, "suspend");
    let mut steps = 0;
    // The wish changes after the transaction read it, so its commit fails.
    for _ in 0..20 {
        bench.broker.bits(1);
        bench.store.run();
        steps += 1;
        if steps == 3 {
            bench.store.set(SHUTDOWN, "poweroff");
        }
    }
    bench.run();
    let heard = bench.heard.0.lock().unwrap();
    assert_eq!(heard.ended, [Shutdown::Poweroff]);
    assert_eq!(heard.log, [""; 0]);
}

#[test]
fn many_wishes_are_taken_one_after_the_other() {
    let mut bench = Bench::new();
    for n in 0..50 {
        wish(&mut bench, if n % 2 == 0 { "suspend" } else { "s4" });
    }
    assert_eq!(bench.heard.0.lock().unwrap().log.len(), 50);
}

#[test]
fn without_xenstore_clients_are_told_so() {
    let end = ipc::loopback::Loopback::new().end();
    let wire = ipc::Wire {
        handle: abi::Handle(9),
        bits: 1,
        up: HostMemory::leak(2),
        down: HostMemory::leak(2),
    };
    let ears = common::Ears::default();
    let clients = vec![Some((wire, Grant::new("device")))];
    let mut broker = Broker::new(end, common::PORT, None, clients, ears.clone());
    broker.turn();
    broker.turn();
    let badge = abi::Badge::new(0, 0, 0);
    assert_eq!(broker.open(badge), Err(Error::Broken));
    assert_eq!(broker.collect(badge), Err(Error::Broken));
    assert_eq!(ears.0.lock().unwrap().log, ["there is no connection to XenStore"]);
}

#[test]
fn an_index_that_cannot_be_ends_the_connection() {
    let mut bench = Bench::new();
    bench.post(NET, Operation::Read, 0, "device/vif/0/state", "").unwrap();
    bench.page.write(2060, &0x7000_0000u32);
    bench.broker.bits(1);
    let badge = bench.badge(DISK);
    assert_eq!(bench.broker.open(badge), Err(Error::Broken));
    assert_eq!(bench.heard.0.lock().unwrap().log, ["there is no connection to XenStore"]);
}

#[test]
fn answers_to_an_earlier_incarnation_are_nobodys() {
    let mut bench = Bench::new();
    bench.post(NET, Operation::Read, 0, "device/vif/0/state", "").unwrap();
    bench.broker.turn();
    // This server dies; the next one takes the ring as it is.
    let connection = Connection::open(bench.page, 8, Rest::default()).ok();
    let clients = vec![Some((bench.wires[0], Grant::new("device/vif/0")))];
    bench.broker = Broker::new(bench.end, common::PORT, connection, clients, bench.heard.clone());
    bench.run();
    assert_eq!(bench.collect(NET), None);
    assert_eq!(bench.store.watches(), 1);
    assert_eq!(bench.read(NET, "device/vif/0/state"), common::bytes("1"));
}

#[test]
fn an_xenstored_that_says_anything_does_no_harm() {
    for seed in 1..400u64 {
        let mut bench = Bench::new();
        bench.ask(NET, Operation::Watch, 0, "device/vif/0", "");
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let page = bench.page;
        let peer = move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state % 8 {
                0 => page.write(1024 + (state >> 8) as usize % 1000, &(state >> 32)),
                1 => page.write(
                    2060,
                    &(page.read::<u32>(2056).wrapping_add((state >> 20) as u32 % 1030)),
                ),
                2 => page
                    .write(2048, &(page.read::<u32>(2052).wrapping_sub((state >> 20) as u32 % 3))),
                _ => {}
            }
        };
        shared::with_peer(peer, || {
            for _ in 0..20 {
                let badge = bench.badge(NET);
                let _ = bench.broker.post(badge, Operation::Read, 0, 18, 0);
                bench.broker.bits(1);
                let _ = bench.broker.collect(badge);
            }
        });
    }
}

//! What clients can do, what they cannot, and that they cannot do it to one another.

mod common;

use abi::{Badge, Handle};
use common::{Bench, DISK, DONE, Got, NET, NOBODY, PORT, bytes};
use ipc::serve::Serve;
use ipc::xenstore::{Error, Failure, Kind, MOST_OPEN, Operation, Server};
use xenstore::{TRANSACTIONS, WATCHES};

const DENIED: Got = Got::Failed(Failure::Denied);

#[test]
fn nodes_are_read_written_listed_and_removed() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(NET, "device/vif/0/state"), bytes("1"));
    assert_eq!(bench.ask(NET, Operation::Write, 0, "device/vif/0/tx-ring-ref", "9"), DONE);
    assert_eq!(bench.store.get("/local/domain/1/device/vif/0/tx-ring-ref").unwrap(), b"9");
    let names = bench.ask(NET, Operation::List, 0, "device/vif/0", "");
    assert_eq!(names, bytes("backend\0backend-id\0state\0tx-ring-ref\0"));
    assert_eq!(bench.ask(NET, Operation::Remove, 0, "device/vif/0/tx-ring-ref", ""), DONE);
    assert_eq!(bench.read(NET, "device/vif/0/tx-ring-ref"), Got::Failed(Failure::NoEntry));
    assert_eq!(bench.ask(NET, Operation::Write, 0, "error/device/vif/0/error", "22 bad"), DONE);
}

#[test]
fn a_client_is_rung_when_there_is_something_to_collect() {
    let mut bench = Bench::new();
    bench.post(NET, Operation::Read, 0, "device/vif/0/state", "").unwrap();
    assert_eq!(bench.collect(NET), None);
    assert_eq!(bench.end.notified(Handle(10)), 0);
    bench.run();
    assert_eq!(bench.end.notified(Handle(10)), 1);
    assert_eq!(bench.collect_all(NET), [bytes("1")]);
}

#[test]
fn nobody_touches_what_is_not_his() {
    let mut bench = Bench::new();
    for (client, path) in [
        (NET, "device/vbd/1/state"),
        (DISK, "device/vif/0/state"),
        (NOBODY, "device/vif/0/state"),
        (NET, "control/shutdown"),
        (NET, "/local/domain/1/device/vif/0/state"),
        (NET, "/local/domain/0/backend/vif/1/0/state"),
        (NET, ""),
        (NET, "\u{e9}"),
    ] {
        assert_eq!(bench.read(client, path), DENIED, "{path}");
        for operation in [Operation::Write, Operation::Remove, Operation::List, Operation::Watch] {
            assert_eq!(bench.ask(client, operation, 0, path, "x"), DENIED, "{path}");
        }
    }
    for path in ["device/vif/0/backend-id", "device/vif/0/backend", "device/vif/0"] {
        assert_eq!(bench.ask(NET, Operation::Write, 0, path, "66"), DENIED, "{path}");
        assert_eq!(bench.ask(NET, Operation::Remove, 0, path, ""), DENIED, "{path}");
    }
    assert_eq!(bench.store.get("/local/domain/1/device/vif/0/backend-id").unwrap(), b"0");
}

#[test]
fn a_backend_is_told_to_the_supervisor_and_can_be_read_then() {
    let mut bench = Bench::new();
    let got = bench.ask(NET, Operation::Backend, 0, "device/vif/0", "");
    assert_eq!(got, bytes("/local/domain/0/backend/vif/1/0"));
    assert_eq!(bench.heard.0.lock().unwrap().peers, [(NET, 0)]);
    assert_eq!(bench.read(NET, "/local/domain/0/backend/vif/1/0/state"), bytes("2"));
    let write = bench.ask(NET, Operation::Write, 0, "/local/domain/0/backend/vif/1/0/state", "6");
    assert_eq!(write, DENIED);
    let got = bench.ask(DISK, Operation::Backend, 0, "device/vbd/1", "");
    assert_eq!(got, Got::Done(3, b"/local/domain/3/backend/vbd/1/0".to_vec()));
    assert_eq!(bench.heard.0.lock().unwrap().peers, [(NET, 0), (DISK, 3)]);
    assert_eq!(bench.ask(NET, Operation::Backend, 0, "device/vbd/1", ""), DENIED);
    assert_eq!(bench.ask(DISK, Operation::Backend, 0, "device/vbd", ""), DENIED);
    let absent = bench.ask(DISK, Operation::Backend, 0, "device/vbd/9", "");
    assert_eq!(absent, Got::Failed(Failure::NoEntry));
}

#[test]
fn a_backend_that_makes_no_sense_is_refused() {
    let mut bench = Bench::new();
    for (path, domain) in [
        ("/local/domain/5/backend/vif/1/0", "0"),
        ("/local/domain/0/device/vif/0", "0"),
        ("/local/domain/66/backend/vif/1/0", "66"),
        ("/local/domain/0/backend/vif/1/0", "many"),
    ] {
        bench.store.set("/local/domain/1/device/vif/0/backend", path);
        bench.store.set("/local/domain/1/device/vif/0/backend-id", domain);
        let got = bench.ask(NET, Operation::Backend, 0, "device/vif/0", "");
        assert_eq!(got, Got::Failed(Failure::Invalid), "{path} {domain}");
        assert_eq!(bench.read(NET, &format!("{path}/state")), DENIED);
    }
}

#[test]
fn a_watch_fires_at_once_and_at_each_change() {
    let mut bench = Bench::new();
    let number = bench.post(NET, Operation::Watch, 0, "device/vif/0", "").unwrap();
    bench.run();
    let fired = |path: &str| Got::Fired(number, path.into());
    assert_eq!(bench.collect_all(NET), [DONE, fired("device/vif/0")]);
    bench.store.set("/local/domain/1/device/vif/0/state", "4");
    bench.run();
    assert_eq!(bench.collect_all(NET), [fired("device/vif/0/state")]);
    let got = bench.ask(NET, Operation::Unwatch, 0, "", &number.to_string());
    assert_eq!(got, DONE);
    bench.store.set("/local/domain/1/device/vif/0/state", "5");
    bench.run();
    assert_eq!(bench.collect_all(NET), []);
    let got = bench.ask(NET, Operation::Unwatch, 0, "", &number.to_string());
    assert_eq!(got, Got::Failed(Failure::NoEntry));
}

#[test]
fn a_storm_of_changes_is_one_event() {
    let mut bench = Bench::new();
    let number = bench.post(NET, Operation::Watch, 0, "device/vif/0", "").unwrap();
    bench.run();
    bench.collect_all(NET);
    for n in 0..500 {
        bench.store.set(&format!("/local/domain/1/device/vif/0/x{}", n % 7), "x");
        bench.run();
    }
    assert_eq!(bench.collect_all(NET), [Got::Fired(number, "device/vif/0".into())]);
}

#[test]
fn two_clients_may_watch_the_same_without_meeting() {
    let mut bench = Bench::new();
    bench.ask(NET, Operation::Watch, 0, "device/vif/0", "");
    bench.ask(DISK, Operation::Watch, 0, "device/vbd", "");
    bench.collect_all(NET);
    bench.collect_all(DISK);
    bench.store.set("/local/domain/1/device/vbd/1/state", "4");
    bench.run();
    assert_eq!(bench.collect_all(NET), []);
    assert_eq!(bench.collect_all(DISK).len(), 1);
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let mut bench = Bench::new();
    let transaction = bench.begin(NET);
    bench.ask(NET, Operation::Write, transaction, "device/vif/0/state", "4");
    assert_eq!(bench.read(NET, "device/vif/0/state"), bytes("1"));
    assert_eq!(bench.ask(NET, Operation::Commit, transaction, "", ""), DONE);
    assert_eq!(bench.read(NET, "device/vif/0/state"), bytes("4"));
    let transaction = bench.begin(NET);
    bench.ask(NET, Operation::Write, transaction, "device/vif/0/state", "5");
    assert_eq!(bench.ask(NET, Operation::Abandon, transaction, "", ""), DONE);
    assert_eq!(bench.read(NET, "device/vif/0/state"), bytes("4"));
}

#[test]
fn a_transaction_that_met_another_is_to_be_repeated() {
    let mut bench = Bench::new();
    let transaction = bench.begin(NET);
    bench.ask(NET, Operation::Write, transaction, "device/vif/0/state", "4");
    bench.store.set("/local/domain/1/device/vif/0/state", "6");
    let got = bench.ask(NET, Operation::Commit, transaction, "", "");
    assert_eq!(got, Got::Failed(Failure::Again));
}

#[test]
fn transactions_of_others_are_unknown() {
    let mut bench = Bench::new();
    let transaction = bench.begin(NET);
    for operation in [Operation::Read, Operation::Write, Operation::Commit, Operation::Abandon] {
        let got = bench.ask(DISK, operation, transaction, "device/vbd/1/state", "x");
        assert_eq!(got, Got::Failed(Failure::Invalid));
    }
    assert_eq!(bench.ask(NET, Operation::Commit, transaction, "", ""), DONE);
}

#[test]
fn every_share_has_a_limit() {
    let mut bench = Bench::new();
    for _ in 0..MOST_OPEN {
        bench.post(NET, Operation::Read, 0, "device/vif/0/state", "").unwrap();
    }
    let refused = bench.post(NET, Operation::Read, 0, "device/vif/0/state", "");
    assert_eq!(refused, Err(Error::Busy));
    bench.run();
    let refused = bench.post(NET, Operation::Read, 0, "device/vif/0/state", "");
    assert_eq!(refused, Err(Error::Busy));
    assert_eq!(bench.collect_all(NET).len(), MOST_OPEN);
    for n in 0..WATCHES {
        assert_eq!(bench.ask(NET, Operation::Watch, 0, &format!("device/vif/0/{n}"), ""), DONE);
        bench.collect_all(NET);
    }
    let full = Got::Failed(Failure::Full);
    assert_eq!(bench.ask(NET, Operation::Watch, 0, "device/vif/0", ""), full);
    (0..TRANSACTIONS).for_each(|_| _ = bench.begin(NET));
    assert_eq!(bench.ask(NET, Operation::Begin, 0, "", ""), full);
    assert_eq!(bench.read(DISK, "device/vbd/1/state"), bytes("1"));
    bench.begin(DISK);
}

#[test]
fn lengths_are_checked_before_anything_is_copied() {
    let mut bench = Bench::new();
    let badge = bench.badge(NET);
    for (path, value) in [(2049, 0), (0, 2049), (u32::MAX, u32::MAX), (u32::MAX, 0), (1, u32::MAX)]
    {
        let posted = bench.broker.post(badge, Operation::Write, 0, path, value);
        assert_eq!(posted, Err(Error::TooLong));
    }
    let long = "x".repeat(2048 - "device/vif/0/".len());
    let path = format!("device/vif/0/{long}");
    assert_eq!(bench.ask(NET, Operation::Write, 0, &path, &"v".repeat(2000)), DONE);
    assert_eq!(bench.read(NET, &path), bytes(&"v".repeat(2000)));
}

#[test]
fn a_request_that_fits_no_message_is_refused_and_no_other() {
    let mut bench = Bench::new();
    let long = "x".repeat(2048 - "device/vif/0/".len());
    let path = format!("device/vif/0/{long}");
    let got = bench.ask(NET, Operation::Write, 0, &path, &"v".repeat(2048));
    assert_eq!(got, Got::Failed(Failure::Invalid));
    assert_eq!(bench.read(NET, "device/vif/0/state"), bytes("1"));
}

#[test]
fn a_greedy_client_does_not_keep_another_waiting() {
    let mut bench = Bench::new();
    for _ in 0..200 {
        while bench.post(NET, Operation::List, 0, "device/vif/0", "").is_ok() {}
        bench.collect_all(NET);
        bench.post(DISK, Operation::Read, 0, "device/vbd/1/state", "").unwrap();
        bench.broker.bits(1);
        bench.store.run();
        bench.broker.bits(1);
        assert_eq!(bench.collect_all(DISK), [bytes("1")]);
    }
}

#[test]
fn a_new_session_knows_nothing_of_the_old_one() {
    let mut bench = Bench::new();
    let before = bench.store.watches();
    bench.ask(NET, Operation::Watch, 0, "device/vif/0", "");
    bench.ask(NET, Operation::Backend, 0, "device/vif/0", "");
    let transaction = bench.begin(NET);
    bench.post(NET, Operation::Read, 0, "device/vif/0/state", "").unwrap();
    let badge = bench.badge(NET);
    bench.broker.open(badge).unwrap();
    bench.run();
    assert_eq!(bench.collect_all(NET), []);
    assert_eq!(bench.store.watches(), before);
    assert_eq!(bench.read(NET, "/local/domain/0/backend/vif/1/0/state"), DENIED);
    let got = bench.ask(NET, Operation::Commit, transaction, "", "");
    assert_eq!(got, Got::Failed(Failure::Invalid));
    assert_eq!(bench.store.transactions(), 0);
    (0..TRANSACTIONS).for_each(|_| _ = bench.begin(NET));
}

#[test]
fn what_was_under_way_for_a_dead_client_is_undone() {
    let mut bench = Bench::new();
    let before = bench.store.watches();
    for round in 0..60u8 {
        bench.post(NET, Operation::Watch, 0, "device/vif/0", "").unwrap();
        bench.post(NET, Operation::Begin, 0, "", "").unwrap();
        bench.broker.bits(1);
        if round % 3 == 0 {
            bench.store.run();
        }
        if round % 2 == 0 {
            let badge = bench.badge(NET);
            bench.broker.closed(badge);
        }
        bench.incarnations[0] += 1;
        assert_eq!(bench.collect(NET), None);
    }
    bench.run();
    assert_eq!(bench.store.watches(), before);
    assert_eq!(bench.store.transactions(), 0);
    (0..TRANSACTIONS).for_each(|_| _ = bench.begin(NET));
}

#[test]
fn a_client_that_begins_anew_for_ever_fills_nothing() {
    let mut bench = Bench::new();
    let badge = bench.badge(NET);
    for _ in 0..10_000 {
        bench.post(NET, Operation::Watch, 0, "device/vif/0", "").unwrap();
        let _ = bench.post(NET, Operation::Unwatch, 0, "", "1");
        bench.broker.open(badge).unwrap();
        bench.broker.turn();
    }
    bench.run();
    assert_eq!(bench.read(DISK, "device/vbd/1/state"), bytes("1"));
}

#[test]
fn unknown_clients_are_refused() {
    let mut bench = Bench::new();
    let stranger = Badge::new(0, 99, 0);
    assert_eq!(bench.broker.collect(stranger), Err(Error::Broken));
    assert_eq!(bench.broker.post(stranger, Operation::Read, 0, 0, 0), Err(Error::Broken));
}

#[test]
fn xenstored_is_rung_once_for_what_a_turn_sends() {
    let mut bench = Bench::new();
    let rung = bench.end.notified(PORT);
    bench.post(NET, Operation::Read, 0, "device/vif/0/state", "").unwrap();
    bench.post(DISK, Operation::Read, 0, "device/vbd/1/state", "").unwrap();
    bench.broker.turn();
    assert_eq!(bench.end.notified(PORT), rung + 1);
    assert_eq!(bench.broker.collect(bench.badge(NET)), Ok((Kind::Nothing, 0, 0, 0)));
}

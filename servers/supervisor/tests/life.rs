//! Servers that die: who is told, when they come back, and that nothing is left behind.

mod common;

use abi::kernel::control::{NO_PEER, PortKind, Shutdown, SlotState, ThreadState};
use abi::trap::BIT_CONTROL;
use abi::{Badge, Message, Word};
use common::image::{APP, DRIVER, LOG, OPERATOR, STATUS, STORE, changed};
use common::{Bench, MS};
use ipc::status::{Snapshot, State};
use ipc::supervisor::EventKind;
use ipc::system::Restart;
use supervisor::ending::{LIMIT, RESTS, TICK};

const READY: u64 = 1;
const NEXT_EVENT: u64 = 2;
const PEER: u64 = 3;

fn call(bench: &mut Bench, client: u16, incarnation: u8, label: u64, words: [u64; 5]) -> Message {
    bench.call(Badge::new(0, client, incarnation), Message::new(label, words))
}

fn events(bench: &mut Bench, client: u16, incarnation: u8) -> Vec<(EventKind, Badge)> {
    let mut events = vec![];
    loop {
        let reply = call(bench, client, incarnation, NEXT_EVENT, [0; 5]);
        assert_eq!(reply.label, 0);
        match EventKind::from_word(reply.words[0]).unwrap() {
            EventKind::None => return events,
            kind => events.push((kind, Badge::from_bits(reply.words[1] as u32))),
        }
    }
}

#[test]
fn a_fault_is_told_and_the_server_starts_again() {
    let mut bench = Bench::started();
    bench.fault(APP);
    assert_eq!(bench.log(), ["app faulted: read of an unmapped page at 0x400010 (accessed 0x0)"]);
    assert_eq!(bench.kernel().started, [STORE, DRIVER, APP, LOG, APP]);
    assert_eq!(bench.kernel().slots[&APP], SlotState::Up);
    let badge = bench.kernel().model(APP).handles[&2].0 >> 32;
    assert_eq!(badge, u64::from(Badge::new(1, 0, 1).bits()));
}

#[test]
fn servers_learn_of_their_clients_incarnations() {
    let mut bench = Bench::started();
    let old = Badge::new(1, 0, 0);
    assert_eq!(events(&mut bench, 3, 0), [(EventKind::Opened, old)]);
    bench.fault(APP);
    let new = Badge::new(1, 0, 1);
    assert!(bench.kernel().notified.contains(&(DRIVER, BIT_CONTROL)));
    assert_eq!(events(&mut bench, 3, 0), [(EventKind::Closed, old), (EventKind::Opened, new)]);
    bench.fault(DRIVER);
    assert_eq!(events(&mut bench, 3, 1), [(EventKind::Opened, new)]);
}

#[test]
fn pauses_grow_until_the_slot_is_switched_off() {
    let mut bench = Bench::started();
    let mut now = MS;
    for pause in [0, 10, 100, 1000, 1000, 1000, 1000, 1000, 1000] {
        bench.set_time(now);
        bench.fault(APP);
        if pause > 0 {
            assert_eq!(bench.kernel().slots[&APP], SlotState::Down);
            assert_eq!(bench.log().last().unwrap(), &format!("app starts again in {pause} ms"));
            bench.timer(now + pause * MS - 1);
            assert_eq!(bench.kernel().slots[&APP], SlotState::Down);
            now += pause * MS;
            bench.timer(now);
        }
        assert_eq!(bench.kernel().slots[&APP], SlotState::Up);
    }
    bench.fault(APP);
    assert_eq!(bench.kernel().slots[&APP], SlotState::Off);
    assert_eq!(bench.log().last().unwrap(), "app died 10 times in 30 s: it stays off");
}

#[test]
fn the_timer_is_set_for_the_next_start() {
    let mut bench = Bench::started();
    bench.set_time(5 * MS);
    bench.fault(APP);
    bench.fault(APP);
    // A turn arms the timer before it waits; the wait returns at once because a bit is set.
    bench.interrupt();
    bench.supervisor.turn(None);
    assert_eq!(bench.own.lock().unwrap().deadline, 15 * MS);
}

#[test]
fn servers_that_may_not_come_back_stay_off() {
    let image = changed(|system| system.slots[usize::from(APP)].restart = Restart::Never);
    let mut bench = Bench::new(image, "").unwrap();
    bench.fault(APP);
    assert_eq!(bench.kernel().slots[&APP], SlotState::Off);
    assert_eq!(bench.kernel().server_of(APP), None);
    assert_eq!(bench.log().last().unwrap(), "app stays off, as its manifest says");
}

#[test]
fn a_server_the_system_cannot_do_without_ends_the_domain() {
    let image = changed(|system| system.slots[usize::from(STORE)].restart = Restart::Crash);
    let mut bench = Bench::new(image, "").unwrap();
    bench.fault(STORE);
    assert_eq!(bench.kernel().ended, Some(Shutdown::Crash));
    assert_eq!(bench.debug(), ["xenstore died: the domain ends, as its manifest says"]);
}

#[test]
fn without_a_log_lines_go_to_the_debug_console() {
    let image = changed(|system| system.slots[usize::from(LOG)].restart = Restart::Never);
    let mut bench = Bench::new(image, "").unwrap();
    bench.fault(LOG);
    bench.fault(APP);
    assert_eq!(bench.log(), [""; 0]);
    assert_eq!(bench.debug().len(), 3);
    assert!(bench.debug()[0].starts_with("log faulted: "));
    assert!(bench.debug()[2].starts_with("app faulted: "));
}

#[test]
fn a_thousand_restarts_leave_nothing_behind() {
    let mut bench = Bench::started();
    let before = bench.inventory();
    for n in 0..1000 {
        bench.set_time(n * 100_000 * MS);
        bench.fault([LOG, STORE, DRIVER, APP][n as usize % 4]);
    }
    let after = bench.inventory();
    assert_eq!(before, after);
}

#[test]
fn a_start_that_fails_leaves_nothing_and_is_tried_again() {
    let mut calls = 0;
    loop {
        let mut bench = Bench::started();
        let before = bench.inventory();
        bench.kernel().fail_after = Some(calls);
        bench.fault(DRIVER);
        if bench.kernel().slots[&DRIVER] == SlotState::Up {
            break;
        }
        let (made, servers, free) = before;
        let after = bench.inventory();
        assert_eq!((after.0 + 1, after.1 + 1), (made, servers), "after {calls} calls");
        assert!(after.2 > free);
        bench.kernel().fail_after = None;
        bench.timer(100 * MS);
        assert_eq!(bench.kernel().slots[&DRIVER], SlotState::Up);
        calls += 1;
    }
    assert!(calls > 10);
}

#[test]
fn only_the_server_of_xenstore_names_peers() {
    let mut bench = Bench::started();
    assert_eq!(call(&mut bench, 3, 0, PEER, [3, 5, 0, 0, 0]).label, 1);
    assert_eq!(call(&mut bench, 2, 0, PEER, [9, 5, 0, 0, 0]).label, 2);
    assert_eq!(bench.kernel().windows[&0].1, NO_PEER);
    assert_eq!(call(&mut bench, 2, 0, PEER, [3, 5, 0, 0, 0]).label, 0);
    assert_eq!(bench.kernel().ports[&1], (PortKind::Peer, 5, DRIVER, 2));
    assert_eq!(bench.kernel().windows[&0], (64, 5));
}

#[test]
fn a_dead_drivers_ports_are_closed_but_not_the_toolstacks() {
    let mut bench = Bench::started();
    bench.fault(DRIVER);
    bench.fault(STORE);
    assert_eq!(bench.kernel().reset, [1]);
}

#[test]
fn an_incarnation_that_died_is_not_heard() {
    let mut bench = Bench::started();
    bench.fault(APP);
    assert_eq!(call(&mut bench, 4, 0, READY, [0; 5]).label, 1);
    assert_eq!(call(&mut bench, 4, 1, READY, [0; 5]).label, 0);
    assert_eq!(call(&mut bench, 200, 0, READY, [0; 5]).label, 1);
}

#[test]
fn the_last_to_be_ready_is_told() {
    let mut bench = Bench::started();
    bench.set_time(3001);
    for client in [2, 3, 4] {
        call(&mut bench, client, 0, READY, [0; 5]);
        assert_eq!(bench.log(), [""; 0]);
    }
    call(&mut bench, 1, 0, READY, [0; 5]);
    assert_eq!(bench.log(), ["all 5 servers are ready 2 us after the kernel's entry"]);
}

#[test]
fn a_snapshot_tells_the_state_of_all() {
    let mut bench = Bench::started();
    call(&mut bench, 4, 0, READY, [0; 5]);
    bench.fault(LOG);
    bench.fault(LOG);
    bench.set_time(5 * MS);
    let reply = bench.call(Badge::new(1, STATUS, 0), Message::new(1, [0; 5]));
    let snapshot = Snapshot::read(bench.shared, reply.words[0] as u32).unwrap();
    assert_eq!((snapshot.system.as_str(), snapshot.xen, snapshot.domain), ("sample", (4, 20), 7));
    assert_eq!((snapshot.uptime, snapshot.kernel), (5 * MS - 1000, 90));
    let states: Vec<State> = snapshot.servers.iter().map(|server| server.state).collect();
    let expected = [State::Running, State::Down, State::Starting, State::Starting, State::Waiting];
    assert_eq!(states, expected);
    assert_eq!((snapshot.servers[1].restarts, snapshot.servers[4].cpu), (2, 11));
    assert_eq!((snapshot.servers[4].paid, snapshot.servers[4].granted), (7, 6 * MS));
    assert_eq!(bench.kernel().accounts[&4], (2 * MS, 10 * MS));
    assert_eq!(bench.kernel().accounts[&1], (0, 0));
}

#[test]
fn the_operator_restarts_any_server_by_number() {
    let mut bench = Bench::started();
    let operator = Badge::new(2, OPERATOR, 0);
    let restart = |slot| Message::new(1, [slot, 0, 0, 0, 0]);
    assert_eq!(bench.call(operator, restart(0)).label, 2);
    assert_eq!(bench.call(operator, restart(77)).label, 1);
    for _ in 0..20 {
        assert_eq!(bench.call(operator, restart(u64::from(DRIVER))).label, 0);
        assert_eq!(bench.kernel().slots[&DRIVER], SlotState::Up);
    }
    assert_eq!(bench.kernel().started.len(), 24);
}

#[test]
fn the_operator_brings_back_what_was_switched_off() {
    let image = changed(|system| system.slots[usize::from(LOG)].restart = Restart::Never);
    let mut bench = Bench::new(image, "").unwrap();
    bench.fault(LOG);
    let restart = Message::new(1, [u64::from(LOG), 0, 0, 0, 0]);
    bench.call(Badge::new(2, OPERATOR, 0), restart);
    assert_eq!(bench.kernel().slots[&LOG], SlotState::Up);
}

fn shutdown(bench: &mut Bench) {
    let shutdown = Message::new(2, [Shutdown::Reboot.to_word(), 0, 0, 0, 0]);
    assert_eq!(bench.call(Badge::new(2, OPERATOR, 0), shutdown).label, 0);
    assert_eq!(bench.log().last().unwrap(), "the domain reboots, as app asks");
}

#[test]
fn the_domain_ends_when_all_servers_rest() {
    let mut bench = Bench::started();
    shutdown(&mut bench);
    for tick in 1..=RESTS {
        assert_eq!(bench.kernel().ended, None);
        bench.timer(u64::from(tick) * TICK - 1);
        bench.timer(u64::from(tick) * TICK);
    }
    assert_eq!(bench.kernel().ended, Some(Shutdown::Reboot));
}

#[test]
fn nobody_holds_up_the_end_of_the_domain() {
    let mut bench = Bench::started();
    shutdown(&mut bench);
    bench.kernel().state = ThreadState::Ready;
    for now in (0..LIMIT).step_by(TICK as usize) {
        bench.timer(now);
        assert_eq!(bench.kernel().ended, None);
    }
    bench.timer(LIMIT);
    assert_eq!(bench.kernel().ended, Some(Shutdown::Reboot));
}

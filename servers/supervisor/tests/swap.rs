//! Swaps: the steps, and that one given up at any of them leaves the old server and everything else as it was.

mod common;

use abi::kernel::control::{Access, ObjectKind, SlotState};
use abi::layout::{HEAP, START, STATE};
use abi::start::{HEADER, Start};
use abi::{Badge, Message, Word};
use common::image::{APP, LOG, OPERATOR, SUPERVISOR, changed};
use common::{Bench, MS};
use ipc::operator::{Error, Outcome, Reason};
use ipc::supervisor::EventKind;
use ipc::system::System;
use ipc::system::wiring::{End, Record};

const NEXT_EVENT: u64 = 2;
const QUIESCED: u64 = 4;
const CANNOT: u64 = 5;
const ADOPTED: u64 = 6;
const RESTART: u64 = 1;
const SWAP: u64 = 3;
const OUTCOME: u64 = 4;

/// The application as its server calls the supervisor, and as a candidate does.
const OLD: Badge = Badge::new(0, 4, 0);
const NEW: Badge = Badge::new(0, 4, 0x80);
/// Where the state lies in the heap, and its length.
const AT: u64 = HEAP + 0x1ff0;
const BYTES: u64 = 0x1020;
const DIGEST: u64 = 77;

/// How a system is changed.
type Change = &'static dyn Fn(&mut System);

fn record(name: &str, layout: u64) -> Record {
    Record { name: name.into(), layout }
}

/// The sample, with state, and with a second image for the application.
fn system(change: impl FnOnce(&mut System)) -> &'static [u8] {
    changed(|system| {
        let wiring = &mut system.images[1].wiring;
        wiring.abi = abi::ABI_HASH;
        wiring.writes = vec![record("app.state", 1)];
        wiring.accepts = wiring.writes.clone();
        let mut other = system.images[1].clone();
        other.name = "other".into();
        system.images.push(other);
        change(system);
    })
}

fn bench() -> Bench {
    let mut bench = Bench::new(system(|_| {}), "supervisor.probation_ms=50").unwrap();
    while event(&mut bench) != EventKind::None {}
    bench
}

fn event(bench: &mut Bench) -> EventKind {
    let reply = bench.call(OLD, Message::new(NEXT_EVENT, [0; 5]));
    EventKind::from_word(reply.words[0]).unwrap()
}

fn operator(bench: &mut Bench, label: u64, words: [u64; 2]) -> Message {
    let words = [words[0], words[1], 0, 0, 0];
    bench.call(Badge::new(2, OPERATOR, 0), Message::new(label, words))
}

fn swap(bench: &mut Bench) -> Message {
    operator(bench, SWAP, [APP.into(), abi::hash::text("other")])
}

fn outcome(bench: &mut Bench) -> (Outcome, Reason) {
    let [outcome, reason, ..] = operator(bench, OUTCOME, [APP.into(), 0]).words;
    (Outcome::from_word(outcome).unwrap(), Reason::from_word(reason).unwrap())
}

fn offer(bench: &mut Bench, address: u64, bytes: u64) -> Option<Message> {
    bench.ask(OLD, Message::new(QUIESCED, [address, bytes, DIGEST, 0, 0]))
}

fn adopted(bench: &mut Bench, badge: Badge, digest: u64) -> Option<Message> {
    bench.ask(badge, Message::new(ADOPTED, [digest, 0, 0, 0, 0]))
}

/// A bench whose candidate has the state before it.
fn shown() -> Bench {
    let mut bench = bench();
    assert_eq!(swap(&mut bench).label, 0);
    assert_eq!(event(&mut bench), EventKind::Quiesce);
    assert_eq!(offer(&mut bench, AT, BYTES), None);
    bench
}

fn committed() -> Bench {
    let mut bench = shown();
    assert_eq!(adopted(&mut bench, NEW, DIGEST), Some(Message::default()));
    bench
}

/// The old server goes on, for this reason, and nothing is left of the candidate.
fn given_up(bench: &mut Bench, reason: Reason, inventory: (usize, usize, u32)) {
    assert_eq!(outcome(bench), (Outcome::GivenUp, reason));
    assert_eq!(bench.inventory(), inventory);
    assert_eq!(bench.kernel().aside(APP), None);
    assert_eq!(bench.kernel().quotas[&(APP, ObjectKind::Server as u64)], 1);
    assert_eq!(event(bench), EventKind::None, "the old server is heard, and not asked again");
}

#[test]
fn a_successor_is_shown_the_state_and_takes_over() {
    let inventory = bench().inventory();
    let mut bench = shown();
    let (old, new) = {
        let kernel = bench.kernel();
        let (old, new) = (kernel.server_of(APP).unwrap(), kernel.aside(APP).unwrap());
        let (region, page, access) = kernel.servers[&new].maps[&STATE];
        let heap = kernel.servers[&old].maps[&HEAP];
        assert_eq!((region, page, access), (heap.0, heap.1 + 1, Access::Read));
        assert!(kernel.servers[&new].maps.contains_key(&(STATE + 0x2000)));
        assert!(!kernel.servers[&new].maps.contains_key(&(STATE + 0x3000)));
        let (region, page, _) = kernel.servers[&new].maps[&START];
        let record = &kernel.regions[&region].bytes[page as usize * 4096..];
        let start = Start::read(&record[..abi::start::length(&record[..HEADER]).unwrap()]).unwrap();
        assert_eq!((start.header.state, start.header.state_bytes), (STATE + 0xff0, BYTES));
        assert_eq!((start.name, start.config("key")), ("app", Some("manifest")));
        let badge = |handle: u16| (kernel.servers[&new].handles[&handle].0 >> 32) as u32;
        assert_eq!((badge(1), badge(2)), (NEW.bits(), Badge::new(1, 0, 0).bits()));
        (old, new)
    };
    bench.set_time(3 * MS);
    assert_eq!(adopted(&mut bench, NEW, DIGEST), Some(Message::default()));
    assert_eq!(bench.kernel().server_of(APP), Some(new));
    assert!(!bench.kernel().servers[&new].maps.contains_key(&STATE));
    assert_eq!((bench.kernel().servers[&new].handles[&1].0 >> 32) as u32, OLD.bits());
    assert_eq!(outcome(&mut bench), (Outcome::Committed, Reason::None));
    bench.timer(30 * MS);
    assert!(!bench.kernel().servers.contains_key(&old));
    assert_eq!(bench.inventory(), inventory);
    bench.timer(60 * MS);
    assert_eq!(outcome(&mut bench), (Outcome::Done, Reason::None));
    assert_eq!(bench.kernel().slots[&APP], SlotState::Up);
}

#[test]
fn a_server_that_is_not_asked_offers_in_vain() {
    let mut bench = bench();
    assert_ne!(offer(&mut bench, AT, BYTES).unwrap().label, 0);
    assert_ne!(adopted(&mut bench, NEW, DIGEST).unwrap().label, 0);
    assert_eq!(swap(&mut bench).label, 0);
    assert_ne!(adopted(&mut bench, NEW, DIGEST).unwrap().label, 0, "it does not run yet");
    assert_ne!(adopted(&mut bench, OLD, DIGEST).unwrap().label, 0, "it is no candidate");
}

#[test]
fn an_old_server_that_does_not_come_to_rest_goes_on() {
    let mut bench = bench();
    let inventory = bench.inventory();
    swap(&mut bench);
    bench.timer(1000 * MS);
    given_up(&mut bench, Reason::Quiesce, inventory);
    assert_ne!(offer(&mut bench, AT, BYTES).unwrap().label, 0, "too late");
}

#[test]
fn an_old_server_that_cannot_write_its_state_goes_on() {
    let mut bench = bench();
    let inventory = bench.inventory();
    swap(&mut bench);
    assert_eq!(bench.call(OLD, Message::new(CANNOT, [1 << 40, 0, 0, 0, 0])).label, 0);
    given_up(&mut bench, Reason::Write, inventory);
}

#[test]
fn state_outside_the_heap_is_not_shown() {
    let end = HEAP + 40 * 4096;
    let wrong = [
        (0, 8),
        (HEAP - 1, 1),
        (end, 1),
        (end - 8, 9),
        (HEAP, u64::MAX),
        (u64::MAX, 1),
        (STATE, 0),
    ];
    for (address, bytes) in wrong {
        let mut bench = bench();
        let inventory = bench.inventory();
        swap(&mut bench);
        offer(&mut bench, address, bytes);
        given_up(&mut bench, Reason::Offer, inventory);
    }
    let mut bench = bench();
    swap(&mut bench);
    assert_eq!(offer(&mut bench, end - 8, 8), None);
    assert_eq!(outcome(&mut bench).0, Outcome::Going);
}

#[test]
fn a_candidate_that_hangs_faults_or_loses_something_is_given_up() {
    let inventory = bench().inventory();
    let mut hangs = shown();
    hangs.timer(1000 * MS);
    given_up(&mut hangs, Reason::Adopt, inventory);
    let mut faults = shown();
    let candidate = faults.kernel().aside(APP).unwrap();
    faults.fault_of(candidate);
    given_up(&mut faults, Reason::Died, inventory);
    let mut loses = shown();
    assert_eq!(adopted(&mut loses, NEW, DIGEST + 1), None);
    given_up(&mut loses, Reason::Digest, inventory);
}

#[test]
fn the_operator_can_want_something_else() {
    let inventory = bench().inventory();
    let mut restarted = shown();
    operator(&mut restarted, RESTART, [APP.into(), 0]);
    assert_eq!(outcome(&mut restarted), (Outcome::GivenUp, Reason::Operator));
    assert_eq!(restarted.inventory(), inventory);
    let mut again = shown();
    assert_eq!(swap(&mut again).label, 0);
    assert_eq!(event(&mut again), EventKind::Quiesce);
    assert_eq!(outcome(&mut again).0, Outcome::Going);
}

#[test]
fn the_old_servers_death_is_the_end_of_a_swap() {
    let inventory = bench().inventory();
    let mut bench = shown();
    bench.fault(APP);
    assert_eq!(outcome(&mut bench), (Outcome::GivenUp, Reason::OldDied));
    assert_eq!(bench.inventory(), inventory);
    assert!(bench.kernel().server_of(APP).is_some(), "it was started again");
}

#[test]
fn who_dies_twice_on_probation_is_replaced_by_the_image_before() {
    let mut bench = committed();
    bench.fault(APP);
    assert_eq!(outcome(&mut bench), (Outcome::Committed, Reason::None));
    bench.fault(APP);
    assert_eq!(outcome(&mut bench), (Outcome::Reverted, Reason::Died));
    let told = bench.log();
    assert!(told.iter().any(|line| line.starts_with("app reverted")), "{told:?}");
    bench.timer(100 * MS);
    assert_eq!(bench.kernel().slots[&APP], SlotState::Up);
}

#[test]
fn what_has_no_state_is_swapped_cold() {
    let image = system(|system| system.images[1].wiring.writes.clear());
    let mut bench = Bench::new(image, "").unwrap();
    let inventory = bench.inventory();
    assert_eq!(swap(&mut bench).label, 0);
    assert_eq!(outcome(&mut bench), (Outcome::Cold, Reason::None));
    assert_eq!(bench.inventory(), inventory);
    assert!(bench.log().iter().any(|line| line.starts_with("app is swapped cold")));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_touched() {
    fn end(methods: &[u64]) -> End {
        let interface = "lamp".into();
        End { index: 0, interface, pages: (0, 0), methods: methods.to_vec() }
    }
    let rules: [(Reason, Change); 6] = [
        (Reason::Kernel, &|system| system.images[2].wiring.abi = 1),
        (Reason::Numbers, &|system| system.images[2].wiring.clients = 9),
        (Reason::State, &|system| system.images[2].wiring.accepts = vec![record("app.state", 2)]),
        (Reason::Managed, &|system| system.slots[usize::from(APP)].manager = Some(3)),
        (Reason::Uses, &|system| {
            system.images[1].wiring.serves = vec![end(&[1, 2])];
            system.images[1].wiring.needs = vec![end(&[1])];
            system.images[2].wiring = system.images[1].wiring.clone();
            system.images[2].wiring.needs = vec![end(&[3])];
        }),
        (Reason::Serves, &|system| {
            system.images[1].wiring.serves = vec![end(&[1, 2])];
            system.images[1].wiring.needs = vec![end(&[1])];
            system.images[2].wiring = system.images[1].wiring.clone();
            system.images[2].wiring.serves = vec![end(&[2])];
        }),
    ];
    for (reason, change) in rules {
        let mut bench = Bench::new(system(change), "").unwrap();
        let inventory = bench.inventory();
        // Somebody calls the driver's slot, nobody the application's.
        let slot = if reason == Reason::Serves { 3 } else { APP };
        let reply = operator(&mut bench, SWAP, [slot.into(), abi::hash::text("other")]);
        assert_eq!(Error::from_word(reply.label), Some(Error::Refused), "{reason:?}");
        let told = operator(&mut bench, OUTCOME, [slot.into(), 0]).words;
        assert_eq!((told[0], told[1]), (Outcome::Refused.to_word(), reason.to_word()));
        assert_eq!(bench.inventory(), inventory);
    }
}

#[test]
fn only_what_there_is_can_be_swapped() {
    let mut bench = bench();
    let mut refused =
        |slot: u16, image| Error::from_word(operator(&mut bench, SWAP, [slot.into(), image]).label);
    assert_eq!(refused(SUPERVISOR, 0), Some(Error::Supervisor));
    assert_eq!(refused(99, 0), Some(Error::NoSuchSlot));
    assert_eq!(refused(LOG, 12345), Some(Error::NoSuchImage));
}

#[test]
fn whatever_the_kernel_refuses_nothing_is_left_behind() {
    let inventory = bench().inventory();
    let mut calls = 0;
    loop {
        let mut bench = bench();
        bench.kernel().fail_after = Some(calls);
        let has_begun = swap(&mut bench).label == 0;
        if has_begun && event(&mut bench) == EventKind::Quiesce {
            offer(&mut bench, AT, BYTES);
            adopted(&mut bench, NEW, DIGEST);
        }
        let had_enough = bench.kernel().fail_after != Some(0);
        bench.kernel().fail_after = None;
        let (outcome, _) = outcome(&mut bench);
        if outcome == Outcome::Committed {
            assert!(had_enough || calls > 0);
            bench.timer(30 * MS);
        } else {
            assert!(matches!(outcome, Outcome::Refused | Outcome::GivenUp), "{calls}: {outcome:?}");
        }
        assert_eq!(bench.inventory(), inventory, "after {calls} calls");
        assert!(bench.kernel().server_of(APP).is_some());
        if had_enough {
            break;
        }
        calls += 1;
    }
    assert!(calls > 30, "{calls}");
}

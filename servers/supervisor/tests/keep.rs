//! What a slot keeps over the death of its server.

mod common;

use abi::layout::{KEEP, START};
use abi::start::Start;
use abi::{Badge, Message};
use common::image::{APP, DRIVER, KEPT_PAGES, OPERATOR, keeping};
use common::{Bench, MS};

const RESTART: u64 = 1;
const STOP: u64 = 6;
const START_AGAIN: u64 = 7;

fn is_kept(bench: &Bench) -> bool {
    let bytes = bench.kernel().bytes(DRIVER, START, 300);
    let header = Start::read(&bytes).unwrap().header;
    assert_eq!(header.keep_pages, KEPT_PAGES);
    header.is_kept
}

/// Writes to the first and the last kept page.
fn scribble(bench: &Bench, word: u64) {
    let last = KEEP + u64::from(KEPT_PAGES - 1) * 4096;
    for at in [KEEP, last] {
        bench.kernel().poke(DRIVER, at, word);
    }
}

fn kept(bench: &Bench) -> [u64; 2] {
    let last = KEEP + u64::from(KEPT_PAGES - 1) * 4096;
    [KEEP, last].map(|at| {
        let bytes = bench.kernel().bytes(DRIVER, at, 8);
        u64::from_le_bytes(bytes.try_into().unwrap())
    })
}

fn operate(bench: &mut Bench, label: u64) {
    let message = Message::new(label, [u64::from(DRIVER), 0, 0, 0, 0]);
    assert_eq!(bench.call(Badge::new(2, OPERATOR, 0), message).label, 0);
}

#[test]
fn the_first_server_finds_nothing() {
    let bench = Bench::new(keeping(), "").unwrap();
    assert!(!is_kept(&bench));
    assert_eq!(kept(&bench), [0, 0]);
}

#[test]
fn a_crash_leaves_memory_and_devices_as_they_are() {
    let mut bench = Bench::new(keeping(), "").unwrap();
    scribble(&bench, 77);
    bench.fault(DRIVER);
    assert!(is_kept(&bench));
    assert_eq!(kept(&bench), [77, 77]);
    assert_eq!(bench.kernel().reset, [0; 0]);
    operate(&mut bench, RESTART);
    assert!(is_kept(&bench));
    assert_eq!(kept(&bench), [77, 77]);
    bench.fault(APP);
    assert_eq!(kept(&bench), [77, 77]);
}

#[test]
fn a_slot_that_was_stopped_is_started_with_nothing() {
    let mut bench = Bench::new(keeping(), "").unwrap();
    scribble(&bench, 77);
    operate(&mut bench, STOP);
    assert_eq!(bench.kernel().reset, [1]);
    operate(&mut bench, START_AGAIN);
    assert!(!is_kept(&bench));
    assert_eq!(kept(&bench), [0, 0]);
    scribble(&bench, 78);
    bench.fault(DRIVER);
    assert!(is_kept(&bench));
    assert_eq!(kept(&bench), [78, 78]);
}

#[test]
fn the_fifth_death_wipes_what_was_kept() {
    let mut bench = Bench::new(keeping(), "").unwrap();
    for death in 1..=7 {
        scribble(&bench, 77);
        bench.fault(DRIVER);
        bench.timer(death * 2000 * MS);
        assert_eq!(is_kept(&bench), death != 5, "death {death}");
        assert_eq!(kept(&bench)[0], if death == 5 { 0 } else { 77 }, "death {death}");
    }
    let wiped = "driver died 5 times: what it kept is wiped";
    assert_eq!(bench.log().iter().filter(|line| *line == wiped).count(), 1);
    assert_eq!(bench.kernel().reset, [1]);
}

#[test]
fn a_slot_that_cannot_be_wiped_is_not_started() {
    let mut bench = Bench::new(keeping(), "").unwrap();
    scribble(&bench, 77);
    operate(&mut bench, STOP);
    bench.kernel().fail_after = Some(0);
    operate(&mut bench, START_AGAIN);
    assert_eq!(bench.kernel().server_of(DRIVER), None);
    bench.kernel().fail_after = None;
    bench.timer(5000 * MS);
    assert_eq!((is_kept(&bench), kept(&bench)), (false, [0, 0]));
}

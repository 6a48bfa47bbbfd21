//! What the operator does to servers, and what is kept of those that died.

mod common;

use abi::kernel::control::SlotState;
use abi::layout::STACK_END;
use abi::{Badge, Message};
use common::Bench;
use common::image::{APP, DRIVER, OPERATOR, STATUS};
use ipc::history::{Death, Event, read};

const STOP: u64 = 6;
const START: u64 = 7;
const KILL: u64 = 8;
/// [`KILL`] with a jump to address 0.
const NULL: u64 = 1;

fn operate(bench: &mut Bench, label: u64, slot: u16, way: u64) -> u64 {
    let message = Message::new(label, [u64::from(slot), way, 0, 0, 0]);
    bench.call(Badge::new(2, OPERATOR, 0), message).label
}

/// The length of the list that a method writes.
fn length(bench: &mut Bench, label: u64, from: u64) -> u32 {
    let reply = bench.call(Badge::new(3, STATUS, 0), Message::new(label, [from, 0, 0, 0, 0]));
    assert_eq!(reply.label, 0);
    reply.words[0] as u32
}

fn events(bench: &mut Bench, from: u64) -> Vec<Event> {
    let length = length(bench, 1, from);
    read(bench.shared, length).unwrap()
}

fn deaths(bench: &mut Bench, from: u64) -> Vec<Death> {
    let length = length(bench, 2, from);
    read(bench.shared, length).unwrap()
}

#[test]
fn a_server_is_stopped_and_started() {
    let mut bench = Bench::started();
    let before = bench.inventory();
    assert_eq!(operate(&mut bench, STOP, APP, 0), 0);
    assert_eq!(bench.kernel().slots[&APP], SlotState::Off);
    assert_eq!(bench.kernel().server_of(APP), None);
    assert_eq!(operate(&mut bench, STOP, APP, 0), 0);
    assert_eq!(operate(&mut bench, START, APP, 0), 0);
    assert_eq!(bench.kernel().slots[&APP], SlotState::Up);
    assert_eq!(operate(&mut bench, START, APP, 0), 6);
    assert_eq!(bench.inventory(), before);
    for label in [STOP, START, KILL] {
        assert_eq!(operate(&mut bench, label, 0, 0), 2);
        assert_eq!(operate(&mut bench, label, 77, 0), 1);
    }
    let texts: Vec<String> = events(&mut bench, 0).into_iter().map(|event| event.text).collect();
    let stopped = "is stopped, as the operator asks";
    assert_eq!(texts, [stopped, stopped, "is started, as the operator asks"]);
}

#[test]
fn one_that_is_killed_dies_as_if_it_had_faulted() {
    let mut bench = Bench::started();
    for _ in 0..3 {
        assert_eq!(operate(&mut bench, KILL, DRIVER, 0), 0);
    }
    assert_eq!(deaths(&mut bench, 1).len(), 1);
    let all = deaths(&mut bench, 0);
    let told: Vec<(u64, u32)> = all.iter().map(|death| (death.number, death.incarnation)).collect();
    // The third finds a slot that is down.
    assert_eq!(told, [(0, 0), (1, 1)]);
    assert_eq!(all[0].reason, "killed by the operator");
    assert_eq!((all[0].server.as_str(), all[0].version.as_str()), ("driver", "v1"));
}

#[test]
fn one_that_is_sent_to_address_0_goes_on_there() {
    let mut bench = Bench::started();
    bench.kernel().registers[1] = STACK_END - 0x100;
    assert_eq!(operate(&mut bench, KILL, APP, NULL), 0);
    assert_eq!(bench.kernel().model(APP).started, Some((0, STACK_END - 0x100)));
    assert_eq!(deaths(&mut bench, 0), []);
}

#[test]
fn a_death_is_kept_with_the_frames_on_the_stack() {
    let mut bench = Bench::started();
    let top = STACK_END - 0x100;
    for (at, word) in [(0, top + 0x40), (8, 0x40_0100), (0x40, 0), (0x48, 0x40_0200)] {
        bench.kernel().poke(APP, top + at, word);
    }
    let mut registers = [0; 20];
    (registers[0], registers[1], registers[9]) = (0x40_0010, top - 0x20, top);
    bench.kernel().registers = registers;
    let before = bench.inventory();
    bench.fault(APP);
    assert_eq!(bench.inventory(), before, "nothing stays mapped");
    let death = deaths(&mut bench, 0).remove(0);
    assert_eq!(death.trace, [0x40_0010, 0x40_0100, 0x40_0200]);
    assert_eq!(death.registers, registers);
    assert!(death.reason.starts_with("read of an unmapped page"), "{}", death.reason);
}

#[test]
fn in_a_trap_the_frame_is_on_top_of_the_stack() {
    let mut bench = Bench::started();
    let top = STACK_END - 0x200;
    for (at, word) in [(0, top + 0x80), (0x80, 0), (0x88, 0x40_0300)] {
        bench.kernel().poke(APP, top + at, word);
    }
    (bench.kernel().registers[0], bench.kernel().registers[1]) = (0x40_0010, top);
    operate(&mut bench, KILL, APP, 0);
    assert_eq!(deaths(&mut bench, 0)[0].trace, [0x40_0010, 0x40_0300]);
}

#[test]
fn a_stack_pointer_that_is_nowhere_gives_no_frames() {
    for wild in [0, 1, STACK_END, STACK_END - 1, u64::MAX, 0x40_0000] {
        let mut bench = Bench::started();
        (bench.kernel().registers[1], bench.kernel().registers[9]) = (wild, wild);
        bench.fault(APP);
        assert_eq!(deaths(&mut bench, 0)[0].trace, [0], "{wild:#x}");
    }
}

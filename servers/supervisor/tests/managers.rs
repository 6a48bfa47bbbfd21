//! Managers and those whom they manage: set up before anybody starts, told of one another, and never one without the other.

mod common;

use abi::kernel::control::{MADE, OBJECT_KINDS, ObjectKind, SlotState};
use abi::trap::BIT_CONTROL;
use abi::{Badge, Message, Word};
use common::image::{APP, DRIVER, LOG, STORE, changed};
use common::kernel::Region;
use common::{Bench, MS};
use ipc::supervisor::{EventKind, MANAGED};
use ipc::system::{Handle, Restart, System, Target};

/// The driver manages the application.
fn manage(system: &mut System) {
    system.slots[usize::from(APP)].manager = Some(DRIVER);
    system.slots[usize::from(DRIVER)].table.push(Handle { index: 5, target: Target::Control });
}

fn bench(change: impl FnOnce(&mut System)) -> Bench {
    Bench::new(
        changed(|system| {
            manage(system);
            change(system);
        }),
        "",
    )
    .unwrap()
}

/// What the driver was told, of managed slots alone.
fn events(bench: &mut Bench, incarnation: u8) -> Vec<(EventKind, Badge)> {
    let mut events = vec![];
    loop {
        let reply = bench.call(Badge::new(0, DRIVER, incarnation), Message::new(2, [0; 5]));
        match EventKind::from_word(reply.words[0]).unwrap() {
            EventKind::None => {
                events.retain(|(_, badge): &(EventKind, Badge)| badge.channel() == MANAGED);
                return events;
            }
            kind => events.push((kind, Badge::from_bits(reply.words[1] as u32))),
        }
    }
}

fn child(incarnation: u8) -> Badge {
    Badge::new(MANAGED, APP, incarnation)
}

#[test]
fn a_manager_has_its_handle_and_its_slots_before_they_start() {
    let bench = bench(|_| {});
    assert_eq!(bench.kernel().managers, [(APP, DRIVER)].into());
    let (target, _) = bench.kernel().model(DRIVER).handles[&5];
    assert_eq!(target & 0xffff_ffff, 6 | u64::from(DRIVER) << 16);
}

#[test]
fn every_slot_but_the_supervisors_gets_its_limits() {
    let bench = bench(|system| system.slots[usize::from(APP)].quota[0] = 777);
    let quotas = bench.kernel().quotas.clone();
    assert_eq!(quotas.len(), 4 * OBJECT_KINDS.len());
    assert_eq!(quotas[&(APP, ObjectKind::Frame as u64)], 777);
    assert!(quotas.keys().all(|(slot, _)| *slot != 0));
}

#[test]
fn regions_count_for_those_who_use_them() {
    let bench = bench(|_| {});
    let kernel = bench.kernel();
    let of = |slot| {
        kernel
            .regions
            .values()
            .filter(|region| region.slot == slot && !region.bytes.is_empty())
            .count()
    };
    // Its own memory each; the supervisor writes two parts of wires, the third is nobody's to write.
    assert_eq!([of(APP), of(DRIVER), of(STORE), of(LOG)], [1; 4]);
}

#[test]
fn a_manager_learns_that_its_child_was_started_again() {
    let mut bench = bench(|_| {});
    assert_eq!(events(&mut bench, 0), [(EventKind::Opened, child(0))]);
    bench.fault(APP);
    assert!(bench.kernel().notified.contains(&(DRIVER, BIT_CONTROL)));
    assert_eq!(
        events(&mut bench, 0),
        [(EventKind::Closed, child(0)), (EventKind::Opened, child(1))]
    );
}

#[test]
fn children_go_with_their_manager_and_come_back_with_it() {
    let mut bench = bench(|_| {});
    bench.kernel().started.clear();
    bench.fault(DRIVER);
    assert_eq!(bench.kernel().started, [DRIVER, APP], "both, the manager first");
    assert_eq!(events(&mut bench, 1), [(EventKind::Opened, child(1))]);
}

#[test]
fn what_a_manager_made_is_freed_with_it() {
    let mut bench = bench(|_| {});
    let before = bench.kernel().regions.len();
    let made =
        |slot| Region { pages: 4, flags: MADE, slot, filled: 4, maps: 0, bytes: vec![0; 4 * 4096] };
    bench.kernel().regions.insert(17, made(DRIVER));
    bench.kernel().regions.insert(18, made(STORE));
    bench.fault(DRIVER);
    assert!(!bench.kernel().regions.contains_key(&17) && bench.kernel().regions.contains_key(&18));
    assert_eq!(bench.kernel().regions.len(), before + 1);
}

#[test]
fn a_child_waits_for_its_manager() {
    let mut bench = bench(|_| {});
    // The second death of the manager makes it wait.
    bench.fault(DRIVER);
    bench.fault(DRIVER);
    bench.kernel().started.clear();
    assert_eq!(bench.kernel().slots[&APP], SlotState::Down);
    bench.timer(9 * MS);
    assert!(bench.kernel().started.is_empty());
    bench.timer(10 * MS);
    assert_eq!(bench.kernel().started, [DRIVER, APP]);
}

#[test]
fn children_of_a_manager_that_stays_off_are_off() {
    let mut bench = bench(|system| system.slots[usize::from(DRIVER)].restart = Restart::Never);
    bench.fault(DRIVER);
    let slots = bench.kernel().slots.clone();
    assert_eq!((slots[&DRIVER], slots[&APP]), (SlotState::Off, SlotState::Off));
    assert!(bench.log().iter().any(|line| line == "app stays off without its manager"));
}

//! Limits of accounts, as they are set and told.

use abi::Message;
use abi::kernel::control::{Error, MAX_PERIOD, MIN_BUDGET, SlotState};

use super::clockwork::Clockwork;
use super::world::{HERE, World};
use crate::core::hardware::Next;
use crate::core::schedule::SLICE;
use crate::core::table::{SlotId, ThreadId};

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const PEER: ThreadId = ThreadId(4);
const MS: u64 = 1_000_000;

#[test]
fn a_server_that_died_gets_no_new_budget_with_its_successor() {
    let mut c = Clockwork::trio();
    c.limit(1, MS, 10 * MS);
    c.pass(MS);
    assert!(c.world.core.slots[SlotId(1)].account.resting);
    let World { core, model, .. } = &mut c.world;
    while !core.server_destroy(model, LOW).unwrap() {}
    c.world.settle();
    assert!(!c.world.core.slots[SlotId(1)].account.resting);
    let World { core, model, .. } = &mut c.world;
    core.slot_state(model, SlotId(1), SlotState::Up).unwrap();
    let again = core.server_create(model, SlotId(1), 4).unwrap();
    core.thread_start(model, again, (0x40_0000, 0x2000_0000, 0)).unwrap();
    c.world.settle();
    assert_eq!(c.world.current(), Some(PEER));
    c.pass(9 * MS + SLICE);
    assert_eq!(c.paid_in_all(1), 2 * MS);
}

#[test]
fn a_new_limit_begins_full_and_ends_a_rest() {
    let mut c = Clockwork::trio();
    c.limit(1, MS, MAX_PERIOD);
    c.pass(MS);
    assert_eq!(c.world.current(), Some(PEER));
    c.limit(1, 2 * MS, 10 * MS);
    c.pass(SLICE);
    assert_eq!(c.world.current(), Some(LOW));
    c.pass(2 * MS);
    assert_eq!(c.world.current(), Some(PEER));
    c.limit_off(1);
    c.pass(3 * SLICE);
    c.stop(LOW);
    assert_eq!(c.account(1), (c.paid_in_all(1), 3 * MS));
    assert!(c.paid_in_all(1) >= 3 * MS + SLICE);
}

#[test]
fn improper_limits_are_refused() {
    let mut w = World::boot();
    w.server(1, 10);
    let mut set =
        |slot, budget, period| w.core.account_set(&mut w.model, SlotId(slot), budget, period);
    let invalid = Err(Error::Invalid);
    assert_eq!(set(1, MIN_BUDGET - 1, MS), invalid);
    assert_eq!(set(1, MIN_BUDGET, MIN_BUDGET - 1), invalid);
    assert_eq!(set(1, MIN_BUDGET, MAX_PERIOD + 1), invalid);
    assert_eq!(set(1, u64::MAX, u64::MAX), invalid);
    assert_eq!(set(1, 0, MS), invalid);
    assert_eq!(set(0, MIN_BUDGET, MS), invalid);
    assert_eq!(set(1, MIN_BUDGET, MIN_BUDGET), Ok(()));
    assert_eq!(set(1, MAX_PERIOD, MAX_PERIOD), Ok(()));
    assert_eq!(set(1, 0, 0), Ok(()));
}

#[test]
fn the_interface_sets_and_tells() {
    let mut w = World::boot();
    w.server(1, 10);
    let set = w.kernel(ROOT, 1, 27, [1, 2 * MS, 10 * MS, 0, 0]);
    assert_eq!(set, Message::default());
    w.wait(ROOT);
    let start = w.model.now;
    w.tick(start + 2 * MS);
    assert_eq!(w.next, Next::Idle);
    w.core.preempted(HERE);
    w.core.raise(&mut w.model, SlotId(0), 1);
    w.settle();
    let told = w.kernel(ROOT, 1, 28, [1, 0, 0, 0, 0]);
    assert_eq!(told, Message::new(0, [2 * MS, 10 * MS, 2 * MS, 2 * MS, 1]));
    assert_eq!(w.kernel(ROOT, 1, 27, [2, MS, MS, 0, 0]).label, Error::Invalid as u64);
    assert_eq!(w.kernel(ROOT, 1, 28, [2, 0, 0, 0, 0]).label, Error::Invalid as u64);
}

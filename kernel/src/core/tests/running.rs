//! Who runs, for how long, on whose account; timers.

use abi::fault::FaultKind;
use abi::trap::BIT_TIMER;
use abi::{Message, Token};

use super::ipc::trio;
use super::world::{HERE, World};
use crate::core::hardware::{Next, Resume, Vcpu};
use crate::core::schedule::SLICE;
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::State;

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const HIGH: ThreadId = ThreadId(3);
const PEER: ThreadId = ThreadId(4);

#[test]
fn a_middle_priority_that_is_ready_runs_before_an_answered_client() {
    let mut w = trio();
    w.call(LOW, 3, 1);
    let token = w.registers(HIGH).rax;
    w.core.raise(&mut w.model, SlotId(2), 1);
    w.reply_wait(HIGH, token, 2);
    assert_eq!(w.current(), Some(MID));
}

#[test]
fn an_interrupted_thread_goes_on_with_its_full_frame() {
    let mut w = trio();
    w.core.preempted(HERE);
    w.core.raise(&mut w.model, SlotId(3), 1);
    w.settle();
    assert_eq!(w.event(HIGH).2, 1);
    w.wait(HIGH);
    assert!(matches!(w.next, Next::Run { thread: 1, resume: Resume::Frame, space: 0x1_0000_1000 }));
}

#[test]
fn equals_share_by_slices_and_the_timer_runs_only_then() {
    let mut w = trio();
    let start = w.model.now;
    assert_eq!(w.model.timer, Some(start + SLICE), "PEER is ready, too");
    w.tick(start + SLICE);
    assert_eq!(w.current(), Some(PEER));
    w.tick(start + 2 * SLICE);
    assert_eq!(w.current(), Some(LOW));
    w.core.stop(&mut w.model, PEER);
    let set = w.model.timers_set;
    w.tick(start + 3 * SLICE);
    assert_eq!((w.current(), w.model.timers_set), (Some(LOW), set), "nobody to share with");
}

#[test]
fn a_timer_that_fires_early_does_no_harm() {
    let mut w = trio();
    let start = w.model.now;
    w.tick(start + 10);
    assert_eq!((w.current(), w.model.timer), (Some(LOW), Some(start + SLICE)));
}

#[test]
fn an_interruption_does_not_renew_a_slice() {
    let mut w = trio();
    let start = w.model.now;
    for step in 1..5 {
        w.model.now = start + step * SLICE / 4;
        w.core.preempted(HERE);
        w.core.raise(&mut w.model, SlotId(3), 1);
        w.settle();
        w.wait(HIGH);
    }
    assert_eq!(w.current(), Some(PEER), "LOW had its slice, in four pieces");
}

#[test]
fn pausing_lets_an_equal_run() {
    let mut w = trio();
    w.trap_as(LOW, 0, Message::new(5, [0; 5]));
    assert_eq!(w.current(), Some(PEER));
    w.trap_as(PEER, 0, Message::new(5, [0; 5]));
    assert_eq!(w.registers(LOW).rax, 0);
}

#[test]
fn time_is_charged_to_the_payer_less_what_xen_withheld() {
    let mut w = trio();
    w.model.now += 100;
    w.call(LOW, 2, 1);
    w.model.now += 1000;
    w.model.stolen += 300;
    let token = w.registers(MID).rax;
    w.reply_wait(MID, token, 2);
    w.model.now += 10;
    w.wait(PEER);
    let used = |slot| w.core.slots[SlotId(slot)].used;
    assert_eq!((used(1), used(2), used(4)), (100 + 700, 0, 10));
    assert_eq!((w.core.threads[LOW].cpu, w.core.threads[MID].cpu), (100, 700));
}

#[test]
fn deferred_work_is_paid_by_the_server() {
    let mut w = trio();
    w.call(LOW, 2, 1);
    let token = w.registers(MID).rax;
    w.wait(MID);
    w.core.raise(&mut w.model, SlotId(2), 1);
    w.settle();
    w.model.now += 500;
    w.reply_wait(MID, token, 2);
    assert_eq!(w.core.slots[SlotId(2)].used, 500);
}

#[test]
fn a_deadline_rings_bit_62() {
    let mut w = trio();
    let start = w.model.now;
    w.trap_as(LOW, 0, Message::new(2, [start + 400, 0, 0, 0, 0]));
    assert_eq!(w.model.timer, Some(start + 400));
    w.wait(LOW);
    w.wait(PEER);
    assert_eq!(w.next, Next::Idle);
    w.tick(start + 399);
    assert_eq!((w.next, w.model.timer), (Next::Idle, Some(start + 400)));
    w.tick(start + 400);
    assert_eq!(w.event(LOW), (Token::NONE, 0, BIT_TIMER, 0));
    w.wait(LOW);
    w.tick(start + 800);
    assert_eq!(w.next, Next::Idle, "it rings once");
}

#[test]
fn a_deadline_that_rang_does_not_ring_with_the_next() {
    let mut w = trio();
    let start = w.model.now;
    w.trap_as(LOW, 0, Message::new(2, [start + 400, 0, 0, 0, 0]));
    w.wait(LOW);
    w.trap_as(PEER, 0, Message::new(2, [start + 800, 0, 0, 0, 0]));
    w.wait(PEER);
    w.tick(start + 400);
    w.wait(LOW);
    w.tick(start + 800);
    assert_eq!(w.event(PEER).2, BIT_TIMER);
    assert_eq!(w.core.slots[SlotId(1)].bits, 0);
}

#[test]
fn a_deadline_that_has_passed_rings_at_once_and_zero_disarms() {
    let mut w = trio();
    w.trap_as(LOW, 0, Message::new(2, [w.model.now + 50, 0, 0, 0, 0]));
    w.trap_as(LOW, 0, Message::new(2, [0; 5]));
    w.trap_as(LOW, 0, Message::new(2, [w.model.now, 0, 0, 0, 0]));
    w.wait(LOW);
    assert_eq!(w.event(LOW).2, BIT_TIMER);
    w.wait(LOW);
    w.wait(PEER);
    w.tick(w.model.now + 100);
    assert_eq!(w.next, Next::Idle);
}

#[test]
fn a_stopped_server_has_no_deadline() {
    let mut w = trio();
    let at = w.model.now + 50;
    w.trap_as(LOW, 0, Message::new(2, [at, 0, 0, 0, 0]));
    w.core.stop(&mut w.model, LOW);
    w.settle();
    w.wait(PEER);
    w.tick(at);
    assert_eq!((w.next, w.core.slots[SlotId(1)].bits), (Next::Idle, 0));
}

#[test]
fn a_turn_that_is_too_long_faults() {
    let mut w = trio();
    w.core.slots[SlotId(2)].longest = 1000;
    w.call(LOW, 2, 1);
    let start = w.model.now;
    assert_eq!(w.model.timer, Some(start + 1000));
    w.tick(start + 1000);
    let registers = w.registers(ROOT);
    assert_eq!((registers.rdi, registers.r12), (FaultKind::Overrun as u64, 2));
    assert_eq!(registers.words[1..3], [1000, 2 << 16]);
    assert_eq!(w.core.threads[MID].state, State::Faulted);
}

#[test]
fn many_short_turns_are_not_one_long_one() {
    let mut w = trio();
    w.core.slots[SlotId(2)].longest = 1000;
    w.call(LOW, 2, 1);
    let token = w.registers(MID).rax;
    for _ in 0..20 {
        w.core.raise(&mut w.model, SlotId(2), 1);
        w.model.now += 600;
        w.wait(MID);
    }
    w.tick(w.model.now + 900);
    assert_eq!(w.current(), Some(MID));
    w.reply(MID, token, 2);
    w.tick(w.model.now + 100);
    assert_eq!(w.current(), Some(ROOT));
}

#[test]
fn another_vcpu_is_kicked_when_it_has_something_better_to_do() {
    let mut w = World::boot_with(super::world::COUNTS, 2);
    w.core.slot_configure(SlotId(1), 10, 1).unwrap();
    let there = w.core.server_create(&mut w.model, SlotId(1), 4).unwrap();
    w.core.slot_state(&mut w.model, SlotId(1), abi::kernel::control::SlotState::Up).unwrap();
    w.core.thread_start(&mut w.model, there, (0x40_0000, 0x2000_0000, 0)).unwrap();
    assert_eq!(w.model.kicks, [Vcpu(1)]);
    let next = w.core.next(&mut w.model, Vcpu(1));
    assert!(matches!(next, Next::Run { thread, .. } if thread == there.0));
    // Stopped from here, it is off its vCPU only when that vCPU has looked.
    w.core.next(&mut w.model, HERE);
    w.core.stop(&mut w.model, there);
    assert_eq!(w.model.kicks.len(), 2);
    let busy = Some(abi::kernel::control::Error::Busy);
    let start = (0x40_0000, 0x2000_0000, 0);
    assert_eq!(w.core.thread_start(&mut w.model, there, start).err(), busy);
    assert_eq!(w.core.thread_registers(&mut w.model, there, 0).err(), busy);
    assert_eq!(w.core.server_destroy(&mut w.model, there), Ok(false));
    w.core.preempted(Vcpu(1));
    assert_eq!(w.core.next(&mut w.model, Vcpu(1)), Next::Idle);
    while !w.core.server_destroy(&mut w.model, there).unwrap() {}
}

#[test]
fn bits_wake_across_vcpus() {
    let mut w = World::boot_with(super::world::COUNTS, 2);
    w.core.slot_configure(SlotId(1), 10, 1).unwrap();
    let there = w.core.server_create(&mut w.model, SlotId(1), 4).unwrap();
    w.core.slot_state(&mut w.model, SlotId(1), abi::kernel::control::SlotState::Up).unwrap();
    w.core.thread_start(&mut w.model, there, (0x40_0000, 0x2000_0000, 0)).unwrap();
    w.core.next(&mut w.model, Vcpu(1));
    let wait = crate::core::hardware::TrapRegisters { rax: 1, ..Default::default() };
    w.core.trap(&mut w.model, Vcpu(1), wait);
    assert_eq!(w.core.next(&mut w.model, Vcpu(1)), Next::Idle);
    w.model.kicks.clear();
    w.core.next(&mut w.model, HERE);
    w.core.raise(&mut w.model, SlotId(1), 4);
    assert_eq!(w.model.kicks, [Vcpu(1)]);
    w.next = w.core.next(&mut w.model, Vcpu(1));
    assert_eq!(w.registers(there).r13, 4);
}

//! The quick path does not get past an account: whoever serves one that is used up answers through the core, and so does
//! whoever wakes somebody while one of them is limited. What time it is, and whether the timer is to be set, it knows.

use abi::trap;

use super::clockwork::Clockwork;
use super::world::HERE;
use crate::core::account::ATTENTION_DRY;
use crate::core::hardware::TrapRegisters;
use crate::core::schedule::SLICE;
use crate::core::table::{SlotId, ThreadId, VcpuId};
use crate::core::thread::WAITED;
use crate::machine::quick_host::{Host, Registers};

const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const PEER: ThreadId = ThreadId(4);
const MS: u64 = 1_000_000;

/// Whether the assembly does a trap of whoever runs; if so, the core is told.
fn quickly(c: &mut Clockwork, host: &mut Host, rax: u64) -> bool {
    let stack = std::vec![0_u8; 1 << 16].leak().as_ptr().expose_provenance() as u64;
    let (rip, rsp) = (0x40_1002, stack + 0x8000);
    let out = host.trap(Registers { rax, rcx: rip, rsp, mxcsr: 0x1f80, ..Registers::default() });
    if let (0, Some(thread)) = (out.slow, host.quick().thread()) {
        c.world.core.switched(HERE, thread);
        return true;
    }
    let registers = TrapRegisters { rax, rip, rsp, ..TrapRegisters::default() };
    c.world.core.trap(&mut c.world.model, HERE, registers);
    c.world.settle();
    false
}

/// A client with a budget calls by the quick path, and `time` passes.
fn called(time: u64) -> (Clockwork, Host) {
    let (mut c, mut host) = (Clockwork::trio(), Host::one());
    assert!(host.quick().fill(&c.world.core.places(HERE), 0));
    c.stop(PEER);
    c.limit(1, MS, 10 * MS);
    host.run(LOW.0, 0);
    assert!(quickly(&mut c, &mut host, 2 << 8 | u64::from(trap::CALL)));
    c.world.settle();
    c.pass(time);
    host.run(MID.0, 0);
    (c, host)
}

fn answer(c: &Clockwork) -> u64 {
    c.world.core.threads[LOW].token & !0xff | u64::from(trap::REPLY_WAIT)
}

#[test]
fn an_answer_to_an_account_with_time_left_is_quick() {
    let (mut c, mut host) = called(MS / 2);
    let answer = answer(&c);
    assert!(quickly(&mut c, &mut host, answer));
    assert_eq!(host.quick().thread(), Some(LOW.0));
}

#[test]
fn an_answer_to_a_used_up_account_comes_to_the_core() {
    let (mut c, mut host) = called(2 * MS);
    assert_ne!(c.world.core.slots[SlotId(2)].attention & ATTENTION_DRY, 0);
    let answer = answer(&c);
    assert!(!quickly(&mut c, &mut host, answer));
    assert_eq!((c.world.current(), c.left(1)), (None, -(MS as i64)));
    assert_eq!(c.world.core.slots[SlotId(2)].attention & ATTENTION_DRY, 0);
}

const NOTIFY_MID: u64 = 2 << 8 | trap::NOTIFY as u64;

/// `LOW` runs and `MID` waits.
fn ready() -> (Clockwork, Host) {
    let (mut c, host) = (Clockwork::trio(), Host::one());
    assert!(host.quick().fill(&c.world.core.places(HERE), 0));
    (c, host)
}

/// `PEER` waits too, so that nobody is as urgent as `LOW`.
fn alone() -> (Clockwork, Host) {
    let (mut c, host) = ready();
    c.stop(PEER);
    host.run(LOW.0, 0);
    host.set_time(c.world.model.now, c.world.model.stolen);
    (c, host)
}

#[test]
fn who_is_notified_goes_on_at_once() {
    let (mut c, mut host) = alone();
    host.set_time(c.world.model.now + 500, 100);
    assert!(quickly(&mut c, &mut host, NOTIFY_MID));
    assert_eq!(host.quick().thread(), Some(MID.0));
    assert_eq!(c.world.core.slots[SlotId(LOW.0)].used, 400);
}

#[test]
fn who_has_an_equal_that_is_ready_notifies_through_the_core() {
    let (mut c, mut host) = ready();
    host.run(LOW.0, 0);
    assert!(!quickly(&mut c, &mut host, NOTIFY_MID));
    assert_eq!(c.world.current(), Some(MID));
}

#[test]
fn a_limited_account_is_charged_and_begun_by_the_core() {
    for slot in [LOW.0, MID.0] {
        let (mut c, mut host) = alone();
        c.limit(slot, MS, 10 * MS);
        assert!(!quickly(&mut c, &mut host, NOTIFY_MID), "{slot}");
        c.limit_off(slot);
    }
}

#[test]
fn the_timer_is_set_by_the_core() {
    let (mut c, mut host) = alone();
    let now = c.world.model.now;
    c.world.core.slot_longest(SlotId(3), MS);
    assert!(!quickly(&mut c, &mut host, NOTIFY_MID));
    assert_eq!((c.world.current(), c.world.model.timer), (Some(MID), Some(now + MS)));
}

#[test]
fn a_clock_that_is_being_written_is_read_by_the_core() {
    for (clock, run_state) in [(true, false), (false, true)] {
        let (mut c, mut host) = alone();
        host.set_writing(clock, run_state);
        assert!(!quickly(&mut c, &mut host, NOTIFY_MID));
    }
}

#[test]
fn ticks_of_the_counter_become_nanoseconds() {
    // By 2, by 1/8 and by 3/4.
    for (multiplier, shift, scale) in [(1 << 31, 2, 16), (1 << 31, -2, 1), (3 << 30, 0, 6)] {
        let (mut c, mut host) = alone();
        let (start, origin) = (1 << 40, Host::ticks() - (1 << 33));
        host.run_clock(start, origin, multiplier, shift);
        let earliest = start + (Host::ticks() - origin) / 8 * scale;
        assert!(quickly(&mut c, &mut host, NOTIFY_MID));
        let latest = start + ((Host::ticks() - origin) / 8 + 1) * scale;
        let since = c.world.core.vcpus[VcpuId(0)].since;
        assert!((earliest..=latest).contains(&since), "{earliest} {since} {latest}");
    }
}

#[test]
fn a_slice_is_filled_up_when_it_is_used_up() {
    for (before, after) in [(0, SLICE), (7, 7)] {
        let (mut c, mut host) = alone();
        c.world.core.threads[MID].slice = before;
        assert!(quickly(&mut c, &mut host, NOTIFY_MID));
        assert_eq!(c.world.core.threads[MID].slice, after);
    }
}

#[test]
fn time_that_is_charged_is_never_less_than_nothing() {
    // Time from the last charge on and time withheld, before and now; and what is charged.
    for (passed, stolen_before, stolen, spent) in
        [(100, 0, 0, 100), (-10, 0, 0, 0), (100, 0, 500, 0), (100, 50, 20, 100), (100, 50, 80, 70)]
    {
        let (mut c, mut host) = alone();
        let vcpu = &mut c.world.core.vcpus[VcpuId(0)];
        vcpu.stolen = stolen_before;
        let since = vcpu.since;
        c.world.core.threads[LOW].slice = 60;
        c.world.core.threads[LOW].turn = WAITED;
        let (used, cpu) = (c.world.core.slots[SlotId(LOW.0)].used, c.world.core.threads[LOW].cpu);
        host.set_time(since.saturating_add_signed(passed), stolen);
        assert!(quickly(&mut c, &mut host, NOTIFY_MID));
        let low = &c.world.core.threads[LOW];
        assert_eq!((low.cpu - cpu, low.turn), (spent, 0));
        assert_eq!(low.slice, 60_u64.saturating_sub(spent));
        assert_eq!(c.world.core.slots[SlotId(LOW.0)].used - used, spent);
    }
}

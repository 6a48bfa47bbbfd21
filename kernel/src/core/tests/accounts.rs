//! Budgets: who rests, when, for how long, and who does not.

use abi::Status;
use abi::fault::FaultKind;
use abi::kernel::control::HandleKind;

use super::clockwork::Clockwork;
use super::world::{COUNTS, World};
use crate::core::hardware::Next;
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::State;

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const HIGH: ThreadId = ThreadId(3);
const PEER: ThreadId = ThreadId(4);
const MS: u64 = 1_000_000;
const US: u64 = 1_000;

#[test]
fn a_runaway_gets_its_budget_and_no_more_at_every_priority() {
    for priority in [1, 9, 10, 11, 63, 64, 128, 192, 254] {
        let mut w = World::boot();
        let runaway = w.server(1, priority);
        let witness = w.server(2, 10);
        let mut c = Clockwork { world: w, spent: std::vec::Vec::new() };
        c.world.wait(ROOT);
        c.limit(1, 2 * MS, 10 * MS);
        c.pass(2_000 * MS);
        let paid = (c.paid_in_all(1), c.paid_in_all(2));
        assert_eq!(paid.0 + paid.1, 2_000 * MS, "priority {priority}");
        match priority {
            10.. => assert!(paid.0.abs_diff(400 * MS) <= 2 * MS, "priority {priority}: {}", paid.0),
            _ => assert_eq!(paid.0, 0, "the witness is more urgent"),
        }
        let states = [runaway, witness].map(|thread| c.world.core.threads[thread].state);
        assert!(states.iter().all(|state| matches!(state, State::Ready | State::Running)));
    }
}

#[test]
fn a_budget_can_be_used_in_pieces() {
    let mut c = Clockwork::trio();
    c.limit(1, MS, 10 * MS);
    for _ in 0..4 {
        c.pass(MS / 4);
        c.raise(3, 1);
        c.pass(MS / 2);
        c.world.wait(HIGH);
    }
    assert_eq!(c.world.current(), Some(PEER), "LOW used all of it");
    assert_eq!(c.paid_in_all(1), MS);
    c.pass(7 * MS - 1);
    assert_eq!(c.world.current(), Some(PEER));
    c.pass(MS + PEER_SLICE);
    assert_eq!(c.paid_in_all(1), 2 * MS, "the period began when LOW began");
}

/// At most this long, PEER runs on before an equal does.
const PEER_SLICE: u64 = crate::core::schedule::SLICE;

#[test]
fn nobody_ready_means_idle_until_the_refill_and_one_timer() {
    let mut c = Clockwork::trio();
    let start = c.world.model.now;
    c.stop(PEER);
    c.limit(1, MS, 10 * MS);
    c.pass(MS);
    assert_eq!((c.world.next, c.world.model.timer), (Next::Idle, Some(start + 10 * MS)));
    let set = c.world.model.timers_set;
    c.pass(9 * MS - 1);
    assert_eq!((c.world.next, c.world.model.timers_set), (Next::Idle, set));
    c.pass(1);
    assert_eq!(c.world.current(), Some(LOW));
    assert_eq!(c.left(1), MS as i64);
}

#[test]
fn a_waiting_server_with_a_budget_needs_no_timer() {
    let mut c = Clockwork::trio();
    c.stop(PEER);
    c.limit(1, MS, 10 * MS);
    c.pass(MS / 2);
    c.world.wait(LOW);
    // The one that is armed fires in vain; none comes after it.
    c.pass(MS);
    assert_eq!((c.world.next, c.world.model.timer), (Next::Idle, None));
}

#[test]
fn a_client_of_100_us_pays_for_a_server_of_1_ms() {
    let mut c = Clockwork::trio();
    c.limit(1, 100 * US, 10 * MS);
    let start = c.world.model.now;
    let mut calls = 0;
    while c.world.model.now < start + 2_000 * MS {
        match c.world.current() {
            Some(LOW) => c.world.call(LOW, 2, 5),
            Some(MID) => {
                let token = c.world.registers(MID).rax;
                c.pass(MS);
                assert_eq!(c.world.current(), Some(MID), "who serves is not stopped");
                c.world.reply_wait(MID, token, 6);
                calls += 1;
            }
            _ => c.pass(10 * US),
        }
    }
    // 1 ms each, 100 us in 10 ms: one call in 100 ms. The first is made when there is 100 us.
    assert!((20..=22).contains(&calls), "{calls} calls");
    assert!(c.paid_in_all(1) <= 2_000 * MS / 100 + 100 * US + MS);
    assert_eq!(c.paid_in_all(2), 0, "the server does not pay for its client");
    assert!(c.paid_in_all(4) >= 1_978 * MS, "others run");
}

#[test]
fn an_answer_to_a_used_up_account_comes_when_that_is_paid_back() {
    let mut c = Clockwork::trio();
    let start = c.world.model.now;
    c.limit(1, 100 * US, MS);
    c.world.call(LOW, 2, 5);
    let token = c.world.registers(MID).rax;
    c.pass(350 * US);
    c.world.reply_wait(MID, token, 6);
    assert_eq!((c.world.current(), c.left(1)), (Some(PEER), -250_000));
    c.world.wait(PEER);
    c.pass(start + 3 * MS - c.world.model.now - 1);
    assert_eq!(c.world.next, Next::Idle);
    c.pass(1);
    assert_eq!((c.world.current(), c.left(1)), (Some(LOW), 50_000));
    assert_eq!(c.world.returned(LOW).0, Status::Ok);
}

#[test]
fn an_account_that_is_used_up_exactly_at_the_answer() {
    let mut c = Clockwork::trio();
    c.limit(1, 100 * US, MS);
    c.world.call(LOW, 2, 5);
    let token = c.world.registers(MID).rax;
    c.pass(100 * US);
    assert_eq!(c.world.current(), Some(MID));
    c.world.reply_wait(MID, token, 6);
    assert_eq!((c.world.current(), c.left(1)), (Some(PEER), 0));
}

#[test]
fn the_outermost_caller_pays_for_nested_calls() {
    let mut c = Clockwork::trio();
    c.limit(1, 200 * US, 10 * MS);
    c.limit(2, 100 * US, 10 * MS);
    c.pass(50 * US);
    c.world.call(LOW, 2, 5);
    let outer = c.world.registers(MID).rax;
    c.pass(100 * US);
    c.world.call(MID, 3, 6);
    let inner = c.world.registers(HIGH).rax;
    c.pass(300 * US);
    c.world.reply_wait(HIGH, inner, 7);
    assert_eq!(c.world.current(), Some(MID), "it serves, so it goes on");
    c.pass(25 * US);
    c.world.reply_wait(MID, outer, 8);
    assert_eq!(c.world.current(), Some(PEER));
    assert_eq!([1, 2, 3].map(|slot| c.paid_in_all(slot)), [475 * US, 0, 0]);
    assert_eq!((c.left(1), c.left(2)), (-275_000, 100_000));
}

#[test]
fn the_server_of_a_payer_that_was_killed_goes_on_at_its_own_expense() {
    let mut c = Clockwork::trio();
    c.limit(1, 100 * US, 10 * MS);
    c.limit(2, 100 * US, 10 * MS);
    c.world.call(LOW, 2, 5);
    let outer = c.world.registers(MID).rax;
    c.pass(150 * US);
    c.world.call(MID, 3, 6);
    let inner = c.world.registers(HIGH).rax;
    c.stop(LOW);
    assert_eq!(c.world.current(), Some(HIGH));
    c.pass(50 * US);
    c.world.reply_wait(HIGH, inner, 7);
    assert_eq!(c.world.current(), Some(MID), "MID's own account is full");
    c.pass(60 * US);
    assert_eq!(c.world.current(), Some(MID));
    c.pass(40 * US);
    assert_eq!(c.world.current(), Some(PEER), "it serves nobody, and has nothing left");
    assert_eq!([1, 2, 3].map(|slot| c.paid_in_all(slot)), [150 * US, 100 * US, 50 * US]);
    while c.world.current() != Some(MID) {
        c.pass(10 * US);
    }
    c.world.reply_wait(MID, outer, 8);
    assert_eq!(c.world.core.stale_tokens, 1);
}

#[test]
fn a_server_rests_in_the_middle_of_its_own_work() {
    let mut c = Clockwork::trio();
    c.limit(2, 100 * US, 10 * MS);
    c.raise(2, 1);
    c.pass(60 * US);
    c.world.wait(MID);
    c.raise(2, 2);
    c.pass(60 * US);
    assert_eq!((c.world.current(), c.left(2)), (Some(LOW), 0));
    c.world.call(LOW, 2, 5);
    assert_eq!(c.world.current(), Some(PEER), "MID has not finished");
    c.pass(10 * MS - 130 * US);
    assert_eq!(c.world.current(), Some(PEER));
    c.pass(10 * US);
    c.world.wait(MID);
    assert_eq!(c.world.event(MID).1, 0x11);
}

#[test]
fn bits_wait_for_the_refill_and_calls_do_not() {
    let mut c = Clockwork::trio();
    c.limit(2, 100 * US, 10 * MS);
    c.raise(2, 1);
    // A reply without a wait keeps it running; it uses up everything just as it waits again.
    c.pass(99 * US);
    c.world.model.now += US;
    c.world.wait(MID);
    c.raise(2, 2);
    assert_eq!((c.world.current(), c.left(2)), (Some(LOW), 0));
    c.world.call(LOW, 2, 5);
    let (_, badge, bits, _) = c.world.event(MID);
    assert_eq!((badge, bits), (0x11, 2), "and the bits come with it");
    let token = c.world.registers(MID).rax;
    c.pass(MS);
    c.world.reply_wait(MID, token, 1);
    assert_eq!((c.left(2), c.paid_in_all(1)), (0, MS));
}

#[test]
fn after_a_long_idle_time_there_is_one_budget() {
    let mut c = Clockwork::trio();
    c.limit(1, MS, 10 * MS);
    c.world.call(LOW, 2, 5);
    let token = c.world.registers(MID).rax;
    c.pass(5 * MS);
    c.world.wait(MID);
    c.world.wait(PEER);
    c.pass(3_600_000 * MS);
    c.raise(2, 1);
    c.world.reply_wait(MID, token, 6);
    assert_eq!((c.world.current(), c.left(1)), (Some(LOW), MS as i64));
    c.pass(MS - 1);
    assert_eq!(c.world.current(), Some(LOW));
    c.pass(1);
    assert_eq!(c.world.next, Next::Idle);
    c.pass(9 * MS - 1);
    assert_eq!(c.world.next, Next::Idle, "the period began with the use");
    c.pass(1);
    assert_eq!(c.world.current(), Some(LOW));
}

#[test]
fn time_that_the_hypervisor_withheld_is_not_charged() {
    let mut c = Clockwork::trio();
    c.limit(1, MS, 100 * MS);
    c.pass(MS / 2);
    c.steal(20 * MS);
    assert_eq!((c.world.current(), c.left(1)), (Some(LOW), MS as i64 / 2));
    c.pass(MS / 2 - 1);
    assert_eq!(c.world.current(), Some(LOW));
    c.pass(1);
    assert_eq!(c.world.current(), Some(PEER));
}

#[test]
fn a_clock_that_goes_far_ahead_stops_nobody_for_good() {
    let mut c = Clockwork::trio();
    c.limit(1, MS, 10 * MS);
    c.limit(4, MS, 10 * MS);
    c.pass(2 * MS);
    assert_eq!(c.world.next, Next::Idle);
    for far in [1 << 40, 1 << 55, 1 << 62, u64::MAX - 100 * MS] {
        c.world.tick(far);
        c.pass(30 * MS);
        for slot in [1, 4] {
            let paid = c.paid(slot, far, far + 30 * MS);
            assert!((3 * MS..=4 * MS).contains(&paid), "{slot} {far}: {paid}");
        }
        while c.world.next != Next::Idle {
            c.pass(MS);
        }
    }
    let mut c = Clockwork::trio();
    c.limit(1, MS, 10 * MS);
    c.world.tick(u64::MAX);
    c.world.tick(u64::MAX);
    assert_eq!(c.world.current(), Some(PEER));
}

#[test]
fn sixty_four_accounts_get_what_they_are_granted() {
    let counts = abi::image::Counts { slots: 65, servers: 65, handles: 800, tables: 300, ..COUNTS };
    let mut w = World::boot_with(counts, 1);
    for slot in 1..65 {
        w.server(slot, 10 + slot as u8 % 7);
    }
    let mut c = Clockwork { world: w, spent: std::vec::Vec::new() };
    c.world.wait(ROOT);
    // 64 times 1 %, in periods of different length: 64 % in all.
    for slot in 1..65 {
        let period = 10 * MS + u64::from(slot) * MS;
        c.limit(slot, period / 100, period);
    }
    let start = c.world.model.now;
    c.pass(2_000 * MS);
    for slot in 1..65 {
        let (used, share) = (c.paid_in_all(slot), 20 * MS);
        assert!(used.abs_diff(share) <= MS, "{slot}: {used} of {share}");
        assert!(c.account(slot).1 >= used);
    }
    assert_eq!(c.world.model.now, start + 2_000 * MS);
}

#[test]
fn an_overrun_is_charged_to_the_client_up_to_the_limit_and_then_to_the_server() {
    let mut c = Clockwork::trio();
    c.world.core.slots[SlotId(2)].longest = MS;
    c.limit(1, 100 * US, 10 * MS);
    c.world.call(LOW, 2, 5);
    c.pass(MS);
    assert_eq!(c.world.registers(ROOT).rdi, FaultKind::Overrun as u64);
    c.pass(MS);
    assert_eq!((c.paid_in_all(1), c.paid_in_all(2)), (MS, MS));
    assert_eq!(c.left(1), 100_000 - MS as i64);
}

#[test]
fn callers_of_a_resting_server_wake_it_wherever_it_is_in_the_list() {
    let mut w = World::boot();
    let client = w.server(1, 10);
    let servers = [(2, 20), (3, 21), (4, 22)].map(|(slot, priority)| w.server(slot, priority));
    let mut c = Clockwork { world: w, spent: std::vec::Vec::new() };
    for (index, slot) in (2..5).enumerate() {
        c.world.wire(client, 2 + index as u16, HandleKind::Wire, slot, 0x11, 1);
    }
    c.world.wait(ROOT);
    for thread in servers.iter().rev() {
        c.world.wait(*thread);
    }
    for (slot, period) in [(2, 30), (3, 10), (4, 20)] {
        c.limit(slot, 100 * US, period * MS);
        c.raise(slot, 1);
        c.pass(99 * US);
        c.world.model.now += US;
        c.world.wait(servers[usize::from(slot) - 2]);
        c.raise(slot, 1);
        assert_eq!(c.world.current(), Some(client), "{slot} rests");
    }
    for (handle, thread) in [(2, servers[0]), (4, servers[2]), (3, servers[1])] {
        c.world.call(client, handle, 5);
        let token = c.world.registers(thread).rax;
        c.world.reply_wait(thread, token, 6);
        assert_eq!(c.world.returned(client).0, Status::Ok);
    }
}

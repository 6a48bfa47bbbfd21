//! Live swap: candidates, what they cannot do, and what a commit moves.

use abi::Status;
use abi::fault::FaultKind;
use abi::kernel::control::{Access, Error, HandleKind, ObjectKind, SlotState};
use abi::layout::SHARED;
use abi::token::Kind;
use abi::trap::BIT_TIMER;

use super::audit;
use super::ipc::trio;
use super::memory::{map, region};
use super::world::{World, message};
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::{Life, State};

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const OLD: ThreadId = ThreadId(2);
const PEER: ThreadId = ThreadId(4);
const NEW: ThreadId = ThreadId(5);
const SLOT: SlotId = SlotId(2);
/// Handle to the slot that is swapped.
const TO_SLOT: u64 = 2;
const SUPERVISOR: u64 = 1;

fn candidate(w: &mut World) -> Result<ThreadId, Error> {
    let new = w.core.server_candidate(&mut w.model, SLOT, 12)?;
    let target = HandleKind::Wire as u64 | 0x99 << 32;
    let target = crate::core::handle::Target::from_word(target);
    w.core.handle_install(new, 1, target, 1).unwrap();
    Ok(new)
}

fn start(w: &mut World, server: ThreadId) -> Result<(), Error> {
    w.core.preempted(super::world::HERE);
    w.core.thread_start(&mut w.model, server, (0x40_0000, 0x2000_0000, 7))?;
    w.settle();
    Ok(())
}

fn commit(w: &mut World, server: ThreadId) -> Result<ThreadId, Error> {
    w.core.server_commit(&mut w.model, server)
}

fn destroy(w: &mut World, server: ThreadId) {
    while !w.core.server_destroy(&mut w.model, server).unwrap() {
        w.settle();
    }
    w.settle();
}

/// The low server's call is held by the old server, which has called the supervisor; `PEER` runs. Returns the tokens of both
/// calls.
fn quiesced() -> (World, u64, u64) {
    let mut w = trio();
    w.wire(OLD, 1, HandleKind::Wire, 0, 0x22, 1);
    w.call(LOW, TO_SLOT, 1);
    let held = w.registers(OLD).rax;
    w.call(OLD, SUPERVISOR, 7);
    let asked = w.registers(ROOT).rax;
    w.wait(ROOT);
    (w, held, asked)
}

/// As `quiesced`, and a candidate has called the supervisor too, which runs; returns the held token and that of the candidate.
fn adopted() -> (World, u64, u64) {
    let (mut w, held, _) = quiesced();
    assert_eq!(candidate(&mut w), Ok(NEW));
    start(&mut w, NEW).unwrap();
    w.call(NEW, SUPERVISOR, 8);
    let (token, badge, ..) = w.event(ROOT);
    assert_eq!(badge, 0x99, "the supervisor knows who calls");
    (w, held, token.bits())
}

#[test]
fn a_commit_moves_callers_held_tokens_bits_and_the_timer() {
    let (mut w, held, _) = quiesced();
    w.core.set_deadline(&mut w.model, OLD, 5000);
    w.call(PEER, TO_SLOT, 2);
    assert_eq!(w.core.threads[PEER].state, State::Queued);
    candidate(&mut w).unwrap();
    start(&mut w, NEW).unwrap();
    w.call(NEW, SUPERVISOR, 8);
    let go = w.registers(ROOT).rax;
    w.core.raise(&mut w.model, SLOT, 1 << 9);

    assert_eq!(commit(&mut w, NEW), Ok(OLD));
    assert_eq!((w.core.slots[SLOT].server, w.core.threads[OLD].life), (NEW, Life::Retired));
    w.reply_wait(ROOT, go, 0);
    assert_eq!(w.returned(NEW).0, Status::Ok);
    w.reply(NEW, held, 11);
    w.wait(NEW);
    let (token, badge, bits, label) = w.event(NEW);
    assert_eq!((token.kind(), badge, bits, label), (Kind::Call, 0x44, 1 << 9, 2));
    w.reply_wait(NEW, token.bits(), 22);
    assert_eq!(w.returned(LOW), (Status::Ok, message(11)));
    w.wait(LOW);
    assert_eq!(w.returned(PEER), (Status::Ok, message(22)));
    w.tick(5000);
    assert_eq!(w.event(NEW).2, BIT_TIMER, "the timer goes on");
}

#[test]
fn sixty_held_calls_are_answered_by_the_new_server_out_of_order() {
    use abi::image::Counts;
    let counts =
        Counts { slots: 70, servers: 70, handles: 1000, tables: 200, ..super::world::COUNTS };
    let mut w = World::boot_with(counts, 1);
    w.server(1, 100);
    w.wire(ThreadId(1), 1, HandleKind::Wire, 0, 0x22, 1);
    w.wait(ROOT);
    w.wait(ThreadId(1));
    let mut held = std::vec::Vec::new();
    for client in 2..62 {
        w.server(client, 10);
        w.wire(ThreadId(client), 2, HandleKind::Wire, 1, u32::from(client), 1);
        w.settle();
        w.call(ThreadId(client), 2, u64::from(client));
        held.push(w.registers(ThreadId(1)).rax);
        if client < 61 {
            w.wait(ThreadId(1));
        }
    }
    w.call(ThreadId(1), SUPERVISOR, 7);
    w.wait(ROOT);
    let new = w.core.server_candidate(&mut w.model, SlotId(1), 12).unwrap();
    w.wire(new, 1, HandleKind::Wire, 0, 0x99, 1);
    start(&mut w, new).unwrap();
    w.call(new, SUPERVISOR, 8);
    let go = w.registers(ROOT).rax;
    commit(&mut w, new).unwrap();
    w.reply_wait(ROOT, go, 0);
    for (at, token) in held.iter().enumerate().rev() {
        w.reply(new, *token, 1000 + at as u64);
    }
    w.wait(new);
    for client in (2..62).rev() {
        assert_eq!(w.returned(ThreadId(client)), (Status::Ok, message(998 + u64::from(client))));
        w.wait(ThreadId(client));
    }
    assert_eq!(w.core.stale_tokens, 0);
}

#[test]
fn a_candidate_reaches_the_kernel_and_the_supervisor_alone() {
    for trap in [
        |w: &mut World| w.call(NEW, TO_SLOT, 1),
        |w: &mut World| w.notify(NEW, 3),
        |w: &mut World| w.wait(NEW),
    ] {
        let (mut w, ..) = quiesced();
        candidate(&mut w).unwrap();
        w.wire(NEW, 3, HandleKind::Wire, 3, 0x99, 4);
        start(&mut w, NEW).unwrap();
        let now = w.kernel(NEW, 0, 3, [0; 5]);
        assert_eq!(now.words[0], w.model.now);
        trap(&mut w);
        assert_eq!(w.core.threads[NEW].state, State::Faulted, "told to the supervisor");
        assert_eq!(w.event(ROOT).0.kind(), Kind::Fault);
        assert_eq!(w.core.slots[SlotId(3)].bits, 0);
    }
}

#[test]
fn a_candidate_has_no_timer() {
    let (mut w, ..) = quiesced();
    candidate(&mut w).unwrap();
    start(&mut w, NEW).unwrap();
    w.kernel(NEW, 0, 2, [1, 0, 0, 0, 0]);
    w.kernel(NEW, 0, 2, [w.model.now + 100, 0, 0, 0, 0]);
    assert_eq!(w.core.threads[NEW].deadline, 0);
}

#[test]
fn shared_memory_is_read_only_until_the_commit() {
    let (mut w, ..) = quiesced();
    let shared = region(&mut w, 2, 0);
    candidate(&mut w).unwrap();
    assert_eq!(map(&mut w, NEW, shared, SHARED, 2, Access::Write), Ok(2));
    assert!(w.model.read_only.contains(&NEW.0));
    start(&mut w, NEW).unwrap();
    w.call(NEW, SUPERVISOR, 8);
    commit(&mut w, NEW).unwrap();
    assert!(!w.model.read_only.contains(&NEW.0));
}

#[test]
fn both_must_wait_for_the_supervisor() {
    let (mut w, ..) = quiesced();
    candidate(&mut w).unwrap();
    assert_eq!(commit(&mut w, NEW), Err(Error::Invalid), "it was not started");
    start(&mut w, NEW).unwrap();
    assert_eq!(commit(&mut w, NEW), Err(Error::Invalid), "it runs");
    assert_eq!(commit(&mut w, OLD), Err(Error::Invalid), "it is no candidate");
    assert_eq!(commit(&mut w, PEER), Err(Error::Invalid), "nor is this");
    let mut w = trio();
    candidate(&mut w).unwrap();
    start(&mut w, NEW).unwrap();
    w.call(NEW, SUPERVISOR, 8);
    assert_eq!(commit(&mut w, NEW), Err(Error::Invalid), "the old server waits for others");
    assert_eq!(w.core.slots[SLOT].server, OLD);
}

#[test]
fn a_slot_has_one_candidate_and_an_empty_one_none() {
    let (mut w, ..) = quiesced();
    candidate(&mut w).unwrap();
    assert_eq!(candidate(&mut w), Err(Error::Busy));
    let none = w.core.server_candidate(&mut w.model, SlotId(0), 12);
    assert_eq!(none, Err(Error::Invalid), "the supervisor has none");
    assert_eq!(w.core.server_candidate(&mut w.model, SlotId(3), 1), Err(Error::Invalid));
    destroy(&mut w, NEW);
    destroy(&mut w, OLD);
    assert_eq!(candidate(&mut w), Err(Error::Invalid));
}

#[test]
fn a_candidate_that_goes_leaves_the_old_server_as_it_was() {
    for faults in [false, true] {
        let (mut w, held, asked) = quiesced();
        let used = w.core.holdings[SLOT];
        candidate(&mut w).unwrap();
        start(&mut w, NEW).unwrap();
        if faults {
            w.exception(FaultKind::Page);
            w.wait(ROOT);
        }
        destroy(&mut w, NEW);
        assert_eq!(w.core.holdings[SLOT], used);
        assert_eq!(w.core.slots[SLOT].state, SlotState::Up);
        w.call(PEER, TO_SLOT, 2);
        let root = w.core.threads[ROOT].state;
        assert_eq!(root, State::Waiting);
        w.core.raise(&mut w.model, SlotId(0), 1);
        w.settle();
        w.reply_wait(ROOT, asked, 0);
        assert_eq!(w.returned(OLD).0, Status::Ok, "its call ends: it goes on");
        w.reply(OLD, held, 11);
        w.wait(OLD);
        let (token, _, _, label) = w.event(OLD);
        assert_eq!(label, 2);
        w.reply_wait(OLD, token.bits(), 22);
        assert_eq!(w.returned(LOW), (Status::Ok, message(11)));
    }
}

#[test]
fn a_retired_server_never_runs_and_can_be_taken_apart_under_calls() {
    let (mut w, held, go) = adopted();
    commit(&mut w, NEW).unwrap();
    assert_eq!(start(&mut w, OLD), Err(Error::Invalid));
    assert_eq!(w.core.thread_resume(&mut w.model, OLD), Err(Error::Invalid));
    w.settle();
    w.reply_wait(ROOT, go, 0);
    w.wait(NEW);
    w.call(PEER, TO_SLOT, 2);
    let token = w.registers(NEW).rax;
    destroy(&mut w, OLD);
    assert_eq!(w.core.holdings[SLOT].used(ObjectKind::Server), 1);
    assert_eq!(w.core.slots[SLOT].state, SlotState::Up);
    w.reply(NEW, held, 11);
    w.reply_wait(NEW, token, 22);
    assert_eq!(w.returned(LOW), (Status::Ok, message(11)));
}

#[test]
fn a_new_server_that_dies_after_the_commit_is_a_death_of_the_slots_server() {
    let (mut w, _, go) = adopted();
    commit(&mut w, NEW).unwrap();
    w.reply_wait(ROOT, go, 0);
    w.exception(FaultKind::Page);
    destroy(&mut w, NEW);
    assert_eq!(w.core.slots[SLOT].server, ThreadId::NONE);
    w.wait(ROOT);
    assert_eq!(w.core.threads[LOW].registers.rax, Status::Restarted as u64);
    audit::check(&w.core, &mut w.model);
}

#[test]
fn an_answer_to_the_old_server_after_the_commit_is_dropped() {
    let (mut w, _, asked) = quiesced();
    candidate(&mut w).unwrap();
    start(&mut w, NEW).unwrap();
    w.call(NEW, SUPERVISOR, 8);
    commit(&mut w, NEW).unwrap();
    w.reply(ROOT, asked, 0);
    assert_eq!((w.core.stale_tokens, w.core.threads[OLD].state), (1, State::Stopped));
}

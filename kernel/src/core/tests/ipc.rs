//! Calls, answers, tokens, bits, as servers see them.

use abi::kernel::control::{HandleKind, SlotState};
use abi::token::Kind;
use abi::{Message, Status, Token};

use super::world::{World, message};
use crate::core::hardware::Next;
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::{Saved, State};

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const HIGH: ThreadId = ThreadId(3);
const PEER: ThreadId = ThreadId(4);
/// Handle to the mid slot.
const TO_MID: u64 = 2;
/// Handle to the high slot.
const TO_HIGH: u64 = 3;
/// Bell to the low slot.
const BELL: u64 = 4;

/// Four servers; all but `LOW` and `PEER` (equal in priority) wait, and `LOW` runs.
pub fn trio() -> World {
    let mut w = World::boot();
    for (slot, priority) in [(1, 10), (2, 20), (3, 30), (4, 10)] {
        w.server(slot, priority);
    }
    for (from, badge) in [(LOW, 0x11), (PEER, 0x44)] {
        w.wire(from, 2, HandleKind::Wire, 2, badge, 1 << from.0);
        w.wire(from, 3, HandleKind::Wire, 3, badge | 0x100, 1 << from.0);
    }
    w.wire(MID, 3, HandleKind::Wire, 3, 0x22, 1 << 2);
    w.wire(MID, 4, HandleKind::Bell, 1, 0, 1 << 20);
    w.wire(HIGH, 4, HandleKind::Bell, 1, 0, 1 << 30);
    w.wait(ROOT);
    w.wait(HIGH);
    w.wait(MID);
    assert_eq!(w.current(), Some(LOW));
    w
}

fn token_of(w: &World, thread: ThreadId) -> u64 {
    w.registers(thread).rax
}

#[test]
fn a_call_is_taken_and_answered() {
    let mut w = trio();
    w.call(LOW, TO_MID, 5);
    let (token, badge, bits, _) = w.event(MID);
    assert_eq!((token.kind(), token.thread(), badge, bits), (Kind::Call, LOW.0, 0x11, 0));
    let registers = w.registers(MID);
    assert_eq!(Message::new(registers.rdi, registers.words), message(5));
    w.reply_wait(MID, token.bits(), 6);
    w.wait(PEER);
    assert_eq!(w.returned(LOW), (Status::Ok, message(6)));
}

#[test]
fn what_a_wait_returns_beside_bits_is_zero() {
    let mut w = trio();
    w.notify(LOW, TO_MID);
    let registers = w.registers(MID);
    assert_eq!((registers.rax, registers.rdi, registers.words, registers.r12), (0, 0, [0; 5], 0));
    assert_eq!(registers.r13, 1 << LOW.0);
    assert_eq!((registers.rip, registers.rsp), (0x40_1002, 0x1fff_f000), "where it waited");
}

#[test]
fn answers_go_out_in_any_order_each_to_its_caller() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let first = token_of(&w, MID);
    w.wait(MID);
    w.call(PEER, TO_MID, 2);
    let second = token_of(&w, MID);
    w.reply(MID, second, 22);
    w.reply_wait(MID, first, 11);
    assert_eq!(w.returned(PEER), (Status::Ok, message(22)));
    w.wait(PEER);
    assert_eq!(w.returned(LOW), (Status::Ok, message(11)));
}

#[test]
fn a_token_is_good_for_one_answer() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    w.reply(MID, token, 2);
    w.reply(MID, token, 3);
    assert_eq!(w.core.stale_tokens, 1);
    w.wait(MID);
    w.wait(PEER);
    assert_eq!(w.returned(LOW), (Status::Ok, message(2)));
    // Not in the next call either.
    w.call(LOW, TO_MID, 4);
    w.reply(MID, token, 5);
    assert_eq!((w.core.stale_tokens, w.core.threads[LOW].state), (2, State::Awaiting));
}

#[test]
fn a_token_is_good_for_the_server_that_was_called_alone() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    w.call(MID, TO_HIGH, 2);
    w.reply(HIGH, token, 3);
    assert_eq!((w.core.stale_tokens, w.core.threads[LOW].state), (1, State::Awaiting));
}

#[test]
fn tokens_of_nobody_are_dropped() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    let wrong = [
        Token::new(Kind::Call, 77, 1).bits(),
        Token::new(Kind::Call, MID.0, 0).bits(),
        token ^ 1 << 24,
        token.wrapping_sub(1 << 32),
        u64::MAX,
    ];
    for (count, wrong) in wrong.into_iter().enumerate() {
        w.reply(MID, wrong, 9);
        assert_eq!(w.core.stale_tokens, count as u64 + 1);
    }
    assert_eq!(w.core.threads[LOW].state, State::Awaiting);
}

#[test]
fn a_token_of_a_cancelled_call_is_void() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    assert!(w.core.cancel(&mut w.model, LOW));
    w.reply_wait(MID, token, 2);
    assert_eq!(w.core.stale_tokens, 1);
    w.wait(PEER);
    assert_eq!(w.returned(LOW), (Status::Cancelled, Message::default()));
}

#[test]
fn a_cancelled_wait_returns_with_nothing() {
    let mut w = trio();
    assert!(w.core.cancel(&mut w.model, MID));
    w.settle();
    assert_eq!(w.event(MID), (Token::NONE, 0, 0, 0));
    assert!(!w.core.cancel(&mut w.model, MID), "it runs");
}

#[test]
fn generations_wrap() {
    let mut w = trio();
    w.core.threads[LOW].token |= 0xffff_ffff << 32;
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    assert_eq!(Token::from_bits(token).generation(), 0);
    w.reply(MID, token.wrapping_sub(1 << 32), 2);
    assert_eq!(w.core.threads[LOW].state, State::Awaiting);
    w.reply_wait(MID, token, 3);
    w.wait(PEER);
    assert_eq!(w.returned(LOW), (Status::Ok, message(3)));
}

#[test]
fn callers_are_served_by_priority_and_then_in_order() {
    let mut w = trio();
    w.call(LOW, TO_HIGH, 1);
    let first = token_of(&w, HIGH);
    // While HIGH is busy, two more arrive; the more urgent comes last.
    for (thread, label) in [(PEER, 2), (MID, 3)] {
        w.core.withdraw(&mut w.model, thread);
        w.core.threads[thread].registers.rdi = label;
        w.core.threads[thread].saved = Saved::Trap;
        w.core.present(&mut w.model, thread, SlotId(3), State::Queued);
    }
    let mut labels = std::vec::Vec::new();
    let mut token = first;
    for _ in 0..2 {
        w.reply_wait(HIGH, token, 9);
        labels.push(w.event(HIGH).3);
        token = token_of(&w, HIGH);
    }
    assert_eq!(labels, [3, 2]);
}

#[test]
fn bits_that_come_in_a_row_wake_once() {
    let mut w = trio();
    w.core.raise(&mut w.model, SlotId(2), 1);
    w.core.raise(&mut w.model, SlotId(2), 4);
    w.settle();
    assert_eq!(w.event(MID).2, 5);
    w.wait(MID);
    assert_eq!(w.current(), Some(LOW));
}

#[test]
fn every_wait_returns_all_bits_and_at_most_one_call() {
    let mut w = trio();
    // A flood of bits and a flood of calls: both get on.
    for round in 0..50 {
        let client = w.current().unwrap();
        w.core.raise(&mut w.model, SlotId(2), 1 << 40);
        w.call(client, TO_MID, round);
        let (token, _, bits, label) = w.event(MID);
        assert_eq!((bits, label), (1 << 40, round));
        w.reply_wait(MID, token.bits(), 0);
    }
}

#[test]
fn a_wait_with_bits_pending_returns_at_once() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    w.core.raise(&mut w.model, SlotId(2), 8);
    w.reply_wait(MID, token, 2);
    assert_eq!(w.event(MID), (Token::NONE, 0, 8, 0));
}

#[test]
fn bells_and_wires_set_their_bits_in_the_peer() {
    let mut w = trio();
    w.notify(LOW, TO_HIGH);
    assert_eq!(w.event(HIGH).2, 1 << LOW.0);
    w.notify(HIGH, BELL);
    assert_eq!(w.core.slots[SlotId(1)].bits, 1 << 30);
    w.wait(HIGH);
    w.wait(LOW);
    assert_eq!(w.event(LOW).2, 1 << 30);
}

#[test]
fn the_chain_of_a_nested_call_is_paid_by_the_outermost_caller() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let outer = token_of(&w, MID);
    w.call(MID, TO_HIGH, 2);
    let inner = token_of(&w, HIGH);
    let payer = |w: &World, thread| w.core.threads[thread].payer;
    assert_eq!((payer(&w, MID), payer(&w, HIGH)), (SlotId(1), SlotId(1)));
    w.reply_wait(HIGH, inner, 3);
    assert_eq!((payer(&w, MID), payer(&w, HIGH)), (SlotId(1), SlotId(3)));
    w.reply_wait(MID, outer, 4);
    assert_eq!(payer(&w, MID), SlotId(2));
}

#[test]
fn killing_the_payer_three_calls_deep_leaves_servers_on_their_own_account() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    w.call(MID, TO_HIGH, 2);
    let inner = token_of(&w, HIGH);
    w.core.stop(&mut w.model, LOW);
    let payer = |thread| w.core.threads[thread].payer;
    assert_eq!((payer(MID), payer(HIGH)), (SlotId(2), SlotId(3)));
    w.reply_wait(HIGH, inner, 3);
    assert_eq!(w.returned(MID), (Status::Ok, message(3)));
}

#[test]
fn killing_a_caller_in_the_middle_of_the_queue_keeps_the_others() {
    let mut w = trio();
    w.core.withdraw(&mut w.model, MID);
    for thread in [LOW, PEER] {
        w.call(thread, TO_MID, u64::from(thread.0));
    }
    assert_eq!(w.next, Next::Idle);
    w.core.stop(&mut w.model, LOW);
    super::audit::check(&w.core, &mut w.model);
    w.core.thread_start(&mut w.model, MID, (0x40_0000, 0x2000_0000, 0)).unwrap();
    w.settle();
    w.wait(MID);
    let (token, .., label) = w.event(MID);
    assert_eq!((token.thread(), label), (PEER.0, 4));
    w.reply_wait(MID, token.bits(), 1);
    assert_eq!(w.returned(PEER), (Status::Ok, message(1)));
}

#[test]
fn a_restart_answers_reset_restarted_and_makes_wires_stale_once() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    let token = token_of(&w, MID);
    w.core.stop(&mut w.model, MID);
    w.settle();
    w.call(PEER, TO_MID, 2);
    w.core.slot_state(&mut w.model, SlotId(2), SlotState::Down).unwrap();
    w.settle();
    assert_eq!(w.returned(PEER), (Status::Reset, Message::default()), "it was not taken");
    // The next call on each wire says Reset, once; then calls wait for the new server.
    w.call(PEER, TO_MID, 3);
    assert_eq!(w.returned(PEER).0, Status::Reset);
    w.call(PEER, TO_MID, 4);
    assert_eq!(w.core.threads[PEER].state, State::Queued);
    assert_eq!(w.returned(LOW), (Status::Restarted, Message::default()), "it was taken");
    w.core.thread_start(&mut w.model, MID, (0x40_0000, 0x2000_0000, 0)).unwrap();
    w.settle();
    w.reply(MID, token, 5);
    assert_eq!(w.core.stale_tokens, 1, "a token of the old server");
    w.wait(MID);
    assert_eq!(w.event(MID).3, 4);
}

#[test]
fn a_restart_rings_the_bells_of_the_clients() {
    let mut w = trio();
    w.wait(LOW);
    w.wait(PEER);
    w.core.slot_state(&mut w.model, SlotId(2), SlotState::Down).unwrap();
    w.settle();
    assert_eq!(w.event(LOW).2, 1 << 20);
}

#[test]
fn chains_restart_innermost_first() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    w.call(MID, TO_HIGH, 2);
    w.core.stop(&mut w.model, HIGH);
    w.core.slot_state(&mut w.model, SlotId(3), SlotState::Down).unwrap();
    w.settle();
    assert_eq!(w.returned(MID).0, Status::Restarted);
    assert_eq!(w.core.threads[LOW].state, State::Awaiting, "its server lives");
    w.core.stop(&mut w.model, MID);
    w.core.slot_state(&mut w.model, SlotId(2), SlotState::Down).unwrap();
    w.settle();
    assert_eq!(w.core.threads[LOW].registers.rax, Status::Restarted as u64);
    assert_eq!(w.core.threads[LOW].state, State::Ready);
}

#[test]
fn a_slot_that_is_off_answers_gone_and_takes_no_bits() {
    let mut w = trio();
    w.call(LOW, TO_MID, 1);
    w.core.slot_state(&mut w.model, SlotId(2), SlotState::Off).unwrap();
    w.core.stop(&mut w.model, MID);
    w.settle();
    w.call(PEER, TO_MID, 2);
    assert_eq!(w.returned(PEER), (Status::Gone, Message::default()));
    w.notify(PEER, TO_MID);
    assert_eq!((w.core.lost_notifications, w.core.slots[SlotId(2)].bits), (1, 0));
    w.wait(PEER);
    assert_eq!(w.returned(LOW).0, Status::Restarted, "it was taken");
}

#[test]
fn calls_that_wait_learn_that_a_slot_went_off() {
    let mut w = trio();
    w.core.withdraw(&mut w.model, MID);
    w.call(LOW, TO_MID, 1);
    w.core.slot_state(&mut w.model, SlotId(2), SlotState::Off).unwrap();
    w.wait(PEER);
    assert_eq!(w.returned(LOW).0, Status::Gone);
}

#[test]
fn sixty_tokens_are_answered_out_of_order() {
    let mut w = World::boot_with(
        abi::image::Counts {
            slots: 64,
            servers: 64,
            handles: 900,
            tables: 300,
            ..super::world::COUNTS
        },
        1,
    );
    let server = w.server(1, 200);
    let clients: std::vec::Vec<ThreadId> = (2..62).map(|slot| w.server(slot, 10)).collect();
    for client in &clients {
        w.wire(*client, 2, HandleKind::Wire, 1, u32::from(client.0), 0);
    }
    w.wait(ROOT);
    w.wait(server);
    let mut tokens = std::vec::Vec::new();
    for client in &clients {
        w.call(*client, 2, u64::from(client.0));
        let (token, badge, ..) = w.event(server);
        assert_eq!(badge, u64::from(client.0));
        tokens.push(token);
        w.wait(server);
    }
    w.core.raise(&mut w.model, SlotId(1), 1);
    w.settle();
    for at in (0..60).map(|i| i * 37 % 60) {
        w.reply(server, tokens[at].bits(), 1000 + u64::from(tokens[at].thread()));
    }
    w.wait(server);
    for _ in &clients {
        let client = w.current().unwrap();
        assert_eq!(w.returned(client), (Status::Ok, message(1000 + u64::from(client.0))));
        w.wait(client);
    }
    assert_eq!(w.next, Next::Idle);
}

//! Broken rules: which trap faults and which answers an error; how the supervisor learns of it and decides.

use abi::fault::FaultKind;
use abi::kernel::control::HandleKind;
use abi::token::Kind;
use abi::{Message, Status, Token, Word};

use super::ipc::trio;
use super::world::{HERE, World};
use crate::core::handle::{CALL, Handle, NOTIFY};
use crate::core::hardware::{Exception, Next, Resume};
use crate::core::table::ThreadId;
use crate::core::thread::State;

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);

/// The fault that the supervisor has just taken: token, badge, kind, words.
fn fault(w: &World) -> (Token, u64, Option<FaultKind>, [u64; 5]) {
    let registers = w.registers(ROOT);
    let token = Token::from_bits(registers.rax);
    assert_eq!(token.kind(), Kind::Fault);
    (token, registers.r12, FaultKind::from_word(registers.rdi), registers.words)
}

#[test]
fn an_exception_is_told_with_its_place() {
    let mut w = trio();
    w.exception(FaultKind::Page);
    let (token, badge, kind, words) = fault(&w);
    assert_eq!((token.thread(), badge, kind), (1, 1, Some(FaultKind::Page)));
    assert_eq!(words, [1, 0xbad, 0x40_0123, 6, 0x1fff_0000]);
    assert_eq!(w.core.threads[LOW].state, State::Faulted);
}

#[test]
fn a_faulted_thread_goes_on_where_it_was_if_the_handler_says_so() {
    let mut w = trio();
    w.exception(FaultKind::Page);
    let token = fault(&w).0;
    let verdict = token.bits() & !0xff | 1;
    w.trap_as(ROOT, verdict, Message::default());
    w.wait(ThreadId(4));
    assert!(matches!(w.next, Next::Run { thread: 1, resume: Resume::Frame, .. }));
}

#[test]
fn a_faulted_thread_ends_if_the_handler_says_so() {
    let mut w = trio();
    w.exception(FaultKind::Page);
    let token = fault(&w).0;
    w.trap_as(ROOT, token.bits() & !0xff | 1, Message::new(0, [1, 0, 0, 0, 0]));
    assert_eq!((w.core.threads[LOW].state, w.current()), (State::Stopped, Some(ThreadId(4))));
}

#[test]
fn a_trap_that_faulted_is_tried_again() {
    let mut w = trio();
    w.call(LOW, 99, 5);
    let (token, _, kind, words) = fault(&w);
    assert_eq!((kind, words), (Some(FaultKind::BadHandle), [1, 99, 0x40_1000, 0, 0x1fff_f000]));
    let set = |w: &mut World, set| w.core.thread_registers(&mut w.model, LOW, set).unwrap();
    assert_eq!(set(&mut w, 0), [0x40_1000, 0x1fff_f000, 0x202, 99 << 8, 0]);
    assert_eq!(set(&mut w, 1), [0, 51, 50, 5, 0]);
    assert_eq!(set(&mut w, 2), [53, 54, 52, 0, 0]);
    w.trap_as(ROOT, token.bits() & !0xff | 1, Message::default());
    w.wait(ThreadId(4));
    let registers = w.registers(LOW);
    assert_eq!((registers.rax, registers.rip, registers.rdi), (99 << 8, 0x40_1000, 5));
}

#[test]
fn registers_of_a_thread_that_runs_are_not_told() {
    let mut w = trio();
    assert!(w.core.thread_registers(&mut w.model, LOW, 0).is_err());
    assert!(w.core.thread_registers(&mut w.model, MID, 0).is_err());
    w.exception(FaultKind::Page);
    assert_eq!(w.core.thread_registers(&mut w.model, LOW, 2).unwrap()[4], 1 << 16 | 2 << 8 | 4);
    assert!(w.core.thread_registers(&mut w.model, LOW, 4).is_err());
}

#[test]
fn of_a_thread_that_is_stopped_in_its_call_only_the_place_is_told() {
    let mut w = trio();
    w.call(LOW, 2, 5);
    w.core.preempted(HERE);
    w.core.stop(&mut w.model, LOW);
    let set = |w: &mut World, set| w.core.thread_registers(&mut w.model, LOW, set).unwrap();
    assert_eq!(set(&mut w, 0), [0x40_1002, 0x1fff_f000, 0x202, 0, 0]);
    assert_eq!([1, 2, 3].map(|sets| set(&mut w, sets)), [[0; 5]; 3]);
}

#[test]
fn every_trap_number_that_does_not_exist_faults() {
    for number in 4..=255 {
        let mut w = trio();
        w.trap_as(LOW, 0xabcd_ef00 | number, Message::default());
        let (.., kind, words) = fault(&w);
        assert_eq!((kind, words[1]), (Some(FaultKind::BadTrap), 0xabcd_ef00 | number));
    }
}

#[test]
fn handles_beyond_the_table_fault() {
    for index in [12, 13, 0xffff, 0x1_0000, 1 << 32, (1 << 56) - 1] {
        for number in [0, 3] {
            let mut w = trio();
            w.trap_as(LOW, index << 8 | number, Message::default());
            assert_eq!((fault(&w).2, fault(&w).3[1]), (Some(FaultKind::BadHandle), index));
        }
    }
}

/// What a trap through a handle leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Fault(FaultKind),
    Status(Status),
    Queued,
    Silent,
}

fn outcome(w: &World) -> Outcome {
    match w.core.threads[LOW].state {
        State::Queued | State::Awaiting => Outcome::Queued,
        State::Faulted => Outcome::Fault(fault(w).2.unwrap()),
        State::Ready => Outcome::Silent,
        State::Running => Outcome::Status(w.returned(LOW).0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_pair_of_kind_right_and_trap_faults_or_answers() {
    use HandleKind::{Bell, Control, Empty, Own, Port, Stale, Window, Wire};
    let bad = Outcome::Fault(FaultKind::BadHandle);
    let call = Outcome::Fault(FaultKind::BadCall);
    // Label 77 is no method of any kernel interface.
    for kind in [Empty, Own, Wire, Bell, Port, Window, Control, Stale] {
        for rights in 0..4 {
            let may = |right| rights & right != 0;
            let calls = match kind {
                Empty => Outcome::Status(Status::Gone),
                Wire if may(CALL) => Outcome::Queued,
                Stale if may(CALL) => Outcome::Status(Status::Reset),
                Wire | Stale | Bell => bad,
                Own | Port | Window | Control => call,
            };
            // A notification of the mid slot lets its server run first.
            let notifies = match kind {
                Empty | Port => Outcome::Status(Status::Ok),
                Wire | Stale | Bell if may(NOTIFY) => Outcome::Silent,
                _ => bad,
            };
            for (number, expected) in [(0, calls), (3, notifies)] {
                let mut w = trio();
                let object = if matches!(kind, Wire | Stale | Bell) { 2 } else { 0 };
                let handle = Handle { bits: 1, ..Handle::new(kind, rights, object) };
                *w.core.handle_mut(LOW, 11).unwrap() = handle;
                w.trap_as(LOW, 11 << 8 | number, Message::new(77, [0; 5]));
                assert_eq!(outcome(&w), expected, "{kind:?} with {rights}, trap {number}");
            }
        }
    }
}

#[test]
fn arguments_that_are_no_values_fault() {
    let mut w = trio();
    // `own.debug` of 33 bytes, by a server that may print.
    w.core.handle_install(LOW, 0, crate::core::handle::Target::from_word(1), 1).unwrap();
    w.trap_as(LOW, 0, Message::new(4, [33, 0, 0, 0, 0]));
    assert_eq!((fault(&w).2, fault(&w).3[1]), (Some(FaultKind::BadCall), 4));
    assert!(w.model.printed.is_empty());
}

#[test]
fn an_exit_is_told_with_its_code() {
    let mut w = trio();
    w.trap_as(LOW, 0, Message::new(1, [42, 0, 0, 0, 0]));
    assert_eq!((fault(&w).2, fault(&w).3[1]), (Some(FaultKind::Exit), 42));
}

#[test]
fn faults_queue_while_the_supervisor_is_busy() {
    let mut w = trio();
    w.exception(FaultKind::Division);
    let first = fault(&w).0;
    w.core.vcpus[crate::core::table::VcpuId(0)].current = ROOT;
    let late = crate::core::thread::Fault::from(Exception {
        kind: FaultKind::Debug,
        address: 0,
        rip: 0,
        error: 0,
        rsp: 0,
    });
    w.core.unready(ThreadId(4));
    w.core.threads[ThreadId(4)].state = State::Running;
    w.core.fault(&mut w.model, ThreadId(4), late);
    // Not taken yet: its token, guessed, answers nothing.
    let guess = Token::new(
        Kind::Fault,
        4,
        Token::from_bits(w.core.threads[ThreadId(4)].token).generation(),
    );
    w.reply(ROOT, guess.bits(), 0);
    assert_eq!((w.core.stale_tokens, w.core.threads[ThreadId(4)].state), (1, State::FaultQueued));
    w.trap_as(ROOT, first.bits() & !0xff | 1, Message::new(0, [1, 0, 0, 0, 0]));
    assert_eq!((fault(&w).1, fault(&w).2), (4, Some(FaultKind::Debug)));
}

#[test]
fn the_supervisors_own_fault_ends_everything() {
    let mut w = World::boot();
    w.exception(FaultKind::Page);
    let Next::Fatal(fault) = w.next else { panic!("{:?}", w.next) };
    assert_eq!((fault.kind, fault.rip), (FaultKind::Page, 0x40_0123));
    let mut w = World::boot();
    w.trap_as(ROOT, 77 << 8, Message::default());
    assert!(matches!(
        w.next,
        Next::Fatal(Exception { kind: FaultKind::BadHandle, address: 77, .. })
    ));
}

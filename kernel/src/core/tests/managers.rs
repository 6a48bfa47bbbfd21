//! Managers: who is told of a fault, who decides, and what they do with the memory and the threads of others.

use abi::fault::{FaultKind, KILL, PASS, RETRY};
use abi::kernel::control::{Access, Error, HandleKind, NO_SERVER, ObjectKind, SlotState};
use abi::token::Kind;
use abi::{Message, Token};

use super::holdings;
use super::ipc::trio;
use super::world::World;
use crate::core::handle::Target;
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::State;

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const HIGH: ThreadId = ThreadId(3);
/// Where the mid server has its control handle.
const CONTROL: u64 = 6;
/// An address in which nothing is mapped.
const AT: u64 = 0x5000_0000;

/// The mid server manages the low slot, and the high one the mid slot; `LOW` runs.
pub fn managed() -> World {
    let mut w = trio();
    for slot in [1, 2] {
        let server = holdings::server(&w.core, slot);
        w.core.slots[SlotId(slot)].server = ThreadId::NONE;
        w.core.slot_manager(SlotId(slot), SlotId(slot + 1)).unwrap();
        w.core.slots[SlotId(slot)].server = server;
    }
    let control = Target::from_word(HandleKind::Control as u64 | 2 << 16);
    w.core.handle_install(MID, 6, control, 0).unwrap();
    w
}

fn answer(w: &mut World, thread: ThreadId, token: Token, verdict: u64) {
    let message = Message::new(0, [verdict, 0, 0, 0, 0]);
    w.trap_as(thread, token.bits() & !0xff | 2, message);
}

/// A fault that `thread` has just taken, of the low slot's server.
fn taken(w: &World, thread: ThreadId) -> Token {
    let (token, badge, ..) = w.event(thread);
    assert_eq!((token.kind(), token.thread(), badge), (Kind::Fault, 1, 1));
    token
}

#[test]
fn a_fault_goes_to_the_manager_who_lets_the_thread_go_on() {
    let mut w = managed();
    w.exception(FaultKind::Page);
    let token = taken(&w, MID);
    answer(&mut w, MID, token, RETRY);
    assert_eq!(w.core.threads[LOW].state, State::Ready);
    answer(&mut w, MID, token, RETRY);
    assert_eq!(w.core.stale_tokens, 1, "a token is good once");
}

#[test]
fn a_manager_may_end_a_thread() {
    let mut w = managed();
    w.exception(FaultKind::Page);
    let token = taken(&w, MID);
    answer(&mut w, MID, token, KILL);
    assert_eq!(w.core.threads[LOW].state, State::Stopped);
}

#[test]
fn a_fault_that_is_passed_on_is_the_supervisors() {
    let mut w = managed();
    w.exception(FaultKind::Page);
    let token = taken(&w, MID);
    answer(&mut w, MID, token, PASS);
    assert_eq!(w.core.threads[LOW].state, State::Faulted);
    let second = taken(&w, ROOT);
    let registers = w.registers(ROOT);
    assert_eq!(registers.words, [1, 0xbad, 0x40_0123, 6, 0x1fff_0000], "told as it was");
    assert_ne!(token, second);
    answer(&mut w, ROOT, second, PASS);
    assert_eq!(w.core.threads[LOW].state, State::Stopped, "there is nobody to pass it on to");
    w.wait(ROOT);
    answer(&mut w, MID, token, RETRY);
    assert_eq!(w.core.stale_tokens, 1, "the manager's token ended as it passed the fault on");
}

#[test]
fn faults_that_a_manager_holds_when_it_dies_go_to_the_supervisor() {
    for take in [false, true] {
        let mut w = managed();
        if !take {
            // The manager is at work, so the fault waits in its inbox.
            w.core.preempted(super::world::HERE);
            w.core.raise(&mut w.model, SlotId(2), 1);
            w.settle();
            w.core.unready(LOW);
            w.core.threads[LOW].state = State::Running;
            let fault = crate::core::thread::Fault {
                kind: FaultKind::Page,
                address: 0,
                error: 0,
                rip: 0,
                rsp: 0,
            };
            w.core.fault(&mut w.model, LOW, fault);
            assert_eq!(w.core.threads[LOW].state, State::FaultQueued);
        } else {
            w.exception(FaultKind::Page);
        }
        w.core.preempted(super::world::HERE);
        while !w.core.server_destroy(&mut w.model, MID).unwrap() {
            w.settle();
        }
        w.settle();
        let token = taken(&w, ROOT);
        answer(&mut w, ROOT, token, RETRY);
        assert_eq!(w.core.threads[LOW].state, State::Ready, "taken: {take}");
    }
}

#[test]
fn while_a_manager_is_not_there_the_supervisor_is_told() {
    for state in [SlotState::Off, SlotState::Down] {
        let mut w = managed();
        w.core.slot_state(&mut w.model, SlotId(2), state).unwrap();
        w.settle();
        w.exception(FaultKind::Page);
        taken(&w, ROOT);
    }
}

#[test]
fn a_managers_fault_goes_to_its_own_manager() {
    let mut w = managed();
    w.core.preempted(super::world::HERE);
    w.core.raise(&mut w.model, SlotId(2), 1);
    w.settle();
    w.exception(FaultKind::Division);
    let (token, badge, ..) = w.event(HIGH);
    assert_eq!((token.kind(), badge), (Kind::Fault, 2));
}

#[test]
fn managers_are_above_and_set_before_there_is_a_server() {
    let mut w = trio();
    let set = |w: &mut World, slot, manager| w.core.slot_manager(SlotId(slot), SlotId(manager));
    assert_eq!(set(&mut w, 1, 3), Err(Error::Invalid), "its server runs");
    for (slot, priority) in [(5, 10), (6, 20)] {
        w.core.slot_configure(SlotId(slot), priority, 0).unwrap();
    }
    assert_eq!(set(&mut w, 5, 5), Err(Error::Priority), "itself");
    assert_eq!(set(&mut w, 5, 4), Err(Error::Priority), "level");
    assert_eq!(set(&mut w, 6, 5), Err(Error::Priority), "down");
    assert_eq!(set(&mut w, 0, 6), Err(Error::Invalid), "the supervisor");
    assert_eq!(set(&mut w, 5, 6), Ok(()));
    assert_eq!(set(&mut w, 5, 0), Ok(()), "and no more");
    assert!(!w.core.manages(SlotId(6), SlotId(5)));
}

#[test]
fn a_control_handle_names_the_servers_own_slot() {
    let mut w = managed();
    let mut install = |server, object: u64| {
        let target = Target::from_word(HandleKind::Control as u64 | object << 16);
        w.core.handle_install(server, 7, target, 0)
    };
    for other in [0, 1, 3, 99, 0xffff] {
        assert_eq!(install(MID, other), Err(Error::Invalid), "slot {other}");
    }
    assert_eq!(install(MID, 2), Ok(()));
    assert_eq!(install(ROOT, 2), Err(Error::Invalid));
}

/// The mid server, which runs, with a region of four pages, mapped in the low server.
fn pager() -> (World, u64) {
    let mut w = managed();
    w.core.preempted(super::world::HERE);
    w.core.raise(&mut w.model, SlotId(2), 1);
    w.settle();
    let region = w.kernel(MID, CONTROL, 10, [2, 4, 0, 0, 0]).words[0];
    assert_eq!(w.kernel(MID, CONTROL, 11, [region, 0, 0, 0, 0]).words[0], 0);
    assert_eq!(w.kernel(MID, CONTROL, 15, [1, region, AT, 0, 4 | 2 << 16]).words[0], 4);
    (w, region)
}

#[test]
fn what_a_manager_maps_counts_for_whoever_has_it() {
    let (w, _) = pager();
    let used = |slot, kind| w.core.holdings[SlotId(slot)].used(kind);
    assert_eq!((used(2, ObjectKind::Frame), used(1, ObjectKind::Frame)), (4, 0));
    assert_eq!((used(2, ObjectKind::Table), used(1, ObjectKind::Table)), (2, 2));
    assert_eq!(w.core.threads[LOW].pages, 4);
}

#[test]
fn a_manager_unmaps_nothing_that_it_did_not_make() {
    let (mut w, _) = pager();
    let given = w.core.region_create(&mut w.model, SlotId(1), 1, 0).unwrap();
    w.core.region_extend(&mut w.model, given).unwrap();
    let mapping = crate::core::space::Mapping {
        region: given,
        first: 0,
        count: 1,
        address: AT + 0x4000,
        access: Access::Write,
    };
    w.core.map(&mut w.model, LOW, &mapping).unwrap();
    let mut unmap = |at: u64, count| w.kernel(MID, CONTROL, 16, [1, at, count, 0, 0]);
    assert_eq!(unmap(AT + 0x4000, 1).label, Error::NotAllowed as u64);
    assert_eq!(unmap(AT + 0x2000, 8).words[0], 2, "up to that page");
    assert_eq!(unmap(AT, 8).words[0], 4);
    assert_eq!(w.core.threads[LOW].pages, 1);
    let info = w.kernel(MID, CONTROL, 30, [1, 0, 0, 0, 0]).words;
    assert_eq!(info, [2, 1, 10, 2, 0]);
}

#[test]
fn a_stopped_thread_goes_on_where_it_was() {
    let (mut w, _) = pager();
    assert_eq!(w.kernel(MID, CONTROL, 33, [1, 0, 0, 0, 0]).label, Error::Invalid as u64, "ready");
    assert_eq!(w.kernel(MID, CONTROL, 7, [1, 0, 0, 0, 0]).label, 0);
    assert_eq!(w.core.threads[LOW].state, State::Stopped);
    assert_eq!(w.kernel(MID, CONTROL, 33, [1, 0, 0, 0, 0]).label, 0);
    assert_eq!(w.core.threads[LOW].state, State::Ready);
    assert_eq!(w.core.slots[SlotId(1)].bits, 1 << 62);
}

#[test]
fn a_thread_stopped_from_another_vcpu_goes_on_where_it_then_was() {
    use crate::core::hardware::{Next, Resume, TrapRegisters, Vcpu};
    for traps in [true, false] {
        let mut w = World::boot_with(super::world::COUNTS, 2);
        w.core.slot_configure(SlotId(1), 10, 1).unwrap();
        let far = w.core.server_create(&mut w.model, SlotId(1), 4).unwrap();
        w.core.slot_state(&mut w.model, SlotId(1), SlotState::Up).unwrap();
        w.core.thread_start(&mut w.model, far, (0x40_0000, 0x2000_0000, 0)).unwrap();
        assert!(matches!(w.core.next(&mut w.model, Vcpu(1)), Next::Run { thread: 1, .. }));
        assert_eq!(w.kernel(ROOT, 1, 7, [1, 0, 0, 0, 0]).label, 0);
        assert_eq!(w.kernel(ROOT, 1, 33, [1, 0, 0, 0, 0]).label, Error::Busy as u64, "it runs");
        let registers = TrapRegisters { rax: 9 << 8, rip: 0x40_0702, ..TrapRegisters::default() };
        if traps {
            // Its registers are kept by the machine before the core looks.
            w.core.threads[far].registers = registers;
            w.core.trapped(&mut w.model, Vcpu(1));
        } else {
            w.core.preempted(Vcpu(1));
        }
        assert_eq!(w.core.next(&mut w.model, Vcpu(1)), Next::Idle);
        assert_eq!(w.kernel(ROOT, 1, 33, [1, 0, 0, 0, 0]).label, 0);
        let Next::Run { thread: 1, resume, .. } = w.core.next(&mut w.model, Vcpu(1)) else {
            panic!("it does not go on")
        };
        let again = TrapRegisters { rip: 0x40_0700, ..registers };
        assert_eq!(resume, if traps { Resume::Trap } else { Resume::Frame });
        assert!(!traps || w.core.threads[far].registers == again);
    }
}

#[test]
fn a_thread_that_never_ran_cannot_be_resumed() {
    let mut w = World::boot();
    w.core.slot_configure(SlotId(1), 10, 0).unwrap();
    let fresh = w.core.server_create(&mut w.model, SlotId(1), 4).unwrap();
    assert_eq!(w.core.thread_resume(&mut w.model, fresh), Err(Error::Invalid));
    assert_eq!(w.kernel(ROOT, 1, 30, [1, 0, 0, 0, 0]).words, [0, u64::from(fresh.0), 10, 0, 0]);
    while !w.core.server_destroy(&mut w.model, fresh).unwrap() {}
    assert_eq!(w.kernel(ROOT, 1, 30, [1, 0, 0, 0, 0]).words[1], u64::from(NO_SERVER));
}

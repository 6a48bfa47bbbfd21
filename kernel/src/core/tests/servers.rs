//! Slots, servers and handles: made, wired, taken apart, made again; and the supervisor's interface as it calls it.

use abi::kernel::control::{Access, Error, HandleKind, MAY_PRINT, SlotState};
use abi::kernel::own;
use abi::layout::{PAGE, USER_END};
use abi::{Message, Status, Word};

use super::audit;
use super::ipc::trio;
use super::memory::{map, pair, region};
use super::world::{COUNTS, World};
use crate::core::handle::Target;
use crate::core::hardware::{Next, Resume};
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::{Life, State};

const ROOT: ThreadId = ThreadId(0);
const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const HIGH: ThreadId = ThreadId(3);

fn install(
    w: &mut World,
    server: ThreadId,
    index: u16,
    kind: u64,
    object: u64,
) -> Result<(), Error> {
    w.core.handle_install(server, index, Target::from_word(kind | object << 16 | 5 << 32), 1)
}

fn destroy(w: &mut World, server: ThreadId) -> u32 {
    let mut calls = 1;
    while !w.core.server_destroy(&mut w.model, server).unwrap() {
        w.settle();
        calls += 1;
    }
    audit::check(&w.core, &mut w.model);
    calls
}

#[test]
fn wires_lead_upwards_only() {
    let mut w = trio();
    let wire = HandleKind::Wire as u64;
    assert_eq!(install(&mut w, MID, 5, wire, 1), Err(Error::Priority), "down");
    assert_eq!(install(&mut w, LOW, 5, wire, 4), Err(Error::Priority), "level");
    assert_eq!(install(&mut w, LOW, 5, wire, 1), Err(Error::Priority), "to itself");
    assert_eq!(
        install(&mut w, ROOT, 5, wire, 3),
        Err(Error::Priority),
        "the supervisor calls nobody"
    );
    assert_eq!(install(&mut w, LOW, 5, wire, 0), Ok(()), "everybody may call the supervisor");
    assert_eq!(install(&mut w, HIGH, 5, HandleKind::Bell as u64, 1), Ok(()), "bells go anywhere");
}

#[test]
fn handles_to_nothing_are_refused() {
    let mut w = trio();
    let wrong = [
        (0, 0),
        (7, 2),
        (8, 0),
        (0xffff, 0),
        (2, 7),
        (2, 99),
        (3, 99),
        (4, 4),
        (5, 2),
        (6, 0),
        (1, 0),
    ];
    for (kind, object) in wrong {
        assert_eq!(install(&mut w, LOW, 5, kind, object), Err(Error::Invalid), "{kind} {object}");
    }
    assert_eq!(install(&mut w, LOW, 12, 2, 2), Err(Error::Invalid), "beyond the table");
    assert_eq!(install(&mut w, LOW, 11, 2, 2), Ok(()));
}

#[test]
fn printing_needs_the_right() {
    let mut w = trio();
    let text = u64::from_le_bytes(*b"hello wo");
    let print = [10, text, u64::from_le_bytes(*b"rld\0\0\0\0\0"), 0, 0];
    assert_eq!(w.kernel(LOW, 0, 4, print).label, own::Error::NotAllowed as u64);
    w.core.handle_install(LOW, 0, Target::from_word(1), MAY_PRINT).unwrap();
    assert_eq!(w.kernel(LOW, 0, 4, print).label, 0);
    assert_eq!(w.model.printed, b"hello worl");
}

#[test]
fn slots_are_set_up_once_and_below_the_supervisor() {
    let mut w = World::boot();
    let configure =
        |w: &mut World, slot, priority, vcpu| w.core.slot_configure(SlotId(slot), priority, vcpu);
    assert_eq!(configure(&mut w, 1, 255, 0), Err(Error::Priority));
    assert_eq!(configure(&mut w, 1, 10, 1), Err(Error::Invalid), "no such vCPU");
    assert_eq!(configure(&mut w, 0, 10, 0), Err(Error::Invalid));
    assert_eq!(configure(&mut w, 1, 10, 0), Ok(()));
    assert_eq!(configure(&mut w, 1, 11, 0), Err(Error::Invalid), "wires rely on it");
    assert_eq!(w.core.slot_state(&mut w.model, SlotId(2), SlotState::Up), Err(Error::Invalid));
    assert_eq!(w.core.slot_state(&mut w.model, SlotId(0), SlotState::Off), Err(Error::Invalid));
}

#[test]
fn a_server_starts_with_the_kernel_handle_alone() {
    let (mut w, server) = pair();
    let kinds: std::vec::Vec<HandleKind> =
        (0..12).map(|index| w.core.handle(server, index).unwrap().kind()).collect();
    assert_eq!(kinds[0], HandleKind::Own);
    assert!(kinds[1..].iter().all(|kind| *kind == HandleKind::Empty));
    w.wait(ROOT);
    assert!(matches!(w.next, Next::Run { thread: 1, resume: Resume::Frame, space: 0x1_0000_1000 }));
    assert_eq!(w.model.started[&1], (0x40_0000, 0x2000_0000, 7));
    assert_eq!(
        w.core.server_create(&mut w.model, SlotId(1), 4),
        Err(Error::Invalid),
        "the slot is full"
    );
}

#[test]
fn threads_start_in_user_space_and_only_when_stopped() {
    let (mut w, server) = pair();
    assert_eq!(w.core.thread_start(&mut w.model, server, (0x1000, 0x2000, 0)), Err(Error::Invalid));
    w.core.stop(&mut w.model, server);
    for (rip, rsp) in [
        (USER_END, 0x1000),
        (1 << 47, 0),
        (0xffff_8000_0000_0000, 0),
        (0x1000, USER_END + 1),
        (0x1000, u64::MAX),
    ] {
        assert_eq!(w.core.thread_start(&mut w.model, server, (rip, rsp, 0)), Err(Error::Address));
    }
    assert_eq!(w.core.thread_start(&mut w.model, server, (USER_END - 1, USER_END, 0)), Ok(()));
}

#[test]
fn destruction_goes_in_steps_and_leaves_nothing() {
    let (mut w, _) = pair();
    let before = (w.core.frames_free, w.model.tables_left);
    w.core.slot_configure(SlotId(2), 20, 0).unwrap();
    let server = w.core.server_create(&mut w.model, SlotId(2), 20).unwrap();
    let id = region(&mut w, 100, 0);
    for first in [0, 32, 64] {
        let address = 0x5000_0000 + u64::from(first) * PAGE;
        let mapping = crate::core::space::Mapping {
            region: id,
            first,
            count: 32,
            address,
            access: Access::Write,
        };
        w.core.map(&mut w.model, server, &mapping).unwrap();
    }
    map(&mut w, server, id, 0x7f00_0000_0000, 1, Access::Read).unwrap();
    let calls = destroy(&mut w, server);
    assert!(calls >= 4, "97 pages, 32 at a time: {calls}");
    assert_eq!(
        (w.core.threads[server].life, w.core.slots[SlotId(2)].server),
        (Life::Free, ThreadId::NONE)
    );
    assert_eq!(w.core.server_destroy(&mut w.model, server), Err(Error::Invalid));
    while w.core.region_free(&mut w.model, id).unwrap() != 0 {}
    assert_eq!((w.core.frames_free, w.model.tables_left), before);
}

#[test]
fn the_supervisor_is_neither_stopped_nor_destroyed() {
    let mut w = World::boot();
    assert_eq!(w.core.server_destroy(&mut w.model, ROOT), Err(Error::Invalid));
    assert_eq!(w.kernel(ROOT, 1, 7, [0; 5]).label, Error::Invalid as u64);
}

#[test]
fn destroying_a_server_that_was_up_is_a_restart_for_its_clients() {
    let mut w = trio();
    w.call(LOW, 2, 1);
    w.core.stop(&mut w.model, LOW);
    w.core.thread_start(&mut w.model, LOW, (0x1000, 0x2000, 0)).unwrap();
    w.wait(MID);
    w.wait(ThreadId(4));
    w.call(LOW, 2, 1);
    destroy(&mut w, MID);
    w.settle();
    assert_eq!(w.returned(LOW).0, Status::Restarted);
    w.call(LOW, 2, 2);
    assert_eq!(w.returned(LOW).0, Status::Reset);
    // A new server under the same number knows no token of the old one, and serves who queued meanwhile.
    w.call(LOW, 2, 3);
    let new = w.core.server_create(&mut w.model, SlotId(2), 4).unwrap();
    assert_eq!(new, MID);
    w.core.thread_start(&mut w.model, new, (0x1000, 0x2000, 0)).unwrap();
    w.settle();
    w.wait(new);
    assert_eq!(w.event(new).3, 3);
}

#[test]
fn a_call_that_a_server_took_while_its_slot_was_down_ends_with_it() {
    let mut w = trio();
    w.core.slot_state(&mut w.model, SlotId(2), SlotState::Down).unwrap();
    w.settle();
    w.call(LOW, 2, 1);
    assert_eq!(w.returned(LOW).0, Status::Reset);
    w.call(LOW, 2, 2);
    assert_eq!(w.event(MID).3, 2);
    destroy(&mut w, MID);
    w.settle();
    w.wait(ThreadId(4));
    assert_eq!(w.returned(LOW).0, Status::Restarted);
}

#[test]
fn generations_go_on_over_servers() {
    let mut w = trio();
    w.call(LOW, 2, 1);
    let old = w.registers(MID).rax;
    destroy(&mut w, LOW);
    let new = w.core.server_create(&mut w.model, SlotId(1), 12).unwrap();
    assert_eq!(new, LOW);
    w.core.slot_state(&mut w.model, SlotId(1), SlotState::Up).unwrap();
    w.core.thread_start(&mut w.model, new, (0x1000, 0x2000, 0)).unwrap();
    w.wire(new, 2, HandleKind::Wire, 2, 0x12, 0);
    w.wait(MID);
    w.wait(ThreadId(4));
    w.call(new, 2, 2);
    assert_eq!(w.event(MID).1, 0x12);
    w.reply(MID, old, 9);
    assert_eq!((w.core.stale_tokens, w.core.threads[new].state), (1, State::Awaiting));
}

#[test]
fn every_kind_of_object_runs_out_with_an_error_and_comes_back() {
    let mut w = World::boot();
    for slot in 1..8 {
        w.core.slot_configure(SlotId(slot), 10, 0).unwrap();
    }
    let before = (w.core.frames_free, w.model.tables_left);
    // Handles: 96 in all, 8 are the supervisor's.
    assert_eq!(w.core.server_create(&mut w.model, SlotId(1), 89), Err(Error::Exhausted));
    for round in 0..1000 {
        let first = w.core.server_create(&mut w.model, SlotId(1), 40).unwrap();
        let second = w.core.server_create(&mut w.model, SlotId(2), 48).unwrap();
        assert_eq!(w.core.server_create(&mut w.model, SlotId(3), 1), Err(Error::Exhausted));
        destroy_in(&mut w, if round % 2 == 0 { [first, second] } else { [second, first] });
    }
    for slot in 1..8 {
        w.core.server_create(&mut w.model, SlotId(slot), 12).unwrap();
    }
    let extra = World::boot_with(abi::image::Counts { servers: 2, ..COUNTS }, 1);
    let mut few = extra;
    few.server(1, 10);
    few.core.slot_configure(SlotId(2), 10, 0).unwrap();
    assert_eq!(few.core.server_create(&mut few.model, SlotId(2), 1), Err(Error::Exhausted));
    for server in 1..8 {
        destroy(&mut w, ThreadId(server));
    }
    w.model.tables_left = 0;
    assert_eq!(w.core.server_create(&mut w.model, SlotId(1), 4), Err(Error::Memory));
    w.model.tables_left = before.1;
    assert_eq!(w.core.frames_free, before.0);
}

fn destroy_in(w: &mut World, servers: [ThreadId; 2]) {
    for server in servers {
        while !w.core.server_destroy(&mut w.model, server).unwrap() {}
    }
}

#[test]
fn the_supervisor_builds_a_server_through_its_handle() {
    let mut w = World::boot();
    let mut control = |label: u64, words: [u64; 5]| {
        let Message { label, words } = w.kernel(ROOT, 1, label, words);
        assert_eq!(label, 0, "{words:?}");
        words
    };
    control(1, [3, 50, 0, 0, 0]);
    let server = control(4, [3, 6, 0, 0, 0])[0];
    let region = control(10, [3, 3, 0, 0, 0])[0];
    assert_eq!(control(11, [region, 0, 0, 0, 0])[0], 0);
    let write = Access::Write.to_word() << 16;
    assert_eq!(control(15, [server, region, 0x5000_0000, 1, write | 2])[0], 2);
    assert_eq!(control(14, [region, 0, 0, 0, 0])[..4], [3, 0, 2, 3]);
    control(17, [server, 1, HandleKind::Wire.to_word() | 9 << 32, 4, 0]);
    control(2, [3, SlotState::Up.to_word(), 0, 0, 0]);
    control(25, [3, 5_000_000, 0, 0, 0]);
    control(6, [server, 0x40_0000, 0x5000_2000, 99, 0]);
    assert_eq!(control(9, [server, 0, 0, 0, 0]), [1, 0, 0, 0, 2]);
    control(3, [3, 1 << 63, 0, 0, 0]);
    assert_eq!(control(16, [server, 0x5000_0000, 32, 0, 0])[0], 32);
    control(18, [server, 1, 0, 0, 0]);
    assert_eq!(control(26, [server, 0, 0, 0, 0])[0], 0, "it does not wait");
    control(7, [server, 0, 0, 0, 0]);
    assert_eq!(
        control(8, [server, 1, 0, 0, 0]),
        core::array::from_fn(|i| 1 << 16 | 1 << 8 | i as u64)
    );
    assert_eq!(control(21, [0; 5])[..4], [0, 1, 2, 3]);
    assert_eq!(control(21, [0; 5])[4], u64::from(w.core.frames_free));
}

#[test]
fn the_domain_ends_as_the_supervisor_says() {
    let mut w = World::boot();
    w.kernel(ROOT, 1, 22, [1, 0, 0, 0, 0]);
    assert_eq!(w.model.ended, Some(abi::kernel::control::Shutdown::Reboot));
}

#[test]
fn numbers_of_nothing_are_invalid_in_every_method() {
    let mut w = World::boot();
    let invalid = Error::Invalid as u64;
    let state = SlotState::Up.to_word();
    let calls = [
        (1, [99, 1, 0, 0, 0]),
        (2, [99, state, 0, 0, 0]),
        (3, [99, 1, 0, 0, 0]),
        (3, [1, 1, 0, 0, 0]),
        (4, [99, 4, 0, 0, 0]),
        (4, [1, 4, 0, 0, 0]),
        (5, [99, 0, 0, 0, 0]),
        (5, [1, 0, 0, 0, 0]),
        (6, [1, 0, 0, 0, 0]),
        (7, [1, 0, 0, 0, 0]),
        (8, [1, 0, 0, 0, 0]),
        (9, [1, 0, 0, 0, 0]),
        (10, [9, 1, 0, 0, 0]),
        (10, [1, 1, 0, 0, 0]),
        (11, [20, 0, 0, 0, 0]),
        (11, [99, 0, 0, 0, 0]),
        (12, [20, 0, 0, 0, 0]),
        (13, [99, 0, 0, 0, 0]),
        (13, [3, 0, 0, 0, 0]),
        (14, [20, 0, 0, 0, 0]),
        (15, [0, 20, 0x5000_0000, 0, 1 << 16 | 1]),
        (15, [0, 0, 0x5000_0000, 0, 4 << 16 | 1]),
        (16, [9, 0x5000_0000, 1, 0, 0]),
        (17, [9, 1, 2, 0, 0]),
        (18, [0, 99, 0, 0, 0]),
        (19, [9, 0, 0, 0, 0]),
        (19, [0, 0, 0, 9, 0]),
        (20, [9, 1, 0, 0, 0]),
        (21, [3, 0, 0, 0, 0]),
        (23, [9, 0, 0, 0, 0]),
        (24, [9, 0, 0, 0, 0]),
        (25, [1, 0, 0, 0, 0]),
        (26, [1, 0, 0, 0, 0]),
        (29, [1, 0, 0, 0, 0]),
        (29, [0, 0, 0, 0, 0]),
        (30, [1, 0, 0, 0, 0]),
        (31, [1, 0, 0, 0, 0]),
        (32, [99, 0, 0, 0, 0]),
        (33, [1, 0, 0, 0, 0]),
    ];
    for (label, words) in calls {
        assert_eq!(w.kernel(ROOT, 1, label, words).label, invalid, "{label} {words:?}");
    }
}

//! Ports and windows: events as bits, masking, grants that outlive their server.

use abi::Message;
use abi::kernel::control::{self, Access, GRANTABLE, HandleKind, NO_PEER, PortKind};
use abi::kernel::{port, window};
use abi::layout::PAGE;

use super::audit;
use super::memory::{map, pair, region};
use super::world::World;
use crate::core::hardware::Next;
use crate::core::port::Port;
use crate::core::table::{PortId, RegionId, SlotId, ThreadId, WindowId};
use crate::core::window::Request;

/// Where granted pages are mapped.
pub const AT: u64 = 0x80_0000_0000;
const PORT: PortId = PortId(0);
const WINDOW: WindowId = WindowId(0);
/// Handles of the port and the window.
const TO_PORT: u64 = 2;
const TO_WINDOW: u64 = 3;
const ROOT: ThreadId = ThreadId(0);

/// A driver, running, with a port to domain 7 (bit 3), closed yet, and a window of 16 references.
fn driver() -> (World, ThreadId) {
    let (mut w, server) = pair();
    configure(&mut w, 7);
    w.core.window_configure(WINDOW, SlotId(1), 16, 7).unwrap();
    w.wire(server, 2, HandleKind::Port, 0, 0, 0);
    w.wire(server, 3, HandleKind::Window, 0, 0, 0);
    w.wait(ROOT);
    assert_eq!(w.current(), Some(server));
    (w, server)
}

fn configure(w: &mut World, peer: u16) -> bool {
    let setup = Port { kind: PortKind::Peer, peer, slot: SlotId(1), bits: 8, ..Port::default() };
    w.core.port_configure(PORT, setup).is_ok()
}

fn open(w: &mut World, server: ThreadId) -> u32 {
    let answer = w.kernel(server, TO_PORT, 1, [0; 5]);
    assert_eq!(answer.label, 0);
    u32::try_from(answer.words[0]).unwrap()
}

/// Maps a grantable region and grants its first pages by the references 0.. of the first window.
pub fn granted(w: &mut World, server: ThreadId, count: u32) -> RegionId {
    if w.core.window_extent(WINDOW).1 == 0 {
        w.core.window_configure(WINDOW, SlotId(1), 16, 7).unwrap();
    }
    let id = region(w, 4, GRANTABLE);
    map(w, server, id, AT, 4, Access::Write).unwrap();
    let request = Request { first: 0, address: AT, count, read_only: false };
    w.core.window_grant(&mut w.model, WINDOW, server, &request).unwrap();
    audit::check(&w.core, &mut w.model);
    id
}

#[test]
fn an_event_is_a_bit_and_the_next_wait_unmasks() {
    let (mut w, server) = driver();
    let channel = open(&mut w, server);
    assert!(w.model.channels[&channel], "it starts masked");
    w.wait(server);
    assert!(!w.model.channels[&channel]);
    w.interrupt(channel);
    assert_eq!(w.event(server).2, 8);
    assert!(w.model.channels[&channel], "masked until the owner waits");
    w.wait(server);
    assert!(!w.model.channels[&channel]);
    assert_eq!(w.next, Next::Idle);
}

#[test]
fn an_event_interrupts_who_runs_only_for_somebody_more_urgent() {
    let (mut w, server) = driver();
    let channel = open(&mut w, server);
    w.wait(server);
    let busy = w.server(2, 9);
    w.settle();
    assert_eq!(w.current(), Some(busy));
    w.interrupt(channel);
    assert_eq!(w.current(), Some(server));
}

#[test]
fn unknown_events_are_counted() {
    let (mut w, server) = driver();
    for channel in [0, 5, 1023, 1024, u32::MAX] {
        w.interrupt(channel);
    }
    assert_eq!((w.core.spurious_events, w.current()), (5, Some(server)));
}

#[test]
fn a_held_port_stays_masked_until_it_is_armed() {
    let (mut w, server) = driver();
    let channel = open(&mut w, server);
    w.kernel(server, TO_PORT, 3, [0; 5]);
    w.wait(server);
    assert!(w.model.channels[&channel]);
    w.core.raise(&mut w.model, SlotId(1), 1);
    w.settle();
    w.kernel(server, TO_PORT, 4, [500, 0, 0, 0, 0]);
    let due = w.model.now + 500;
    w.wait(server);
    assert!(w.model.channels[&channel], "not yet");
    assert_eq!(w.model.timer, Some(due));
    w.tick(due - 1);
    assert!(w.model.channels[&channel]);
    w.tick(due);
    assert!(!w.model.channels[&channel], "its time came while the owner waited");
}

#[test]
fn an_armed_port_whose_owner_is_busy_waits_for_its_wait() {
    let (mut w, server) = driver();
    let channel = open(&mut w, server);
    w.kernel(server, TO_PORT, 3, [0; 5]);
    w.kernel(server, TO_PORT, 4, [500, 0, 0, 0, 0]);
    w.tick(w.model.now + 600);
    assert!(w.model.channels[&channel]);
    w.wait(server);
    assert!(!w.model.channels[&channel]);
}

#[test]
fn a_closed_port_refuses_and_sends_nothing() {
    let (mut w, server) = driver();
    for label in [2, 3] {
        assert_eq!(w.kernel(server, TO_PORT, label, [0; 5]).label, port::Error::Closed as u64);
    }
    w.notify(server, TO_PORT);
    assert_eq!((w.registers(server).rax, w.core.lost_notifications), (0, 1));
    let channel = open(&mut w, server);
    w.notify(server, TO_PORT);
    assert_eq!(w.model.sent, [channel]);
    assert_eq!(w.kernel(server, TO_PORT, 1, [0; 5]).label, port::Error::Open as u64);
    w.kernel(server, TO_PORT, 2, [0; 5]);
    assert!(w.model.channels.is_empty());
    let next = open(&mut w, server);
    assert_ne!(next, channel);
    w.interrupt(channel);
    assert_eq!(w.core.spurious_events, 1, "the old channel is nobody's");
}

#[test]
fn a_port_without_a_peer_is_not_opened() {
    let (mut w, server) = driver();
    assert!(configure(&mut w, NO_PEER));
    assert_eq!(w.kernel(server, TO_PORT, 1, [0; 5]).label, port::Error::NoPeer as u64);
    assert!(configure(&mut w, 7));
    w.model.refuse_channels = true;
    assert_eq!(w.kernel(server, TO_PORT, 1, [0; 5]).label, port::Error::Refused as u64);
}

#[test]
fn an_open_port_is_not_set_up_otherwise() {
    let (mut w, server) = driver();
    open(&mut w, server);
    assert!(!configure(&mut w, 8));
    assert!(configure(&mut w, 7), "the same again does no harm");
    w.core.port_close(&mut w.model, PORT).unwrap();
    assert!(configure(&mut w, 8));
}

#[test]
fn pages_are_granted_and_taken_back() {
    let (mut w, server) = driver();
    let id = region(&mut w, 4, GRANTABLE);
    map(&mut w, server, id, AT, 4, Access::Write).unwrap();
    let answer = w.kernel(server, TO_WINDOW, 1, [2, AT + PAGE, 3, 0, 0]);
    assert_eq!(answer, Message::new(0, [10, 0, 0, 0, 0]), "reference 8 is the window's first");
    assert_eq!(w.model.grants.keys().copied().collect::<std::vec::Vec<_>>(), [10, 11, 12]);
    assert_eq!(w.model.grants[&10], (7, w.model.spaces[&server.0][&(AT + PAGE)].0, false));
    w.model.held.insert(11);
    assert_eq!(w.kernel(server, TO_WINDOW, 2, [0, 16, 0, 0, 0]).words[0], 1, "the peer holds one");
    assert_eq!(w.model.grants.len(), 1);
    w.model.held.clear();
    assert_eq!(w.kernel(server, TO_WINDOW, 2, [0, 16, 0, 0, 0]).words[0], 0);
    assert_eq!(w.kernel(server, TO_WINDOW, 3, [0; 5]).words[..2], [8, 16]);
}

#[test]
fn what_may_not_be_granted_is_refused_whole() {
    let (mut w, server) = driver();
    let good = region(&mut w, 2, GRANTABLE);
    let private = region(&mut w, 2, 0);
    map(&mut w, server, good, AT, 1, Access::Write).unwrap();
    map(&mut w, server, private, AT + PAGE, 1, Access::Write).unwrap();
    map(&mut w, server, good, AT + 4 * PAGE, 2, Access::Read).unwrap();
    let grant = |w: &mut World, words: [u64; 5]| {
        let label = w.kernel(server, TO_WINDOW, 1, words).label;
        assert!(w.model.grants.is_empty());
        label
    };
    let (range, page) = (window::Error::Range as u64, window::Error::Page as u64);
    assert_eq!(grant(&mut w, [0, AT, 2, 0, 0]), page, "the second is private");
    assert_eq!(grant(&mut w, [0, AT, 3, 0, 0]), page);
    assert_eq!(grant(&mut w, [0, AT + 2 * PAGE, 1, 0, 0]), page, "not mapped");
    assert_eq!(grant(&mut w, [0, AT + 1, 1, 0, 0]), page, "not a page");
    assert_eq!(grant(&mut w, [0, !0xfff, 2, 0, 0]), page);
    assert_eq!(grant(&mut w, [0, AT + 4 * PAGE, 1, 0, 0]), page, "read only here");
    assert_eq!(grant(&mut w, [16, AT, 1, 0, 0]), range);
    assert_eq!(grant(&mut w, [0, AT, 33, 0, 0]), range);
    assert_eq!(grant(&mut w, [u64::from(u32::MAX), AT, 2, 0, 0]), range);
    assert_eq!(
        w.kernel(server, TO_WINDOW, 1, [0, AT + 4 * PAGE, 1, 1, 0]).label,
        0,
        "read only there, too"
    );
    assert_eq!(w.kernel(server, TO_WINDOW, 1, [0, AT, 1, 0, 0]).label, window::Error::Busy as u64);
}

#[test]
fn a_window_without_a_peer_grants_nothing() {
    let (mut w, server) = driver();
    w.core.window_configure(WINDOW, SlotId(1), 16, NO_PEER).unwrap();
    let id = region(&mut w, 1, GRANTABLE);
    map(&mut w, server, id, AT, 1, Access::Write).unwrap();
    assert_eq!(
        w.kernel(server, TO_WINDOW, 1, [0, AT, 1, 0, 0]).label,
        window::Error::NoPeer as u64
    );
}

#[test]
fn granted_pages_are_pinned_until_the_peer_lets_go() {
    let (mut w, server) = pair();
    let id = granted(&mut w, server, 3);
    w.model.held.insert(9);
    w.wait(ROOT);
    while !w.core.server_destroy(&mut w.model, server).unwrap() {
        w.settle();
    }
    assert_eq!(w.core.region_free(&mut w.model, id), Err(control::Error::Busy));
    assert_eq!(w.core.window_reset(&mut w.model, WINDOW), 1);
    audit::check(&w.core, &mut w.model);
    assert_eq!(w.core.region_free(&mut w.model, id), Err(control::Error::Busy));
    assert_eq!(w.core.window_configure(WINDOW, SlotId(1), 16, 9), Err(control::Error::Busy));
    w.model.held.clear();
    assert_eq!(w.core.window_reset(&mut w.model, WINDOW), 0);
    assert_eq!(w.core.region_free(&mut w.model, id), Ok(0));
    assert_eq!(w.core.window_configure(WINDOW, SlotId(1), 16, 9), Ok(()));
}

#[test]
fn references_a_peer_keeps_do_not_stop_the_reset_of_others() {
    let counts = abi::image::Counts { grants: 80, ..super::world::COUNTS };
    let mut w = World::boot_with(counts, 1);
    let server = w.server(1, 10);
    w.core.window_configure(WINDOW, SlotId(1), 80, 7).unwrap();
    let id = region(&mut w, 80, GRANTABLE);
    for first in [0, 32, 64] {
        let (count, address) = (32.min(80 - first), AT + u64::from(first) * PAGE);
        let mapping = crate::core::space::Mapping {
            region: id,
            first,
            count,
            address,
            access: Access::Write,
        };
        w.core.map(&mut w.model, server, &mapping).unwrap();
        let request = Request { first, address, count, read_only: false };
        w.core.window_grant(&mut w.model, WINDOW, server, &request).unwrap();
    }
    w.model.held.extend(8..38);
    let left: [u32; 3] = core::array::from_fn(|_| w.core.window_reset(&mut w.model, WINDOW));
    assert_eq!(left, [48, 30, 30]);
}

#[test]
fn windows_share_the_references_without_overlap() {
    let (mut w, _) = driver();
    let other = WindowId(1);
    assert_eq!(w.core.window_configure(other, SlotId(1), 25, 7), Err(control::Error::Exhausted));
    assert_eq!(w.core.window_configure(other, SlotId(1), 24, 7), Ok(()));
    assert_eq!((w.core.window_extent(WINDOW), w.core.window_extent(other)), ((8, 16), (24, 24)));
    assert_eq!(w.core.window_configure(WINDOW, SlotId(1), 17, 7), Err(control::Error::Exhausted));
    assert_eq!(w.core.window_configure(other, SlotId(1), 4, 7), Ok(()));
    assert_eq!(w.core.window_configure(WINDOW, SlotId(1), 20, 7), Ok(()));
    let (first, count) = w.core.window_extent(other);
    let (start, length) = w.core.window_extent(WINDOW);
    assert!(first + count <= start || start + length <= first);
}

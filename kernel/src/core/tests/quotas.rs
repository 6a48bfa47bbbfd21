//! Every kind of object exhausted, by one and by two: errors alone, and nothing is missing afterwards.

use std::vec;
use std::vec::Vec;

use abi::kernel::control::{Error, NO_LIMIT, OBJECT_KINDS, ObjectKind, PortKind};

use super::audit;
use super::holdings::{all, limit};
use super::world::World;
use crate::core::port::Port;
use crate::core::space::Mapping;
use crate::core::table::{PortId, RegionId, SlotId, ThreadId, WindowId};

const AT: u64 = 0x5000_0000;

/// Two slots, 1 and 2, without servers.
fn slots() -> World {
    let mut w = World::boot();
    for slot in [1, 2] {
        w.core.slot_configure(SlotId(slot), 10, 0).unwrap();
    }
    w
}

/// Something that was made.
#[derive(Clone, Copy, Debug)]
enum Thing {
    Region(RegionId),
    Server(ThreadId),
    Port(PortId),
    Window(WindowId),
}

fn region(w: &mut World, slot: u16, pages: u32) -> Result<Thing, Error> {
    let id = w.core.region_create(&mut w.model, SlotId(slot), pages, 0)?;
    loop {
        match w.core.region_extend(&mut w.model, id) {
            Ok(0) => return Ok(Thing::Region(id)),
            Ok(_) => {}
            Err(error) => {
                undo(w, Thing::Region(id));
                return Err(error);
            }
        }
    }
}

/// Makes something that takes at least one object of a kind for a slot.
fn make(w: &mut World, slot: u16, kind: ObjectKind) -> Result<Thing, Error> {
    match kind {
        ObjectKind::Frame => region(w, slot, 40),
        ObjectKind::Table => {
            let id = w.core.region_create(&mut w.model, SlotId(slot), 2, 0)?;
            Ok(Thing::Region(id))
        }
        ObjectKind::Region => {
            let id = w.core.region_create(&mut w.model, SlotId(slot), 1, 0)?;
            Ok(Thing::Region(id))
        }
        ObjectKind::Handle | ObjectKind::Server => {
            let handles = if kind == ObjectKind::Handle { 30 } else { 1 };
            w.core.server_create(&mut w.model, SlotId(slot), handles).map(Thing::Server)
        }
        ObjectKind::Port => {
            let free = w.core.ports.numbers().find(|id| w.core.ports[*id].slot == SlotId::NONE);
            let id = free.ok_or(Error::Exhausted)?;
            let setup =
                Port { kind: PortKind::Peer, slot: SlotId(slot), bits: 1, ..Port::default() };
            w.core.port_configure(id, setup)?;
            Ok(Thing::Port(id))
        }
        ObjectKind::Window | ObjectKind::Grant => {
            let free =
                w.core.windows.numbers().find(|id| w.core.windows[*id].holder == SlotId::NONE);
            let count = if kind == ObjectKind::Grant { 25 } else { 1 };
            let id = free.ok_or(Error::Exhausted)?;
            w.core.window_configure(id, SlotId(slot), count, 7)?;
            Ok(Thing::Window(id))
        }
    }
}

fn undo(w: &mut World, thing: Thing) {
    let World { core, model, .. } = w;
    match thing {
        Thing::Region(id) => while core.region_free(model, id).unwrap() != 0 {},
        Thing::Server(id) => while !core.server_destroy(model, id).unwrap() {},
        // Ports and windows stay with their slot; a test takes them out by hand.
        Thing::Port(id) => {
            let slot = core.ports[id].slot;
            core.ports[id] = Port::default();
            core.release(slot, ObjectKind::Port, 1);
        }
        Thing::Window(id) => {
            let window = core.windows[id];
            core.release(window.holder, ObjectKind::Window, 1);
            core.release(window.holder, ObjectKind::Grant, window.count);
            core.windows[id] = Default::default();
        }
    }
}

/// Makes things until there are no more, for these slots in turn; they are at least `least`.
fn exhaust(w: &mut World, slots: &[u16], kind: ObjectKind, least: usize) {
    let before: Vec<_> = (0..8).map(|slot| all(&w.core, slot)).collect();
    let free = w.core.frames_free;
    let tables = w.model.tables_used();
    let mut things = Vec::new();
    let mut refused = vec![None; slots.len()];
    while refused.contains(&None) {
        for (at, slot) in slots.iter().enumerate() {
            match make(w, *slot, kind) {
                Ok(thing) => things.push(thing),
                Err(error) => refused[at] = Some(error),
            }
            audit::check(&w.core, &mut w.model);
        }
        assert!(things.len() < 500, "{kind:?} has no end");
    }
    for error in refused.into_iter().flatten() {
        assert!(
            matches!(error, Error::Exhausted | Error::Memory | Error::Invalid),
            "{kind:?}: {error:?}"
        );
    }
    assert!(things.len() >= least, "{kind:?}: {}", things.len());
    for thing in things.into_iter().rev() {
        undo(w, thing);
    }
    audit::check(&w.core, &mut w.model);
    let after: Vec<_> = (0..8).map(|slot| all(&w.core, slot)).collect();
    assert_eq!((before, free, tables), (after, w.core.frames_free, w.model.tables_used()));
}

#[test]
fn test_17_each_kind_is_exhausted_by_one_and_by_two() {
    for kind in OBJECT_KINDS {
        let mut w = slots();
        exhaust(&mut w, &[1], kind, 1);
        exhaust(&mut w, &[1, 2], kind, 1);
        exhaust(&mut w, &[2, 1], kind, 1);
    }
}

#[test]
fn nobody_takes_more_than_its_limit_and_the_other_gets_its_own() {
    for kind in OBJECT_KINDS {
        let mut w = slots();
        let before = all(&w.core, 1);
        limit(&mut w.core, 1, kind, 0);
        let error = make(&mut w, 1, kind).unwrap_err();
        let expected = match kind {
            ObjectKind::Frame | ObjectKind::Table => Error::Memory,
            _ => Error::Exhausted,
        };
        assert_eq!(error, expected, "{kind:?}");
        assert_eq!(all(&w.core, 1), before, "{kind:?}: a refusal takes nothing");
        audit::check(&w.core, &mut w.model);
        let thing = make(&mut w, 2, kind).unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        undo(&mut w, thing);
        limit(&mut w.core, 1, kind, 40);
        let thing = make(&mut w, 1, kind).unwrap();
        undo(&mut w, thing);
        assert_eq!(all(&w.core, 1), before);
    }
}

#[test]
fn a_limit_is_reached_to_the_last_page() {
    let mut w = slots();
    limit(&mut w.core, 1, ObjectKind::Frame, 40);
    let id = w.core.region_create(&mut w.model, SlotId(1), 50, 0).unwrap();
    assert_eq!(w.core.region_extend(&mut w.model, id), Ok(18));
    assert_eq!(w.core.region_extend(&mut w.model, id), Ok(10));
    assert_eq!(w.core.region_extend(&mut w.model, id), Err(Error::Memory));
    assert_eq!(w.core.holdings[SlotId(1)].used(ObjectKind::Frame), 40);
    w.core.holdings[SlotId(1)].set_limit(ObjectKind::Frame, 10);
    assert_eq!(w.core.region_extend(&mut w.model, id), Err(Error::Memory), "it keeps what it has");
    w.core.holdings[SlotId(1)].set_limit(ObjectKind::Frame, NO_LIMIT);
    assert_eq!(w.core.region_extend(&mut w.model, id), Ok(0));
}

#[test]
fn tables_of_mappings_are_limited() {
    let mut w = slots();
    let server = w.core.server_create(&mut w.model, SlotId(1), 4).unwrap();
    let id = w.core.region_create(&mut w.model, SlotId(2), 4, 0).unwrap();
    w.core.region_extend(&mut w.model, id).unwrap();
    limit(&mut w.core, 1, ObjectKind::Table, 1);
    let access = abi::kernel::control::Access::Write;
    let map = |w: &mut World, address| {
        let mapping = Mapping { region: id, first: 0, count: 1, address, access };
        let mapped = w.core.map(&mut w.model, server, &mapping);
        audit::check(&w.core, &mut w.model);
        mapped
    };
    assert_eq!(map(&mut w, AT), Ok(1));
    assert_eq!(map(&mut w, AT + 0x20_0000), Err(Error::Memory), "it takes a second table");
    assert_eq!(map(&mut w, AT + 0x1000), Ok(1), "this one does not");
    w.model.tables_left = 0;
    limit(&mut w.core, 1, ObjectKind::Table, 5);
    assert_eq!(map(&mut w, AT + 0x20_0000), Err(Error::Memory), "there is none");
    assert_eq!(w.core.threads[server].tables, 2);
}

#[test]
fn test_25_counts_are_as_before_after_a_thousand_rounds() {
    let mut w = slots();
    let before: Vec<_> = (0..8).map(|slot| all(&w.core, slot)).collect();
    let (free, tables) = (w.core.frames_free, w.model.tables_used());
    for round in 0..1_000_u32 {
        let id = w.core.region_create(&mut w.model, SlotId(1), 33 + round % 3, 0).unwrap();
        while w.core.region_extend(&mut w.model, id).unwrap() != 0 {}
        let server = w.core.server_create(&mut w.model, SlotId(2), 8).unwrap();
        for page in 0..5 {
            let mapping = Mapping {
                region: id,
                first: page,
                count: 1,
                address: AT + u64::from(page) * 0x20_0000,
                access: abi::kernel::control::Access::Write,
            };
            w.core.map(&mut w.model, server, &mapping).unwrap();
        }
        if round % 100 == 0 {
            audit::check(&w.core, &mut w.model);
        }
        while !w.core.server_destroy(&mut w.model, server).unwrap() {}
        while w.core.region_free(&mut w.model, id).unwrap() != 0 {}
    }
    audit::check(&w.core, &mut w.model);
    let after: Vec<_> = (0..8).map(|slot| all(&w.core, slot)).collect();
    assert_eq!((before, free, tables), (after, w.core.frames_free, w.model.tables_used()));
}

#[test]
fn limits_are_set_and_told() {
    let mut w = slots();
    let root = ThreadId(0);
    for (kind, number) in OBJECT_KINDS.into_iter().zip(0..) {
        assert_eq!(kind as u64, number);
        let told = w.kernel(root, 1, 32, [1, number, 0, 0, 0]);
        assert_eq!(told.words, [0, u64::from(NO_LIMIT), 0, 0, 0]);
        assert_eq!(w.kernel(root, 1, 31, [1, number, 7 + number, 0, 0]).label, 0);
        assert_eq!(w.kernel(root, 1, 32, [1, number, 0, 0, 0]).words, [0, 7 + number, 0, 0, 0]);
    }
    assert_eq!(w.kernel(root, 1, 31, [3, 0, 7, 0, 0]).label, Error::Invalid as u64);
}

//! What must hold of accounted objects: each slot holds exactly what is there for it, counted by looking at everything.

use std::collections::BTreeMap;

use abi::kernel::control::{NO_LIMIT, OBJECT_KINDS, ObjectKind};

use super::model::Model;
use crate::core::Core;
use crate::core::region::index_pages;
use crate::core::slot::SUPERVISOR;
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::Life;

type Found = BTreeMap<(SlotId, u64), u32>;

fn add(found: &mut Found, slot: SlotId, kind: ObjectKind, count: u32) {
    *found.entry((slot, kind as u64)).or_default() += count;
}

/// Index pages that a region of so many pages has while so many of them are present.
fn indexes(pages: u32, present: u32) -> u32 {
    match pages {
        0..=1024 => index_pages(pages),
        _ => 1 + present.div_ceil(1024),
    }
}

fn of_regions(core: &Core<'_>, found: &mut Found) {
    for id in core.regions.numbers() {
        let region = &core.regions[id];
        if region.life == Life::Free {
            assert_eq!(region.holder, SlotId::NONE, "{id:?} is free and held");
            continue;
        }
        let tables = if id.0 < 8 { 0 } else { indexes(region.pages, region.present) };
        add(found, region.holder, ObjectKind::Region, 1);
        add(found, region.holder, ObjectKind::Frame, region.present);
        add(found, region.holder, ObjectKind::Table, tables);
    }
}

fn of_servers(core: &Core<'_>, model: &Model, found: &mut Found) {
    for id in core.threads.numbers() {
        let thread = &core.threads[id];
        if thread.life == Life::Free {
            continue;
        }
        let tables = model.tables[&id.0].len() as u32 + 1;
        if thread.life == Life::Live {
            assert_eq!(thread.tables, tables, "tables of {id:?}");
        }
        add(found, thread.own, ObjectKind::Server, 1);
        add(found, thread.own, ObjectKind::Handle, u32::from(thread.handles_held));
        add(found, thread.own, ObjectKind::Table, thread.tables);
    }
}

fn of_devices(core: &Core<'_>, found: &mut Found) {
    for port in core.ports.iter().filter(|port| port.slot != SlotId::NONE) {
        add(found, port.slot, ObjectKind::Port, 1);
    }
    for window in core.windows.iter().filter(|window| window.holder != SlotId::NONE) {
        add(found, window.holder, ObjectKind::Window, 1);
        add(found, window.holder, ObjectKind::Grant, window.count);
    }
}

/// Counts everything again.
pub fn check(core: &Core<'_>, model: &Model) {
    let mut found = Found::new();
    of_regions(core, &mut found);
    of_servers(core, model, &mut found);
    of_devices(core, &mut found);
    for slot in core.slots.numbers() {
        for kind in OBJECT_KINDS {
            let there = found.remove(&(slot, kind as u64)).unwrap_or(0);
            assert_eq!(core.holdings[slot].used(kind), there, "{kind:?} of {slot:?}");
        }
        managers(core, slot);
    }
    assert!(found.is_empty(), "held by nobody: {found:?}");
}

/// Managers are above those that they manage, so every chain of them ends.
fn managers(core: &Core<'_>, slot: SlotId) {
    if let Some(manager) = core.holdings[slot].manager.some() {
        assert!(slot != SUPERVISOR && manager != SUPERVISOR);
        assert!(core.slots[manager].priority > core.slots[slot].priority, "{slot:?} is managed");
    }
}

/// What a slot holds of every kind.
pub fn all(core: &Core<'_>, slot: u16) -> [u32; OBJECT_KINDS.len()] {
    OBJECT_KINDS.map(|kind| core.holdings[SlotId(slot)].used(kind))
}

/// Limits a slot to what it holds and so much more.
pub fn limit(core: &mut Core<'_>, slot: u16, kind: ObjectKind, more: u32) {
    let holdings = &mut core.holdings[SlotId(slot)];
    assert_ne!(more, NO_LIMIT);
    holdings.set_limit(kind, holdings.used(kind) + more);
}

/// The server that fills a slot.
pub fn server(core: &Core<'_>, slot: u16) -> ThreadId {
    core.slots[SlotId(slot)].server
}

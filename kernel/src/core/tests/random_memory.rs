//! Random operations on regions, mappings, grants and servers: no page ever has two owners, no count is ever wrong, nothing
//! is writable and executable, and in the end everything comes back.

use std::vec;
use std::vec::Vec;

use abi::kernel::control::{Access, Error, GRANTABLE, NO_LIMIT, OBJECT_KINDS, ObjectKind};
use abi::layout::PAGE;
use proptest::prelude::*;

use super::audit;
use super::world::World;
use crate::core::space::Mapping;
use crate::core::table::{RegionId, SlotId, ThreadId, WindowId};
use crate::core::window::Request;

/// Servers that come and go: slots 1 to 3, threads 1 to 3.
const SERVERS: u16 = 3;
/// Regions that are tried.
const REGIONS: core::ops::Range<u16> = 8..16;

/// One step.
#[derive(Clone, Debug)]
enum Step {
    Create {
        slot: u16,
        pages: u32,
        grantable: bool,
    },
    Extend {
        region: u16,
    },
    Seal {
        region: u16,
    },
    Free {
        region: u16,
    },
    Map {
        server: u16,
        region: u16,
        page: u64,
        first: u32,
        count: u32,
        access: Access,
    },
    Unmap {
        server: u16,
        page: u64,
        count: u32,
    },
    Grant {
        server: u16,
        window: u16,
        first: u32,
        page: u64,
        count: u32,
        read_only: bool,
    },
    Revoke {
        window: u16,
        first: u32,
        count: u32,
    },
    Reset {
        window: u16,
    },
    /// The peer maps a granted page.
    Hold {
        nth: usize,
    },
    /// The peer lets all go.
    Release,
    Server {
        slot: u16,
    },
    /// Destroys a server, this many calls far.
    Destroy {
        server: u16,
        calls: u32,
    },
    /// Limits a slot to what it holds of a kind and so much more.
    Limit {
        slot: u16,
        kind: ObjectKind,
        more: u32,
    },
    /// Sets up a window for another slot.
    Window {
        window: u16,
        slot: u16,
        count: u32,
    },
    /// Leaves only this many pages for tables.
    Tables {
        left: usize,
    },
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![2 => Just(Access::Read), 4 => Just(Access::Write), 1 => Just(Access::Execute)]
}

fn step() -> impl Strategy<Value = Step> {
    let server = 1..=SERVERS;
    // Sixteen pages on both sides of where a table ends.
    let page = 0..16_u64;
    let window = 0..2_u16;
    let count = 1..12_u32;
    prop_oneof![
        3 => (0..=SERVERS, prop_oneof![1..4_u32, 30..70_u32, Just(1030_u32)], any::<bool>())
            .prop_map(|(slot, pages, grantable)| Step::Create { slot, pages, grantable }),
        2 => (0..=SERVERS, 0..OBJECT_KINDS.len(), prop_oneof![0..3_u32, 3..80_u32]).prop_map(
            |(slot, kind, more)| Step::Limit { slot, kind: OBJECT_KINDS[kind], more }
        ),
        1 => (window.clone(), server.clone(), 1..20_u32)
            .prop_map(|(window, slot, count)| Step::Window { window, slot, count }),
        6 => REGIONS.prop_map(|region| Step::Extend { region }),
        1 => REGIONS.prop_map(|region| Step::Seal { region }),
        2 => REGIONS.prop_map(|region| Step::Free { region }),
        12 => (server.clone(), REGIONS, page.clone(), 0..4_u32, count.clone(), access()).prop_map(
            |(server, region, page, first, count, access)| Step::Map { server, region, page, first, count, access }
        ),
        6 => (server.clone(), page.clone(), count.clone())
            .prop_map(|(server, page, count)| Step::Unmap { server, page, count }),
        8 => (server.clone(), window.clone(), 0..16_u32, page, 1..4_u32, any::<bool>()).prop_map(
            |(server, window, first, page, count, read_only)| Step::Grant { server, window, first, page, count, read_only }
        ),
        3 => (window.clone(), 0..16_u32, count).prop_map(|(window, first, count)| Step::Revoke { window, first, count }),
        1 => window.prop_map(|window| Step::Reset { window }),
        3 => (0..8_usize).prop_map(|nth| Step::Hold { nth }),
        1 => Just(Step::Release),
        3 => server.clone().prop_map(|slot| Step::Server { slot }),
        2 => (server, 1..9_u32).prop_map(|(server, calls)| Step::Destroy { server, calls }),
        1 => (0..40_usize).prop_map(|left| Step::Tables { left }),
    ]
}

fn address(page: u64) -> u64 {
    0x5000_0000 - 8 * PAGE + page * PAGE
}

/// What the steps did.
#[derive(Debug, Default)]
struct Tally {
    mapped: u32,
    granted: u32,
    sealed: u32,
    freed: u32,
    busy: u32,
    refused: u32,
    memory: u32,
    limited: u32,
}

fn count<T: PartialEq>(tally: &mut Tally, result: &Result<T, Error>) {
    match result {
        Err(Error::Busy) => tally.busy += 1,
        Err(Error::Sealed) => tally.refused += 1,
        Err(Error::Memory | Error::Exhausted) => tally.memory += 1,
        _ => {}
    }
}

/// What every slot holds, and may hold.
fn holdings(w: &World) -> Vec<[(u32, u32); OBJECT_KINDS.len()]> {
    let of = |slot: u16| {
        OBJECT_KINDS.map(|kind| {
            let holdings = &w.core.holdings[SlotId(slot)];
            (holdings.used(kind), holdings.limit(kind))
        })
    };
    (0..=SERVERS).map(of).collect()
}

/// Does a step; nobody gets more than it may hold.
fn run(w: &mut World, step: &Step, tally: &mut Tally) {
    let before = holdings(w);
    act(w, step, tally);
    for (before, after) in before.iter().flatten().zip(holdings(w).iter().flatten()) {
        assert!(after.0 <= before.0.max(after.1), "{step:?}: {before:?} became {after:?}");
        tally.limited += u32::from(after.0 == after.1 && before.0 == before.1);
    }
}

fn act(w: &mut World, step: &Step, tally: &mut Tally) {
    let World { core, model, .. } = w;
    let window = |raw| WindowId(raw);
    match *step {
        Step::Limit { slot, kind, more } => super::holdings::limit(core, slot, kind, more),
        Step::Window { window: raw, slot, count: references } => {
            let set = core.window_configure(window(raw), SlotId(slot), references, 7);
            count(tally, &set);
        }
        Step::Create { slot, pages, grantable } => {
            let flags = if grantable { GRANTABLE } else { 0 };
            let made = core.region_create(model, SlotId(slot), pages, flags);
            count(tally, &made);
        }
        Step::Extend { region } => {
            let extended = core.live_region(region).and_then(|id| core.region_extend(model, id));
            count(tally, &extended);
        }
        Step::Seal { region } => {
            let sealed = core.live_region(region).and_then(|id| core.region_seal(id));
            tally.sealed += u32::from(sealed.is_ok());
            count(tally, &sealed);
        }
        Step::Free { region } => {
            let in_use =
                core.regions[RegionId(region)].maps + core.regions[RegionId(region)].grants != 0;
            let freed = core.region_free(model, RegionId(region));
            assert_eq!(freed == Err(Error::Busy), in_use);
            tally.freed += freed.unwrap_or(0);
            count(tally, &freed);
        }
        Step::Map { server, region, page, first, count: pages, access } => {
            let (Ok(server), Ok(region)) = (core.live_server(server), core.live_region(region))
            else {
                return;
            };
            let mapping = Mapping { region, first, count: pages, address: address(page), access };
            let mapped = core.map(model, server, &mapping);
            tally.mapped += mapped.unwrap_or(0);
            count(tally, &mapped);
        }
        Step::Unmap { server, page, count } => {
            if let Ok(server) = core.live_server(server) {
                assert_eq!(core.unmap(model, server, address(page), count, None), Ok(count));
            }
        }
        Step::Grant { server, window: raw, first, page, count, read_only } => {
            let Ok(server) = core.live_server(server) else { return };
            let request = Request { first, address: address(page), count, read_only };
            let granted = core.window_grant(model, window(raw), server, &request);
            tally.granted += u32::from(granted.is_ok());
        }
        Step::Revoke { window: raw, first, count } => {
            let _ = core.window_revoke(model, window(raw), first, count);
        }
        Step::Reset { window: raw } => _ = core.window_reset(model, window(raw)),
        Step::Hold { nth } => {
            let reference = model.grants.keys().nth(nth).copied();
            model.held.extend(reference);
        }
        Step::Release => model.held.clear(),
        Step::Server { slot } => {
            let made = core.server_create(model, SlotId(slot), 4);
            count(tally, &made);
        }
        Step::Destroy { server, calls } => {
            for _ in 0..calls {
                if core.server_destroy(model, ThreadId(server)) != Ok(false) {
                    break;
                }
            }
        }
        Step::Tables { left } => model.tables_left = left,
    }
    audit::check(core, model);
}

fn start() -> World {
    let mut w = World::boot();
    for slot in 1..=SERVERS {
        w.core.slot_configure(SlotId(slot), 10, 0).unwrap();
        run(&mut w, &Step::Server { slot }, &mut Tally::default());
    }
    for region in (REGIONS.start + 3)..REGIONS.end - 2 {
        run(
            &mut w,
            &Step::Create { slot: region % 3, pages: 12, grantable: true },
            &mut Tally::default(),
        );
        run(&mut w, &Step::Extend { region }, &mut Tally::default());
    }
    for raw in 0..2 {
        w.core.window_configure(WindowId(raw), SlotId(1), 16, 7).unwrap();
    }
    w
}

/// Takes everything apart; nothing may be missing then.
fn finish(w: &mut World, free: u32) {
    w.model.held.clear();
    for (slot, kind) in (0..=SERVERS).flat_map(|slot| OBJECT_KINDS.map(|kind| (slot, kind))) {
        w.core.holdings[SlotId(slot)].set_limit(kind, NO_LIMIT);
    }
    for raw in 0..2 {
        assert_eq!(w.core.window_reset(&mut w.model, WindowId(raw)), 0);
    }
    for server in 1..8 {
        while w.core.server_destroy(&mut w.model, ThreadId(server)) == Ok(false) {}
    }
    for region in (REGIONS.start + 3)..24 {
        while w.core.region_free(&mut w.model, RegionId(region)).unwrap() != 0 {}
    }
    audit::check(&w.core, &mut w.model);
    assert_eq!(w.core.frames_free, free);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_and_tables_agree_whatever_happens(steps in prop::collection::vec(step(), 1..200)) {
        let booted = World::boot();
        let (free, tables) = (booted.core.frames_free, booted.model.tables_used());
        let mut w = start();
        for step in &steps {
            run(&mut w, step, &mut Tally::default());
        }
        finish(&mut w, free);
        prop_assert_eq!(w.model.tables_used(), tables);
    }
}

#[test]
fn the_random_steps_reach_what_matters() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut tally = Tally::default();
    for _ in 0..30 {
        let mut w = start();
        let steps: Vec<Step> =
            prop::collection::vec(step(), 200).new_tree(&mut runner).unwrap().current();
        for step in &steps {
            run(&mut w, step, &mut tally);
        }
    }
    let Tally { mapped, granted, sealed, freed, busy, refused, memory, limited } = tally;
    assert!(
        [mapped, granted, sealed, freed, busy, refused, memory, limited]
            .iter()
            .all(|count| *count > 10),
        "{tally:?}"
    );
}

//! Regions, mappings, sealing: what is refused, what is counted, what comes back.

use abi::kernel::control::{
    Access, Error, GRANTABLE, KEEP, REGION_CLOCK, REGION_CONSOLE, REGION_IMAGE, REGION_STORE,
    SEALED, WIRE,
};
use abi::layout::{PAGE, USER_END};

use super::audit;
use super::world::{COUNTS, FREE, IMAGE, ROOT_PAGES, World};
use crate::core::hardware::Frame;
use crate::core::space::Mapping;
use crate::core::table::{RegionId, SlotId, ThreadId};

const AT: u64 = 0x5000_0000;

/// A booted world with one more server.
pub fn pair() -> (World, ThreadId) {
    let mut w = World::boot();
    let server = w.server(1, 10);
    (w, server)
}

/// A filled region.
pub fn region(w: &mut World, pages: u32, flags: u32) -> RegionId {
    let id = w.core.region_create(&mut w.model, SlotId(0), pages, flags).unwrap();
    while w.core.region_extend(&mut w.model, id).unwrap() != 0 {}
    id
}

pub fn map(
    w: &mut World,
    server: ThreadId,
    region: RegionId,
    address: u64,
    count: u32,
    access: Access,
) -> Result<u32, Error> {
    let mapping = Mapping { region, first: 0, count, address, access };
    let result = w.core.map(&mut w.model, server, &mapping);
    audit::check(&w.core, &mut w.model);
    result
}

fn free(w: &mut World, id: RegionId) -> Result<u32, Error> {
    let left = w.core.region_free(&mut w.model, id);
    audit::check(&w.core, &mut w.model);
    left
}

#[test]
fn a_region_is_filled_and_freed_in_steps_of_32_pages() {
    let (mut w, _) = pair();
    let before = (w.core.frames_free, w.model.tables_used());
    let id = w.core.region_create(&mut w.model, SlotId(0), 70, WIRE).unwrap();
    let missing: [u32; 3] =
        core::array::from_fn(|_| w.core.region_extend(&mut w.model, id).unwrap());
    assert_eq!(missing, [38, 6, 0]);
    assert_eq!(w.core.region_info(id), (70, WIRE, 0, 0));
    assert_eq!(w.core.frames_free, before.0 - 70);
    let left: [u32; 3] = core::array::from_fn(|_| free(&mut w, id).unwrap());
    assert_eq!(left, [38, 6, 0]);
    assert_eq!((w.core.frames_free, w.model.tables_used()), before);
    assert!(w.core.live_region(id.0).is_err());
}

#[test]
fn a_region_beyond_four_mebibytes_is_found_page_by_page() {
    let (mut w, _) = pair();
    let before = w.model.indexes.len() as u32;
    let id = region(&mut w, 1025, 0);
    let frames: std::collections::BTreeSet<u32> =
        (0..1025).map(|page| w.core.region_frame(&mut w.model, id, page).unwrap().0).collect();
    assert_eq!(frames.len(), 1025);
    assert_eq!(w.model.indexes.len() as u32 - before, crate::core::region::index_pages(1025));
    assert_eq!(w.core.region_frame(&mut w.model, id, 1025), None);
    while free(&mut w, id).unwrap() != 0 {}
    assert_eq!(w.model.indexes.len() as u32, before);
}

#[test]
fn memory_that_runs_out_is_an_error_and_comes_back() {
    let (mut w, _) = pair();
    let all = w.core.frames_free;
    let id = w.core.region_create(&mut w.model, SlotId(0), all + 1, 0).unwrap();
    let mut missing = all + 1;
    while missing > 1 {
        missing = w.core.region_extend(&mut w.model, id).unwrap();
    }
    assert_eq!(w.core.region_extend(&mut w.model, id), Err(Error::Memory));
    assert_eq!(w.core.frames_free, 0);
    while free(&mut w, id).unwrap() != 0 {}
    assert_eq!(w.core.frames_free, all);
}

#[test]
fn regions_and_index_pages_that_run_out_are_errors() {
    let (mut w, _) = pair();
    let mut made = std::vec::Vec::new();
    let error = loop {
        match w.core.region_create(&mut w.model, SlotId(0), 1, 0) {
            Ok(id) => made.push(id),
            Err(error) => break error,
        }
    };
    assert_eq!((error, made.len()), (Error::Exhausted, COUNTS.regions as usize - 8 - 3));
    for id in made {
        assert_eq!(w.core.region_free(&mut w.model, id), Ok(0));
    }
    w.model.tables_left = 0;
    assert_eq!(w.core.region_create(&mut w.model, SlotId(0), 2, 0), Err(Error::Memory));
    assert!(w.core.region_create(&mut w.model, SlotId(0), 1, 0).is_ok(), "one page needs no index");
}

#[test]
fn bad_sizes_and_flags_are_refused() {
    let (mut w, _) = pair();
    for (pages, flags) in
        [(0, 0), (1 << 20 | 1, 0), (u32::MAX, 0), (1, SEALED), (1, 16), (1, 1 << 16), (1, u32::MAX)]
    {
        assert_eq!(
            w.core.region_create(&mut w.model, SlotId(0), pages, flags),
            Err(Error::Invalid)
        );
    }
    assert!(w.core.region_create(&mut w.model, SlotId(0), 1, GRANTABLE | WIRE | KEEP).is_ok());
}

#[test]
fn mappings_are_made_looked_at_and_unmade() {
    let (mut w, server) = pair();
    let id = region(&mut w, 40, 0);
    assert_eq!(map(&mut w, server, id, AT, 40, Access::Write), Ok(32), "32 at a time");
    assert_eq!(w.core.region_info(id).2, 32);
    assert_eq!(map(&mut w, server, id, AT + 31 * PAGE, 1, Access::Read), Err(Error::Mapped));
    assert_eq!(
        map(&mut w, server, id, AT - PAGE, 3, Access::Read),
        Ok(1),
        "up to what is in the way"
    );
    let flushes = w.model.flushes;
    assert_eq!(w.core.unmap(&mut w.model, server, AT - PAGE, 50, None), Ok(32));
    assert_eq!(w.model.flushes, flushes + 1, "once for all pages of a call");
    assert_eq!(w.core.unmap(&mut w.model, server, AT, 50, None), Ok(32));
    audit::check(&w.core, &mut w.model);
    assert_eq!((w.core.region_info(id).2, w.core.threads[server].pages), (0, 0));
}

#[test]
fn addresses_outside_user_space_are_refused() {
    let (mut w, server) = pair();
    let id = region(&mut w, 4, 0);
    let wrong = [0, 1, AT + 8, USER_END, USER_END - PAGE, 1 << 47, 0xffff_8000_0000_0000, !0xfff];
    for address in wrong {
        assert_eq!(
            map(&mut w, server, id, address, 2, Access::Read),
            Err(Error::Address),
            "{address:#x}"
        );
        assert_eq!(
            w.core.unmap(&mut w.model, server, address, 2, None),
            Err(Error::Address),
            "{address:#x}"
        );
    }
    assert_eq!(map(&mut w, server, id, USER_END - 2 * PAGE, 2, Access::Read), Ok(2));
}

#[test]
fn pages_that_a_region_does_not_have_are_refused() {
    let (mut w, server) = pair();
    let id = w.core.region_create(&mut w.model, SlotId(0), 40, 0).unwrap();
    w.core.region_extend(&mut w.model, id).unwrap();
    for (first, count) in [(32, 1), (31, 2), (u32::MAX, 2), (40, 1)] {
        let mapping = Mapping { region: id, first, count, address: AT, access: Access::Read };
        assert_eq!(w.core.map(&mut w.model, server, &mapping), Err(Error::Invalid));
    }
}

#[test]
fn tables_that_run_out_stop_a_mapping_part_way() {
    let (mut w, server) = pair();
    let id = region(&mut w, 20, 0);
    w.model.tables_left = 1;
    let edge = AT - 10 * PAGE;
    assert_eq!(map(&mut w, server, id, edge, 20, Access::Read), Ok(10));
    assert_eq!(map(&mut w, server, id, AT, 10, Access::Read), Err(Error::Memory));
}

#[test]
fn nothing_is_writable_and_executable() {
    let (mut w, server) = pair();
    let id = region(&mut w, 2, GRANTABLE);
    assert_eq!(map(&mut w, server, id, AT, 2, Access::Execute), Err(Error::Sealed), "not sealed");
    map(&mut w, server, id, AT, 2, Access::Write).unwrap();
    assert_eq!(w.core.region_seal(id), Err(Error::Sealed), "a writable mapping");
    w.core.unmap(&mut w.model, server, AT, 1, None).unwrap();
    assert_eq!(w.core.region_seal(id), Err(Error::Sealed), "still one");
    w.core.unmap(&mut w.model, server, AT + PAGE, 1, None).unwrap();
    map(&mut w, ThreadId(0), id, AT, 2, Access::Read).unwrap();
    assert_eq!(w.core.region_seal(id), Ok(()), "readers do no harm");
    assert_eq!(w.core.region_seal(id), Err(Error::Sealed), "once");
    assert_eq!(map(&mut w, server, id, AT, 2, Access::Write), Err(Error::Sealed));
    assert_eq!(map(&mut w, server, id, AT, 2, Access::Execute), Ok(2));
    assert_eq!(w.core.region_extend(&mut w.model, id), Err(Error::Sealed));
}

#[test]
fn a_region_with_a_grant_is_not_sealed() {
    let (mut w, server) = pair();
    let id = super::devices::granted(&mut w, server, 1);
    w.core.unmap(&mut w.model, server, super::devices::AT, 1, None).unwrap();
    assert_eq!(w.core.region_seal(id), Err(Error::Sealed));
}

#[test]
fn a_region_in_use_is_not_freed() {
    let (mut w, server) = pair();
    let id = region(&mut w, 3, 0);
    map(&mut w, server, id, AT, 1, Access::Read).unwrap();
    assert_eq!(free(&mut w, id), Err(Error::Busy));
    w.core.unmap(&mut w.model, server, AT, 1, None).unwrap();
    assert_eq!(free(&mut w, id), Ok(0));
    assert_eq!(free(&mut w, id), Ok(0), "gone");
}

#[test]
fn a_region_that_is_being_freed_takes_nothing_new() {
    let (mut w, _) = pair();
    let id = region(&mut w, 40, 0);
    assert_eq!(free(&mut w, id), Ok(8));
    assert!(w.core.live_region(id.0).is_err());
}

#[test]
fn the_fixed_regions_are_what_the_machine_said() {
    let (mut w, server) = pair();
    let fixed = |raw| RegionId(raw);
    assert_eq!(w.core.region_info(fixed(REGION_IMAGE)), (4, SEALED, 1 + 4, 0));
    assert_eq!(w.core.region_frame(&mut w.model, fixed(REGION_IMAGE), 3), Some(Frame(IMAGE + 3)));
    assert_eq!(w.core.region_free(&mut w.model, fixed(REGION_IMAGE)), Err(Error::Invalid));
    assert_eq!(map(&mut w, server, fixed(REGION_IMAGE), AT, 4, Access::Execute), Ok(4));
    for access in [Access::Write, Access::Execute] {
        assert_eq!(
            map(&mut w, server, fixed(REGION_CLOCK), AT + 0x10000, 1, access),
            Err(Error::Sealed)
        );
        assert_eq!(w.core.region_seal(fixed(REGION_CLOCK)), Err(Error::Invalid));
    }
    // Pages outside the frame table are counted as well.
    for raw in [REGION_STORE, REGION_CONSOLE] {
        let at = AT + u64::from(raw) * 0x10_0000;
        assert_eq!(map(&mut w, server, fixed(raw), at, 1, Access::Write), Ok(1));
        assert_eq!(
            (w.core.region_info(fixed(raw)).2, w.core.region_seal(fixed(raw))),
            (1, Err(Error::Invalid))
        );
        w.core.unmap(&mut w.model, server, at, 1, None).unwrap();
        assert_eq!(w.core.region_info(fixed(raw)).2, 0);
    }
}

#[test]
fn the_supervisor_finds_its_memory_as_its_header_says() {
    let w = World::boot();
    let space = &w.model.spaces[&0];
    let access = |address: u64| space.get(&address).map(|(_, access)| *access);
    assert_eq!(access(0x40_0000), Some(Access::Execute));
    assert_eq!(space[&0x40_0000].0, Frame(IMAGE + 1), "in place");
    assert_eq!((access(0x40_1000), access(0x40_2000)), (Some(Access::Write), Some(Access::Write)));
    let data = space[&0x40_1000].0;
    let more = space[&0x40_2000].0;
    assert_eq!(w.model.copied, [(Frame(IMAGE + 2), data, 4096), (Frame(IMAGE + 3), more, 904)]);
    assert_eq!(access(abi::layout::STACK_END - 2 * PAGE), Some(Access::Write));
    assert_eq!(access(abi::layout::STACK_END - 3 * PAGE), None, "a guard page");
    assert_eq!(access(abi::layout::HEAP), Some(Access::Write));
    assert_eq!(
        (access(abi::layout::CLOCK), access(abi::layout::START)),
        (Some(Access::Read), Some(Access::Read))
    );
    assert_eq!(access(abi::layout::BOOT_IMAGE + 3 * PAGE), Some(Access::Read));
    assert_eq!(w.model.started[&0], (0x40_0000, abi::layout::STACK_END, 0));
    let memory = u32::try_from(FREE.end - FREE.start).unwrap();
    assert_eq!(w.core.frames_free, memory - ROOT_PAGES);
}

#[test]
fn too_few_objects_or_too_little_memory_stop_the_boot() {
    use super::world::{header, tables};
    use crate::core::Core;
    use crate::core::boot::{Boot, BootError};
    let boot = |counts: abi::image::Counts, tables_left: usize, free: core::ops::Range<u64>| {
        let mut core = Core::new(tables(counts, 1));
        let mut model = super::model::Model { tables_left, ..Default::default() };
        let boot = Boot {
            header: &header(counts),
            image: Frame(IMAGE),
            free: &[free],
            clock: Frame(0x108),
            boot_page: Frame(0x109),
            store: None,
            console: None,
        };
        core.boot(&mut model, &boot)
    };
    assert_eq!(boot(COUNTS, 60, FREE), Ok(()));
    assert_eq!(boot(COUNTS, 60, 0x120..0x123), Err(BootError::Memory));
    for tables in 0..8 {
        assert_eq!(boot(COUNTS, tables, FREE), Err(BootError::Memory), "{tables} tables");
    }
    let few = abi::image::Counts { handles: 1, ..COUNTS };
    assert_eq!(boot(few, 60, FREE), Err(BootError::Counts));
    let few = abi::image::Counts { regions: 9, ..COUNTS };
    assert_eq!(boot(few, 60, FREE), Err(BootError::Counts));
}

#[test]
fn the_size_told_to_the_machine_is_what_the_tables_take() {
    let size = crate::core::bytes(&COUNTS, 2, 100);
    let tables: usize =
        8 * 128 + 8 * 256 + 96 * 16 + 100 * 8 + 2 * size_of::<crate::core::schedule::Processor>();
    assert!(size > tables && size < tables + 6 * 1024, "{size}");
    assert_eq!(size % 256, 0);
}

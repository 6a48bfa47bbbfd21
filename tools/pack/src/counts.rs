//! How many objects of each kind the kernel has to make: what the system needs, and what a second server in one of its slots
//! needs beside it, for a swap.
//!
//! Invariant: what the supervisor does with the system's table does not exhaust these counts. Pages of page tables are counted
//! from the layout, one by one. The kernel makes the objects once, at boot; what its pool has left over by rounding is its own.

use abi::image::Counts;
use abi::kernel::control::{Access, REGIONS_FIXED};
use abi::layout::{
    BOOT_IMAGE, CLOCK, DEVICE, FILLED, HEAP, PAGE, SCRATCH, SCRATCH_PAGES, STACK_END, START,
    START_PAGES, STATE, STATE_PAGES,
};
use ipc::system::Slot;

use crate::elf::Elf;
use crate::managers::Managed;
use crate::plan::Plan;
use crate::tables::{Space, index_pages};

/// Counts the objects of a system whose image has so many pages.
pub fn count(plan: &Plan<'_>, image_pages: u64) -> Counts {
    let slots = plan.slots.len() as u64;
    let handles = || plan.slots.iter().map(|slot| u64::from(slot.handles));
    let wide = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    // For a swap there is a second server in a slot, in one slot at a time: one of each more.
    let private = slots.saturating_sub(1) + 1;
    let made = plan.managed.iter().map(Managed::regions).sum::<u64>();
    let regions = u64::from(REGIONS_FIXED) + root_regions(plan).len() as u64 + private + made;
    Counts {
        slots: wide(slots),
        servers: wide(slots + 1),
        regions: wide(regions + plan.regions.len() as u64),
        handles: wide(handles().sum::<u64>() + handles().skip(1).max().unwrap_or(0)),
        ports: wide(plan.ports.len() as u64),
        windows: wide(plan.windows.len() as u64),
        grants: wide(plan.windows.iter().map(|window| u64::from(window.references)).sum()),
        tables: wide(tables(plan, image_pages)),
    }
}

/// Pages for page tables and region indexes.
fn tables(plan: &Plan<'_>, image_pages: u64) -> u64 {
    let root = plan.slots.first().map_or(0, |slot| root_space(plan, slot, image_pages).tables());
    let root_indexes: u64 = root_regions(plan).into_iter().map(index_pages).sum();
    let others = || (1..plan.slots.len()).map(|slot| of_server(plan, slot));
    let shared: u64 = plan.regions.iter().map(|region| index_pages(region.pages.into())).sum();
    let made: u64 = plan.managed.iter().map(Managed::index_pages).sum();
    let second = (1..plan.slots.len()).map(|slot| of_server(plan, slot)).max().unwrap_or(0);
    root + root_indexes + others().sum::<u64>() + shared + made + second
}

/// Tables and index pages of a server other than the supervisor, as long as its start record can be, of any image that it may
/// have.
pub fn of_server(plan: &Plan<'_>, number: usize) -> u64 {
    images(plan, number).map(|image| of_image(plan, number, image)).max().unwrap_or(0)
}

/// The images that a slot may have.
fn images<'p>(plan: &'p Plan<'_>, number: usize) -> impl Iterator<Item = u16> + use<'p> {
    let first = plan.slots.get(number).map(|slot| slot.image);
    let others = plan.alternates.get(number).map_or(&[][..], Vec::as_slice);
    first.into_iter().chain(others.iter().copied())
}

fn of_image(plan: &Plan<'_>, number: usize, image: u16) -> u64 {
    let Some(slot) = plan.slots.get(number) else { return 0 };
    let slot = &Slot { image, ..slot.clone() };
    let mut space = common_space(plan, slot);
    space.add(START, START_PAGES);
    space.add(STATE, state_pages(plan, slot));
    space.add(FILLED, plan.managed.get(number).map_or(0, Managed::mapped));
    space.tables() + index_pages(data_of(plan, image) + memory(slot) + START_PAGES)
}

fn elf_of<'a>(plan: &Plan<'a>, slot: &Slot) -> Option<&'a Elf> {
    plan.images.get(usize::from(slot.image)).map(|(_, elf)| *elf)
}

/// Most pages of a predecessor's state; what maps them stays when they are gone.
fn state_pages(plan: &Plan<'_>, slot: &Slot) -> u64 {
    let has_state = elf_of(plan, slot).is_some_and(|elf| !elf.writes.is_empty());
    if has_state { u64::from(slot.heap_pages).min(STATE_PAGES) } else { 0 }
}

/// What every space has: its image, stack, heap, clock and shared memory.
fn common_space(plan: &Plan<'_>, slot: &Slot) -> Space {
    let mut space = Space::default();
    for segment in elf_of(plan, slot).map_or(&[][..], |elf| &elf.segments) {
        space.add(segment.address, segment.pages);
    }
    space.add(STACK_END - u64::from(slot.stack_pages) * PAGE, slot.stack_pages.into());
    space.add(HEAP, slot.heap_pages.into());
    space.add(CLOCK, 1);
    space.add(DEVICE, slot.device_page.is_some().into());
    for map in &slot.maps {
        let pages = plan.regions.get(usize::from(map.region)).map_or(0, |region| region.pages);
        space.add(map.address, pages.into());
    }
    space
}

/// The supervisor's space: it sees the boot page, the whole image, and what it fills for others.
fn root_space(plan: &Plan<'_>, slot: &Slot, image_pages: u64) -> Space {
    let mut space = common_space(plan, slot);
    space.add(START, 1);
    space.add(SCRATCH, SCRATCH_PAGES.into());
    space.add(BOOT_IMAGE, image_pages);
    space
}

/// Sizes of the regions that the kernel makes for the supervisor itself.
fn root_regions(plan: &Plan<'_>) -> Vec<u64> {
    let Some(slot) = plan.slots.first() else { return Vec::new() };
    let segments = elf_of(plan, slot).map_or(&[][..], |elf| &elf.segments);
    let written = segments.iter().filter(|segment| segment.access == Access::Write);
    let memory = [u64::from(slot.stack_pages), u64::from(slot.heap_pages)];
    written.map(|segment| segment.pages).chain(memory).filter(|pages| *pages > 0).collect()
}

/// Pages of the writable segments of the image of a slot that has most.
pub fn data_pages(plan: &Plan<'_>, number: usize) -> u64 {
    images(plan, number).map(|image| data_of(plan, image)).max().unwrap_or(0)
}

fn data_of(plan: &Plan<'_>, image: u16) -> u64 {
    let elf = plan.images.get(usize::from(image)).map(|(_, elf)| *elf);
    let segments = elf.map_or(&[][..], |elf| &elf.segments);
    let written = segments.iter().filter(|segment| segment.access == Access::Write);
    written.map(|segment| segment.pages).sum()
}

/// Pages of a slot's stack and heap.
pub fn memory(slot: &Slot) -> u64 {
    u64::from(slot.stack_pages) + u64::from(slot.heap_pages)
}

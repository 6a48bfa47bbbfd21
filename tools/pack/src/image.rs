//! The bytes of the boot image.

use abi::image::{Counts, HEADER, Header, SEGMENTS, Segment as RootSegment, sha256};
use abi::kernel::control::{Access, REGIONS_FIXED};
use abi::layout::{
    BOOT_IMAGE, CLOCK, DEVICE, HEAP, PAGE, SCRATCH, SCRATCH_PAGES, STACK_END, START, START_PAGES,
};
use ipc::system::{Image, Rights, Segment, Slot, Symbols, System};

use crate::elf::Elf;
use crate::plan::Plan;
use crate::tables::{Space, index_pages};

/// Pages of the kernel itself: its image and what its pool holds beside tables.
const KERNEL_PAGES: u64 = 160;

/// Writes the image; returns it and the pages that the system needs to boot.
pub fn write(plan: &Plan<'_>) -> (Vec<u8>, u64) {
    // The table's length does not depend on the offsets in it by more than the few bytes that a number may take more;
    // so it is laid out once with the offsets of a generous table, and once for good.
    let mut table_pages = 1;
    loop {
        let (system, bodies) = lay_out(plan, table_pages);
        let table = system.encode();
        let needed = (table.len() as u64).div_ceil(PAGE);
        if needed <= table_pages {
            return finish(plan, &system, &table, table_pages, &bodies);
        }
        table_pages = needed;
    }
}

fn lay_out(plan: &Plan<'_>, table_pages: u64) -> (System, Vec<Vec<u8>>) {
    let mut at = HEADER as u64 + table_pages * PAGE;
    let mut images = Vec::new();
    let mut bodies = Vec::new();
    for (name, elf) in &plan.images {
        let (image, body) = place(name, elf, at);
        at += body.len() as u64;
        images.push(image);
        bodies.push(body);
    }
    let system = System {
        name: plan.name.into(),
        images,
        slots: plan.slots.clone(),
        regions: plan.regions.clone(),
        ports: plan.ports.clone(),
        windows: plan.windows.clone(),
    };
    (system, bodies)
}

/// An image's record and its bytes: its segments from page boundaries on, then its symbols.
fn place(name: &str, elf: &Elf, offset: u64) -> (Image, Vec<u8>) {
    let mut body = Vec::new();
    let mut segments = Vec::new();
    for segment in &elf.segments {
        segments.push(Segment {
            rights: match segment.access {
                Access::Read => Rights::Read,
                Access::Write => Rights::Write,
                Access::Execute => Rights::Execute,
            },
            offset: offset + body.len() as u64,
            bytes: segment.bytes.len() as u64,
            address: segment.address,
            pages: segment.pages,
        });
        body.extend_from_slice(&segment.bytes);
        pad(&mut body);
    }
    let names: Vec<(u32, &str)> =
        elf.symbols.iter().map(|(address, name)| (*address, name.as_str())).collect();
    let symbols = Symbols::encode(&names);
    let symbols_at = offset + body.len() as u64;
    body.extend_from_slice(&symbols);
    pad(&mut body);
    let image = Image {
        name: name.into(),
        offset,
        bytes: body.len() as u64,
        sha256: sha256(&body),
        entry: elf.entry,
        segments,
        symbols: (symbols_at, symbols.len() as u64),
    };
    (image, body)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
}

fn finish(
    plan: &Plan<'_>,
    system: &System,
    table: &[u8],
    table_pages: u64,
    bodies: &[Vec<u8>],
) -> (Vec<u8>, u64) {
    let mut root = table.to_vec();
    root.resize((table_pages * PAGE) as usize, 0);
    root.extend_from_slice(bodies.first().map_or(&[], Vec::as_slice));
    let rest: u64 = bodies.iter().skip(1).map(|body| body.len() as u64).sum();
    let image_bytes = HEADER as u64 + root.len() as u64 + rest;
    let counts = counts(plan, image_bytes);
    let mut segments = [None; SEGMENTS];
    let records = system.images.first().map_or(&[][..], |image| &image.segments);
    for (place, segment) in segments.iter_mut().zip(records) {
        *place = Some::<RootSegment>(segment.image());
    }
    let supervisor = system.slots.first();
    let header = Header {
        image_bytes,
        root_bytes: root.len() as u64,
        table_bytes: table.len() as u64,
        counts,
        entry: system.images.first().map_or(0, |image| image.entry),
        stack_pages: supervisor.map_or(0, |slot| slot.stack_pages),
        heap_pages: supervisor.map_or(0, |slot| slot.heap_pages),
        handles: supervisor.map_or(0, |slot| slot.handles.into()),
        segments,
    };
    let mut out = header.encode(&root).to_vec();
    out.extend_from_slice(&root);
    bodies.iter().skip(1).for_each(|body| out.extend_from_slice(body));
    (out, pages(plan, image_bytes, counts))
}

fn elf_of<'a>(plan: &Plan<'a>, slot: &Slot) -> Option<&'a Elf> {
    plan.images.get(usize::from(slot.image)).map(|(_, elf)| *elf)
}

/// Pages of a slot's own region: data, stack, heap, start record.
fn private(plan: &Plan<'_>, slot: &Slot) -> u64 {
    let data = elf_of(plan, slot).map_or(0, |elf| {
        elf.segments
            .iter()
            .filter(|segment| segment.access == Access::Write)
            .map(|segment| segment.pages)
            .sum()
    });
    data + u64::from(slot.stack_pages) + u64::from(slot.heap_pages) + START_PAGES
}

fn space(plan: &Plan<'_>, number: usize, slot: &Slot, image_bytes: u64) -> Space {
    let mut space = Space::default();
    for segment in elf_of(plan, slot).map_or(&[][..], |elf| &elf.segments) {
        space.add(segment.address, segment.pages);
    }
    space.add(STACK_END - u64::from(slot.stack_pages) * PAGE, slot.stack_pages.into());
    space.add(HEAP, slot.heap_pages.into());
    space.add(START, START_PAGES);
    space.add(CLOCK, 1);
    space.add(DEVICE, 1);
    for map in &slot.maps {
        let pages = plan.regions.get(usize::from(map.region)).map_or(0, |region| region.pages);
        space.add(map.address, pages.into());
    }
    if number == 0 {
        space.add(SCRATCH, SCRATCH_PAGES.into());
        space.add(BOOT_IMAGE, image_bytes / PAGE);
    }
    space
}

fn counts(plan: &Plan<'_>, image_bytes: u64) -> Counts {
    let slots = plan.slots.len() as u32;
    let spaces = plan.slots.iter().enumerate().map(|(number, slot)| {
        space(plan, number, slot, image_bytes).tables() + index_pages(private(plan, slot))
    });
    let spaces: Vec<u64> = spaces.collect();
    let shared: u64 = plan.regions.iter().map(|region| index_pages(region.pages.into())).sum();
    // A server that is started again needs its tables before the last of its predecessor's are free.
    let reserve = spaces.iter().max().copied().unwrap_or(0) + 8;
    let handles: u32 = plan.slots.iter().map(|slot| u32::from(slot.handles)).sum();
    let largest = plan.slots.iter().map(|slot| u32::from(slot.handles)).max().unwrap_or(0);
    Counts {
        slots,
        servers: slots + 1,
        regions: u32::from(REGIONS_FIXED) + plan.regions.len() as u32 + slots + 2,
        handles: handles + largest,
        ports: plan.ports.len() as u32,
        windows: plan.windows.len() as u32,
        grants: plan.windows.iter().map(|window| window.references).sum(),
        tables: (spaces.iter().sum::<u64>() + shared + reserve) as u32,
    }
}

/// Pages of memory that the system needs to boot.
fn pages(plan: &Plan<'_>, image_bytes: u64, counts: Counts) -> u64 {
    let private: u64 = plan.slots.iter().map(|slot| private(plan, slot)).sum();
    let shared: u64 = plan.regions.iter().map(|region| u64::from(region.pages)).sum();
    let objects =
        u64::from(counts.tables) + u64::from(counts.handles) / 256 + u64::from(counts.servers);
    image_bytes / PAGE + private + shared + objects + KERNEL_PAGES
}

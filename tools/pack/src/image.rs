//! The bytes of the boot image.

use abi::image::{HEADER, Header, SEGMENTS, Segment as RootSegment, sha256};
use abi::kernel::control::Access;
use abi::layout::PAGE;
use ipc::system::{Image, Rights, Segment, Symbols, System};

use crate::counts;
use crate::elf::Elf;
use crate::memory::{self, Domain};
use crate::plan::Plan;
use crate::wiring;

/// Writes the image; returns it and the pages that the system needs to boot.
pub fn write(plan: &Plan<'_>, domain: Domain) -> (Vec<u8>, u64) {
    // The table's length does not depend on the offsets in it by more than the few bytes that a number may take more;
    // so it is laid out once with the offsets of a generous table, and once for good.
    let mut table_pages = 1;
    loop {
        let (system, bodies) = lay_out(plan, table_pages);
        let table = system.encode();
        let needed = (table.len() as u64).div_ceil(PAGE);
        if needed <= table_pages {
            return finish((plan, domain), &system, &table, table_pages, &bodies);
        }
        table_pages = needed;
    }
}

fn lay_out(plan: &Plan<'_>, table_pages: u64) -> (System, Vec<Vec<u8>>) {
    let mut at = HEADER as u64 + table_pages * PAGE;
    let mut images = Vec::new();
    let mut bodies = Vec::new();
    for (name, elf) in &plan.images {
        let (image, body) = place((name, plan.version), elf, at);
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

/// The SHA-256 by which a system knows the image of a server.
pub fn digest(elf: &Elf) -> [u8; 32] {
    place(("", ""), elf, 0).0.sha256
}

/// An image's record and its bytes: its segments from page boundaries on, then its symbols.
fn place((name, version): (&str, &str), elf: &Elf, offset: u64) -> (Image, Vec<u8>) {
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
        version: version.into(),
        entry: elf.entry,
        segments,
        symbols: (symbols_at, symbols.len() as u64),
        wiring: wiring::of(elf),
    };
    (image, body)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
}

fn finish(
    (plan, domain): (&Plan<'_>, Domain),
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
    let counts = counts::count(plan, image_bytes / PAGE);
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
    let pages = memory::to_boot(plan, domain, &counts, image_bytes / PAGE);
    (out, pages)
}

//! The rules that a slot keeps by itself, and the warnings about a whole plan.
//!
//! Invariant: what passes here and in [`crate::plan`] passes the supervisor's own checks. It decides no number.

use std::collections::BTreeSet;
use std::ops::Range;

use abi::image::{HEADER, Header};
use abi::layout::{HEAP, HEAP_END, PAGE, STACK_PAGES};
use ipc::system::System;

use crate::elf::Elf;
use crate::manifest::{Manifest, Server};
use crate::plan::Plan;
use crate::report::Report;

/// Most bytes of a name.
const NAME: usize = abi::wiring::NAME;
/// Most pages of a heap.
const HEAP_PAGES: u64 = (HEAP_END - HEAP) / PAGE;
/// Most CPU time between two waits that can be asked for: one hour, in milliseconds.
const LONGEST: u64 = 3_600_000;

/// Everything that the system's name and its slots break, each looked at alone.
pub fn check(manifest: &Manifest, servers: &[(&str, &Server, &Elf)]) -> Vec<Report> {
    let mut errors = Vec::new();
    if let Some(what) = wrong_name("the system", &manifest.name) {
        errors.push(manifest.report_name(&what, NAMES));
    }
    for (name, server, elf) in servers {
        if let Some(what) = wrong_name("the slot", name) {
            errors.push(manifest.at_slot(name, &what, NAMES));
        }
        let (heap, longest) = (HEAP_PAGES, LONGEST);
        let stack = server.stack.as_ref().map(|given| (u64::from(*given.get_ref()), given.span()));
        errors.extend(memory(manifest, name, "stack", stack, elf.stack, 1..STACK_PAGES + 1));
        let given = server.heap.as_ref().map(|given| (u64::from(*given.get_ref()), given.span()));
        errors.extend(memory(manifest, name, "heap", given, elf.heap, 0..heap));
        errors.extend(grantable(manifest, name, elf));
        if let Some(given) = server.longest_ms.as_ref().filter(|given| *given.get_ref() > longest) {
            let what = format!("`longest_ms` of `{name}` is above {longest}, an hour");
            errors.push(manifest.at(given.span(), &what, "lower it, or write 0 for no limit"));
        }
    }
    errors
}

const NAMES: &str = "use small letters, digits and `-`, and begin with a letter";

fn wrong_name(owner: &str, name: &str) -> Option<String> {
    if name.is_empty() {
        return Some(format!("{owner} has an empty name"));
    }
    if name.len() > NAME {
        return Some(format!("{owner} `{name}` has a name of more than {NAME} bytes"));
    }
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    (!begins || !name.bytes().all(fine)).then(|| format!("{owner} `{name}` has no proper name"))
}

/// Memory of a wire that can be granted to another domain is for servers that drive a device.
fn grantable(manifest: &Manifest, name: &str, elf: &Elf) -> Option<Report> {
    let end = elf.serves.iter().find(|end| end.shape.grantable && elf.windows.is_empty())?;
    let what = format!("`{name}` may grant the memory of `{}`, and has no window", end.interface);
    Some(manifest.at_slot(name, &what, "declare a window in its wiring, or serve plain memory"))
}

/// Whether a part of memory fits the address space: what the manifest gives, or else what the image asks for.
fn memory(
    manifest: &Manifest,
    slot: &str,
    part: &str,
    given: Option<(u64, Range<usize>)>,
    asked: u32,
    room: Range<u64>,
) -> Option<Report> {
    let pages = given.as_ref().map_or(u64::from(asked), |given| given.0);
    if room.contains(&pages) {
        return None;
    }
    let what = format!("`{slot}` has {pages} pages of {part}");
    let help = format!("give it `{part}` of {} to {} pages", room.start, room.end - 1);
    Some(match given {
        Some((_, span)) => manifest.at(span, &what, &help),
        None => manifest.at_slot(slot, &what, &help),
    })
}

/// What may be a mistake in a system that can run: a server that nobody can reach.
pub fn warn(manifest: &Manifest, plan: &Plan<'_>) -> Vec<Report> {
    let wires = manifest.servers.iter().flat_map(|(_, server)| server.wires.values());
    let reached: BTreeSet<&str> = wires.map(|target| target.get_ref().as_str()).collect();
    let drives = |image: u16| {
        plan.images.get(usize::from(image)).is_some_and(|(_, elf)| elf.device.is_some())
    };
    // One that drives a device has work without clients.
    let unused = plan.slots.iter().skip(1).filter(|slot| {
        slot.clients > 0 && !drives(slot.image) && !reached.contains(slot.name.as_str())
    });
    unused.map(|slot| unused_server(manifest, &slot.name)).collect()
}

/// The system table as the supervisor will read it, if the kernel and the supervisor take what was packed.
///
/// # Errors
/// The rule that it breaks.
pub fn proof(manifest: &Manifest, image: &[u8]) -> Result<System, Report> {
    const HELP: &str = "leave servers out, or make two systems";
    let header = Header::decode(image).map_err(|error| manifest.report_name(error.text(), HELP))?;
    let table = HEADER..HEADER + header.table_bytes as usize;
    let bytes = image.get(table).unwrap_or_default();
    System::decode(bytes, header.image_bytes).map_err(|fault| {
        let what = format!("the supervisor would refuse this system: {fault:?}");
        manifest.report_name(&what, HELP)
    })
}

fn unused_server(manifest: &Manifest, name: &str) -> Report {
    let what = format!("nobody uses the server `{name}`");
    manifest.at_slot(name, &what, "wire a need to it, or leave it out").into_warning()
}

//! The rules that a slot keeps by itself, and the warnings about a whole plan.
//!
//! Invariant: what passes here, in [`crate::owners`] and in [`crate::calls`] passes the supervisor's own checks. It decides no number.

use std::collections::BTreeSet;
use std::ops::Range;

use abi::image::{HEADER, Header};
use abi::layout::{HEAP, HEAP_END, PAGE, STACK_PAGES};
use ipc::system::System;
use toml::Spanned;

use crate::account;
use crate::manifest::Manifest;
use crate::plan::{Filled, Plan};
use crate::report::Report;
use crate::size::Pages;
use crate::spread;

/// Most bytes of a name.
const NAME: usize = abi::wiring::NAME;
/// Most pages of a heap.
const HEAP_PAGES: u64 = (HEAP_END - HEAP) / PAGE;
/// Most CPU time between two waits that can be asked for: one hour, in milliseconds.
const LONGEST: u64 = 3_600_000;

/// Most slots of a system.
const SLOTS: usize = 200;

/// Everything that the system's name and its slots break, each looked at alone.
pub fn check(manifest: &Manifest, slots: &[Filled<'_>]) -> Vec<Report> {
    let mut errors = Vec::new();
    if let Some(what) = wrong_name("the system", &manifest.name) {
        errors.push(manifest.report_name(&what, NAMES));
    }
    if slots.len() > SLOTS {
        let what = format!("the system has {} servers, and {SLOTS} is the most", slots.len());
        errors.push(manifest.report_name(&what, "put servers together, or make two systems"));
    }
    errors.extend(spread::check(manifest));
    let top = slots.first().map_or(u8::MAX, Filled::priority);
    for slot in slots {
        errors.extend(names(manifest, slot));
        errors.extend(priority(manifest, slot, top));
        errors.extend(spread::check_slot(manifest, slot));
        errors.extend(memory(manifest, slot));
        errors.extend(grantable(manifest, slot));
        errors.extend(longest(manifest, slot));
        errors.extend(account::check(manifest, slot));
    }
    errors
}

fn names(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    let what = wrong_name("the slot", slot.name)?;
    Some(manifest.at_slot(slot.name, &what, NAMES))
}

/// The supervisor is above everybody.
fn priority(manifest: &Manifest, slot: &Filled<'_>, top: u8) -> Option<Report> {
    if slot.name == "supervisor" || slot.priority() < top {
        return None;
    }
    let what = format!("`{}` is not below the supervisor's priority {top}", slot.name);
    let help = "give the supervisor the highest priority, 255";
    Some(manifest.at(slot.server.priority.span(), &what, help))
}

fn longest(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    let given = slot.server.longest_ms.as_ref().filter(|given| *given.get_ref() > LONGEST)?;
    let what = format!("`longest_ms` of `{}` is above {LONGEST}, an hour", slot.name);
    Some(manifest.at(given.span(), &what, "lower it, or write 0 for no limit"))
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
fn grantable(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    let Filled { name, elf, .. } = slot;
    let end = elf.serves.iter().find(|end| end.shape.grantable && elf.windows.is_empty())?;
    let what = format!("`{name}` may grant the memory of `{}`, and has no window", end.interface);
    Some(manifest.at_slot(name, &what, "declare a window in its wiring, or serve plain memory"))
}

/// Whether stack and heap fit the address space: what the manifest gives, or else what the image asks for.
fn memory(manifest: &Manifest, slot: &Filled<'_>) -> Vec<Report> {
    let Filled { name, server, elf } = *slot;
    let part = |part: &str, given: Option<&Spanned<Pages>>, asked: u32, room: Range<u64>| {
        let pages = given.map_or(asked, |given| given.get_ref().0);
        if room.contains(&u64::from(pages)) {
            return None;
        }
        let what = format!("`{name}` has {pages} pages of {part}");
        let help = format!("give it `{part}` of {} to {} pages", room.start, room.end - 1);
        Some(match given {
            Some(given) => manifest.at(given.span(), &what, &help),
            None => manifest.at_slot(name, &what, &help),
        })
    };
    let stack = part("stack", server.stack.as_ref(), elf.stack, 1..STACK_PAGES + 1);
    let heap = part("heap", server.heap.as_ref(), elf.heap, 0..HEAP_PAGES);
    stack.into_iter().chain(heap).collect()
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

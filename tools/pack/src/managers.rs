//! Managers: which slot decides about the faults, the memory and the time of which others.
//!
//! Invariant: a manager that passes here is above everyone that it manages, so its faults end at the supervisor, and has a
//! handle through which it can act. How many objects all of that takes is said by [`Managed`].

use abi::layout::{FILLED, FILLED_END, PAGE};

use crate::manifest::Manifest;
use crate::nearest::hint;
use crate::plan::Filled;
use crate::report::Report;
use crate::tables::index_pages;

/// Regions that a manager with memory to fill may make.
const REGIONS: u64 = 8;
/// Most pages that can be filled.
const PAGES: u64 = (FILLED_END - FILLED) / PAGE;

/// Memory that a slot fills for others, or that is filled for it, in pages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Managed {
    /// What it may take to fill others.
    pub frames: u64,
    /// What others may fill for it.
    pub space: u64,
}

impl Managed {
    /// What the manifest says of a slot.
    pub fn of(slot: &Filled<'_>) -> Self {
        let pages = |given: Option<&toml::Spanned<crate::size::Pages>>| {
            given.map_or(0, |given| u64::from(given.get_ref().0))
        };
        let Filled { server, .. } = slot;
        Self { frames: pages(server.frames.as_ref()), space: pages(server.space.as_ref()) }
    }

    /// Regions that it may make.
    pub fn regions(&self) -> u64 {
        if self.frames == 0 { 0 } else { REGIONS }
    }

    /// Index pages that they take, however their pages are shared out.
    pub fn index_pages(&self) -> u64 {
        if self.frames == 0 { 0 } else { 2 * REGIONS + index_pages(self.frames) }
    }

    /// Pages from [`FILLED`] on that are mapped in its space.
    pub fn mapped(&self) -> u64 {
        self.frames + self.space
    }
}

/// The number of a slot's manager.
pub fn of(slots: &[Filled<'_>], slot: &Filled<'_>) -> Option<usize> {
    let name = slot.server.manager.as_ref()?;
    slots.iter().position(|other| other.name == name.get_ref())
}

/// What slots break with their managers.
pub fn check(manifest: &Manifest, slots: &[Filled<'_>]) -> Vec<Report> {
    let each = slots.iter().flat_map(|slot| {
        [manager(manifest, slots, slot), filled(manifest, slot), filling(manifest, slots, slot)]
    });
    each.flatten().collect()
}

fn manager(manifest: &Manifest, slots: &[Filled<'_>], slot: &Filled<'_>) -> Option<Report> {
    let given = slot.server.manager.as_ref()?;
    let (name, by) = (slot.name, given.get_ref().as_str());
    let at = |what: &str, help: &str| Some(manifest.at(given.span(), what, help));
    if name == "supervisor" {
        return at("the supervisor cannot be managed", "leave `manager` out");
    }
    if by == "supervisor" {
        return at(
            &format!("`{name}` is the supervisor's already"),
            "leave `manager` out: whom nobody else manages, the supervisor does",
        );
    }
    let Some(manager) = slots.iter().find(|other| other.name == by) else {
        let names = slots.iter().map(|slot| slot.name);
        let help = hint(by, names, "name the slot of a server that has a control handle");
        return at(&format!("there is no slot `{by}`"), &help);
    };
    if !manager.elf.control {
        return at(
            &format!("`{by}` manages nobody"),
            "declare `control NAME;` in its wiring, or name another",
        );
    }
    if manager.priority() <= slot.priority() {
        let (above, below) = (manager.priority(), slot.priority());
        return at(
            &format!("the manager `{by}` ({above}) is not above `{name}` ({below})"),
            "raise the manager's priority",
        );
    }
    None
}

/// Memory to be filled is for those who have a manager, and has its place.
fn filled(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    let given = slot.server.space.as_ref()?;
    let at = |what: &str, help: &str| Some(manifest.at(given.span(), what, help));
    if slot.server.manager.is_none() {
        let what = format!("nobody fills the memory of `{}`", slot.name);
        return at(&what, "name its `manager`, or leave `space` out");
    }
    if u64::from(given.get_ref().0) > PAGES {
        let what = format!("`{}` has more than {PAGES} pages of `space`", slot.name);
        return at(&what, "lower it");
    }
    None
}

/// Memory to fill others with is for managers.
fn filling(manifest: &Manifest, slots: &[Filled<'_>], slot: &Filled<'_>) -> Option<Report> {
    let given = slot.server.frames.as_ref()?;
    let manages = slots.iter().any(|other| {
        other.server.manager.as_ref().is_some_and(|manager| manager.get_ref() == slot.name)
    });
    if !manages || !slot.elf.control {
        let what = format!("`{}` manages nobody whom it could fill", slot.name);
        return Some(manifest.at(given.span(), &what, "leave `frames` out"));
    }
    if u64::from(given.get_ref().0) > PAGES {
        let what = format!("`{}` has more than {PAGES} pages of `frames`", slot.name);
        return Some(manifest.at(given.span(), &what, "lower it"));
    }
    None
}

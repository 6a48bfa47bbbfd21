//! Images that a slot may be swapped to: each must be able to take the place of the first, by the rules of the supervisor; and
//! whether there is memory for that.
//!
//! Invariant: what passes here is not refused by the supervisor's own check while all slots have their first image.

use crate::elf::Elf;
use crate::manifest::Manifest;
use crate::plan::{Filled, Plan};
use crate::report::Report;
use crate::wiring;

use std::collections::BTreeMap;

/// What alternates break.
pub fn check(
    manifest: &Manifest,
    slots: &[Filled<'_>],
    images: &BTreeMap<String, Elf>,
) -> Vec<Report> {
    let rule = |slot: &Filled<'_>| {
        let alternates = slot.server.alternates.iter();
        let reports: Vec<Report> = alternates
            .filter_map(|named| {
                let name = named.get_ref();
                let (why, help) = why_not(slot, images.get(name)?)?;
                let what = format!("`{name}` cannot take the place of `{}`: {why}", slot.name);
                Some(manifest.at(named.span(), &what, help))
            })
            .collect();
        reports
    };
    slots.iter().flat_map(rule).collect()
}

fn why_not(slot: &Filled<'_>, other: &Elf) -> Option<(String, &'static str)> {
    if slot.name == "supervisor" {
        return Some(("the supervisor is not swapped".into(), "leave `alternates` out"));
    }
    let (old, new) = (wiring::of(slot.elf), wiring::of(other));
    if !new.fits(&old) || slot.elf.device != other.device {
        return Some((
            "it has other needs, ports, windows or clients".into(),
            "give both images the same wiring, in the same order",
        ));
    }
    let record = new.unaccepted(&old)?;
    let why = format!("it does not accept the state `{}`", record.name);
    Some((why, "name the record's layout in its `accepts`, and adopt it"))
}

/// A warning if the domain has no memory for a swap that the manifest speaks of.
pub fn warn(manifest: &Manifest, plan: &Plan<'_>, pages: u64) -> Vec<Report> {
    let have = u64::from(manifest.memory_mib()) * 256;
    let Some(at) = plan.alternates.iter().position(|alternates| !alternates.is_empty()) else {
        return Vec::new();
    };
    if pages <= have {
        return Vec::new();
    }
    let name = plan.slots.get(at).map_or("", |slot| &slot.name);
    let what = format!("there is no memory to swap every server: {} KiB more", (pages - have) * 4);
    let help = format!("say `memory = \"{}M\"`", pages.div_ceil(256));
    vec![manifest.at_slot(name, &what, &help).into_warning()]
}

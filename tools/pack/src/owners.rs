//! Rules about what there is one of: the supervisor, each device, the pages of a start record.
//!
//! Invariant: no two slots of a system that passes take the same directory of XenStore, and every start record fits with
//! what the kernel's command line may add. Wires are the plan's to check.

use std::ops::Range;

use abi::layout::COMMAND_LINE;
use abi::start;
use ipc::system::Slot;
use toml::Spanned;

use crate::elf::Elf;
use crate::manifest::Manifest;
use crate::plan::Filled;
use crate::report::Report;

/// Most bytes of a start record as it is packed; the command line may add as many again as it is long.
const RECORD: usize = start::MAX - COMMAND_LINE;

/// What slots break of these rules.
pub fn check(manifest: &Manifest, slots: &[Filled<'_>]) -> Vec<Report> {
    let roots = slots.iter().filter_map(|slot| root_rule(manifest, slot.name, slot.elf));
    let classes = slots.iter().filter_map(|slot| class_rule(manifest, slot));
    let rings = ["store", "console", ipc::vchan::NAME]
        .into_iter()
        .filter_map(|class| ring_rule(manifest, slots, class));
    let claims: Vec<Claim<'_>> = slots.iter().filter_map(claim).collect();
    let forms = claims.iter().filter_map(|claim| form_rule(manifest, claim));
    let owners = (0..claims.len()).filter_map(|at| owner_rule(manifest, &claims, at));
    roots.chain(classes).chain(rings).chain(forms).chain(owners).collect()
}

/// The slot `supervisor`, and no other, serves `supervisor`.
fn root_rule(manifest: &Manifest, name: &str, elf: &Elf) -> Option<Report> {
    let channel = elf.serves.iter().find(|end| end.interface == ipc::supervisor::NAME);
    let is_root = channel.is_some_and(|end| end.index == u16::from(ipc::supervisor::CHANNEL));
    match (name, is_root, channel) {
        ("supervisor", false, _) => Some(manifest.at_slot(
            name,
            "the image of the supervisor does not serve `supervisor` on channel 0",
            "leave `image` out",
        )),
        ("supervisor", true, _) | (_, _, None) => None,
        _ => Some(manifest.at_slot(
            name,
            &format!("`{name}` is a second supervisor"),
            "only the slot `supervisor` may serve `supervisor`: use another image",
        )),
    }
}

/// A slot is given a device of the class that its image drives.
fn class_rule(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    let given = slot.server.device.as_ref()?;
    let class = given.get_ref().split('/').next().unwrap_or_default();
    if slot.drives(class) {
        return None;
    }
    let what = format!("`{}` does not drive devices of class `{class}`", slot.name);
    let help = match &slot.elf.device {
        Some(drives) => format!("its image drives `{drives}`: write `{drives}/0`"),
        None => "leave `device` out, or use another image".into(),
    };
    Some(manifest.at(given.span(), &what, &help))
}

/// The toolstack's rings and the directory of the vchan, of which there is one each.
fn ring_rule(manifest: &Manifest, slots: &[Filled<'_>], class: &str) -> Option<Report> {
    let mut owners = slots.iter().filter(|slot| slot.drives(class));
    let (first, second) = (owners.next()?, owners.next()?);
    let what = format!("`{}` and `{}` both drive the {class}", first.name, second.name);
    Some(manifest.at_slot(second.name, &what, "there is one: leave one of them out"))
}

/// What a slot takes of XenStore's device directories, and where the manifest says so.
struct Claim<'a> {
    slot: &'a str,
    device: &'a str,
    span: Option<Range<usize>>,
}

impl Claim<'_> {
    /// Without a number it is the first device of its class, which may be any.
    fn is_any(&self) -> bool {
        !self.device.contains('/')
    }

    fn class(&self) -> &str {
        self.device.split('/').next().unwrap_or_default()
    }

    fn meets(&self, other: &Self) -> bool {
        let is_any = self.is_any() || other.is_any();
        self.device == other.device || (is_any && self.class() == other.class())
    }
}

/// What the manifest gives a slot, or what its driver takes if it is given nothing.
fn claim<'a>(slot: &Filled<'a>) -> Option<Claim<'a>> {
    let Filled { name: slot, server, elf } = *slot;
    let by_default = match elf.device.as_deref() {
        Some("vif") => Some("vif/0"),
        Some("vbd") => Some("vbd"),
        _ => None,
    };
    let given = server.device.as_ref();
    let device = given.map(|given| given.get_ref().as_str()).or(by_default)?;
    Some(Claim { slot, device, span: given.map(Spanned::span) })
}

fn form_rule(manifest: &Manifest, claim: &Claim<'_>) -> Option<Report> {
    let span = claim.span.clone()?;
    let number = claim.device.split_once('/').and_then(|(_, number)| number.parse::<u32>().ok());
    if number.is_some() {
        return None;
    }
    let help = "write its class and number, like `vif/0` or `vbd/51712`";
    Some(manifest.at(span, &format!("`{}` is no device", claim.device), help))
}

fn owner_rule(manifest: &Manifest, claims: &[Claim<'_>], at: usize) -> Option<Report> {
    let later = claims.get(at)?;
    let first = claims.iter().take(at).find(|first| later.meets(first))?;
    let help = "a device has one owner: give each its own by `device`";
    let what = format!("`{}` and `{}` may drive one device", first.slot, later.slot);
    Some(match later.span.clone().or_else(|| first.span.clone()) {
        Some(span) => manifest.at(span, &what, help),
        None => manifest.at_slot(later.slot, &what, help),
    })
}

/// Whether every start record fits its pages, with what the command line may add.
///
/// # Errors
/// The slots whose records do not.
pub fn records(manifest: &Manifest, slots: &[Slot]) -> Result<(), Report> {
    let reports = slots.iter().filter_map(|slot| record_rule(manifest, slot));
    Report::all(reports.collect()).map_or(Ok(()), Err)
}

fn record_rule(manifest: &Manifest, slot: &Slot) -> Option<Report> {
    let wires = slot.wires.len() * start::ENTRY;
    let bytes = start::HEADER + wires + slot.name.len() + slot.config.len();
    if bytes <= RECORD {
        return None;
    }
    let what = format!("the configuration of `{}` is too long", slot.name);
    let help = format!("shorten it by {} bytes", bytes - RECORD);
    Some(manifest.at_slot(&slot.name, &what, &help))
}

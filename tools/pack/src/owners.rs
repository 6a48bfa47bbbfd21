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
use crate::manifest::{Manifest, Server};
use crate::report::Report;

/// Most bytes of a start record as it is packed; the command line may add as many again as it is long.
const RECORD: usize = start::MAX - COMMAND_LINE;

type Slots<'a> = [(&'a str, &'a Server, &'a Elf)];

/// What slots break of these rules.
pub fn check(manifest: &Manifest, slots: &Slots<'_>) -> Vec<Report> {
    let roots = slots.iter().filter_map(|(name, _, elf)| root_rule(manifest, name, elf));
    let claims: Vec<Claim<'_>> = slots.iter().filter_map(claim).collect();
    let forms = claims.iter().filter_map(|claim| form_rule(manifest, claim));
    let owners = (0..claims.len()).filter_map(|at| owner_rule(manifest, &claims, at));
    roots.chain(forms).chain(owners).collect()
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
fn claim<'a>((slot, server, elf): &(&'a str, &'a Server, &'a Elf)) -> Option<Claim<'a>> {
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

//! Which server runs on which vCPU.
//!
//! Invariant: every slot has a vCPU that the manifest asks for; the supervisor has the first. Slots that say `vcpu` have
//! that one. The others are spread by groups: servers that are joined by a wire on which much is said stay together, and a
//! group goes to where one of it is told to be, or else to the vCPU with the fewest servers, the largest group first.

use crate::manifest::Manifest;
use crate::plan::{Filled, Plan};
use crate::report::Report;
use crate::wires::Wire;

/// Most vCPUs that the kernel uses.
pub const MOST: u16 = 8;

/// Interfaces on which little is said: the supervisor's, and what is used at the start and at the end alone.
const QUIET: [&str; 5] = ["log", "status", "operator", "supervisor", "xenstore"];

/// What is wrong with the number of vCPUs.
pub fn check(manifest: &Manifest) -> Option<Report> {
    if (1..=MOST).contains(&manifest.vcpus()) {
        return None;
    }
    let what = format!("a system has 1 to {MOST} vCPUs");
    Some(manifest.at(manifest.vcpus_span(), &what, "correct `vcpus`, or leave it out: it is 1"))
}

/// What is wrong with the vCPU of a slot.
pub fn check_slot(manifest: &Manifest, slot: &Filled<'_>) -> Option<Report> {
    let vcpu = slot.server.vcpu.as_ref()?;
    if slot.name == "supervisor" && *vcpu.get_ref() != 0 {
        let help = "leave `vcpu` out: it starts where the domain starts";
        return Some(manifest.at(vcpu.span(), "the supervisor runs on vCPU 0", help));
    }
    if *vcpu.get_ref() < manifest.vcpus() {
        return None;
    }
    let help = match manifest.vcpus() {
        1 => "say `vcpus = 2` or more for the system, or leave `vcpu` out".into(),
        vcpus => {
            format!("the system has vCPUs 0 to {}: correct `vcpu`, or raise `vcpus`", vcpus - 1)
        }
    };
    Some(manifest.at(vcpu.span(), "no such vCPU", &help))
}

/// The vCPU of each slot.
pub fn assign(manifest: &Manifest, slots: &[Filled<'_>], wires: &[Wire<'_>]) -> Vec<u16> {
    let mut chosen: Vec<Option<u16>> = slots.iter().map(told).collect();
    let mut groups = groups(slots.len(), wires);
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    for group in &groups {
        let vcpu = told_of(group, &chosen).unwrap_or_else(|| emptiest(manifest.vcpus(), &chosen));
        for slot in group {
            if let Some(place) = chosen.get_mut(*slot) {
                place.get_or_insert(vcpu);
            }
        }
    }
    chosen.into_iter().map(Option::unwrap_or_default).collect()
}

/// What a slot itself says.
fn told(slot: &Filled<'_>) -> Option<u16> {
    let told = slot.server.vcpu.as_ref().map(|vcpu| *vcpu.get_ref());
    told.or((slot.name == "supervisor").then_some(0))
}

/// The vCPU that the most of a group are told to be on.
fn told_of(group: &[usize], chosen: &[Option<u16>]) -> Option<u16> {
    let told: Vec<u16> = group.iter().filter_map(|slot| *chosen.get(*slot)?).collect();
    let count = |vcpu: u16| told.iter().filter(|told| **told == vcpu).count();
    told.iter().copied().max_by_key(|vcpu| (count(*vcpu), std::cmp::Reverse(*vcpu)))
}

fn emptiest(vcpus: u16, chosen: &[Option<u16>]) -> u16 {
    let servers = |vcpu: &u16| chosen.iter().filter(|at| **at == Some(*vcpu)).count();
    (0..vcpus).min_by_key(servers).unwrap_or(0)
}

/// Clients and servers that have much to say to one another.
pub fn talks(wires: &[Wire<'_>]) -> Vec<(usize, usize)> {
    let much = wires.iter().filter(|wire| !QUIET.contains(&wire.need.interface.as_str()));
    much.map(|wire| (wire.client, wire.server)).collect()
}

/// The slots, those together that have much to say to one another.
fn groups(count: usize, wires: &[Wire<'_>]) -> Vec<Vec<usize>> {
    let mut leader: Vec<usize> = (0..count).collect();
    for (client, server) in talks(wires) {
        let [from, to] = [client, server].map(|slot| leader.get(slot).copied().unwrap_or(0));
        leader.iter_mut().filter(|leader| **leader == from).for_each(|leader| *leader = to);
    }
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for slot in 0..count {
        let first = |group: &&mut Vec<usize>| {
            group.first().and_then(|first| leader.get(*first)) == leader.get(slot)
        };
        match groups.iter_mut().find(first) {
            Some(group) => group.push(slot),
            None => groups.push(vec![slot]),
        }
    }
    groups
}

/// Wires between vCPUs on which much is said.
pub fn warn(manifest: &Manifest, plan: &Plan<'_>) -> Vec<Report> {
    let report = |(client, server): &(usize, usize)| {
        let (client, server) = (plan.slots.get(*client)?, plan.slots.get(*server)?);
        if client.vcpu == server.vcpu {
            return None;
        }
        let what = format!(
            "`{}` on vCPU {} talks to `{}` on vCPU {}",
            client.name, client.vcpu, server.name, server.vcpu
        );
        let help = "each word wakes the other vCPU; give both the same `vcpu`, or leave it out";
        Some(manifest.at_slot(&client.name, &what, help).into_warning())
    };
    plan.talks.iter().filter_map(report).collect()
}

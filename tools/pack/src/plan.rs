//! The plan: every number that the supervisor will use, decided and checked.
//!
//! Invariant: a plan exists only of a system that keeps all rules. What breaks one is told with everything else that does.

use std::collections::BTreeMap;

use ipc::system::{Port, Region, Slot, Window};

use crate::elf::Elf;
use crate::managers::Managed;
use crate::manifest::{Manifest, Server};
use crate::report::Report;
use crate::{alternates, calls, managers, owners, place, quota, rules, wires};

/// What is decided.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The system's name.
    pub name: &'a str,
    /// What the images were built from.
    pub version: &'a str,
    /// The images, by number.
    pub images: Vec<(&'a str, &'a Elf)>,
    /// The slots.
    pub slots: Vec<Slot>,
    /// Regions of wires.
    pub regions: Vec<Region>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Windows.
    pub windows: Vec<Window>,
    /// Clients and servers that have much to say to one another.
    pub talks: Vec<(usize, usize)>,
    /// By slot: the images that it may be swapped to beside its own.
    pub alternates: Vec<Vec<u16>>,
    /// By slot: what it fills, or has filled.
    pub managed: Vec<Managed>,
}

/// A slot of the manifest, and what fills it.
#[derive(Debug, Clone, Copy)]
pub struct Filled<'a> {
    /// The slot's name.
    pub name: &'a str,
    /// What the manifest says of it.
    pub server: &'a Server,
    /// Its image.
    pub elf: &'a Elf,
}

impl Filled<'_> {
    /// Its priority.
    pub fn priority(&self) -> u8 {
        *self.server.priority.get_ref()
    }

    /// Whether its image drives devices of this class.
    pub fn drives(&self, class: &str) -> bool {
        self.elf.device.as_deref() == Some(class)
    }
}

impl<'a> Plan<'a> {
    /// Decides everything.
    ///
    /// # Errors
    /// All rules that the system breaks.
    pub fn new(
        manifest: &'a Manifest,
        images: &'a BTreeMap<String, Elf>,
        version: &'a str,
    ) -> Result<Self, Report> {
        let filled = manifest.servers.iter().filter_map(|(name, server)| {
            Some(Filled { name, server, elf: images.get(server.image(name))? })
        });
        let slots: Vec<Filled<'_>> = filled.collect();
        let mut errors = rules::check(manifest, &slots);
        errors.extend(owners::check(manifest, &slots));
        errors.extend(managers::check(manifest, &slots));
        errors.extend(alternates::check(manifest, &slots, images));
        let (wires, unwired) = wires::find(manifest, &slots);
        errors.extend(unwired);
        errors.extend(calls::check(manifest, &slots, &wires));
        match Report::all(errors) {
            Some(report) => Err(report),
            None => {
                let plan = place::plan(manifest, &slots, &wires, images);
                Ok(Self { version, ..quota::limit(plan) })
            }
        }
    }
}

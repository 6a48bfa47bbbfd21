//! The wires that a manifest asks for: from which need of which slot to which channel of which other.
//!
//! Invariant: a wire that is found leads from a need that the client's image has to a channel of the same interface, and has
//! a place among that server's clients. Whether it may be called is for [`crate::calls`] to say.

use std::ops::Range;

use crate::elf::End;
use crate::manifest::Manifest;
use crate::nearest::hint;
use crate::plan::Filled;
use crate::report::Report;

/// A wire.
#[derive(Debug)]
pub struct Wire<'a> {
    /// Number of the client's slot.
    pub client: usize,
    /// The need.
    pub need: &'a End,
    /// Number of the server's slot.
    pub server: usize,
    /// The channel.
    pub channel: &'a End,
    /// Which of the server's clients it is.
    pub number: u16,
    /// Where the manifest says so.
    pub span: Range<usize>,
}

impl Wire<'_> {
    /// Whether the client calls the server, and does not only share memory with it and ring.
    pub const fn calls(&self) -> bool {
        !self.need.methods.is_empty()
    }
}

/// All wires, and what keeps others from being made.
pub fn find<'a>(manifest: &'a Manifest, slots: &[Filled<'a>]) -> (Vec<Wire<'a>>, Vec<Report>) {
    let mut next: Vec<u16> = vec![0; slots.len()];
    // The supervisor's first clients are the slots themselves.
    if let Some(first) = next.first_mut() {
        *first = slots.len() as u16;
    }
    let mut finder = Finder { manifest, slots, next };
    let (mut wires, mut errors) = (Vec::new(), Vec::new());
    for (client, slot) in slots.iter().enumerate() {
        errors.extend(finder.strangers(slot));
        for need in slot.elf.needs.iter().filter(|need| !need.is_own()) {
            match finder.wire(client, slot, need) {
                Ok(wire) => wires.extend(wire),
                Err(report) => errors.push(report),
            }
        }
    }
    (wires, errors)
}

struct Finder<'s, 'a> {
    manifest: &'a Manifest,
    slots: &'s [Filled<'a>],
    /// The next client's number, by server.
    next: Vec<u16>,
}

impl<'a> Finder<'_, 'a> {
    /// Wires to needs that the image does not have.
    fn strangers(&self, slot: &Filled<'a>) -> Vec<Report> {
        let names: Vec<&str> = slot
            .elf
            .needs
            .iter()
            .filter(|end| !end.is_own())
            .map(|end| end.name.as_str())
            .collect();
        let keys = slot.server.wires.keys();
        let strangers = keys.filter(|key| !names.contains(&key.get_ref().as_str()));
        let report = |key: &toml::Spanned<String>| {
            let what = format!("`{}` has no need `{}`", slot.name, key.get_ref());
            let help = format!("its needs are: {}", list(&names));
            let help = hint(key.get_ref(), names.iter().copied(), &help);
            self.manifest.at(key.span(), &what, &help)
        };
        strangers.map(report).collect()
    }

    /// The wire of a need; none if it is optional and not wired.
    fn wire(
        &mut self,
        client: usize,
        slot: &Filled<'a>,
        need: &'a End,
    ) -> Result<Option<Wire<'a>>, Report> {
        let wired = slot.server.wires.iter().find(|(key, _)| *key.get_ref() == need.name);
        let Some((key, target)) = wired else {
            return if need.optional { Ok(None) } else { Err(self.unwired(slot, need)) };
        };
        let server = self.slot(target)?;
        let channel = self.channel(server, target, need)?;
        let number = self.place(server, key)?;
        Ok(Some(Wire { client, need, server, channel, number, span: key.span() }))
    }

    fn unwired(&self, slot: &Filled<'a>, need: &End) -> Report {
        let End { name, interface, .. } = need;
        let what = format!("the need `{name}` of `{}` ({interface}) is not wired", slot.name);
        let serve =
            |other: &&Filled<'_>| other.elf.serves.iter().any(|end| end.interface == *interface);
        let help = match self.slots.iter().find(serve) {
            Some(server) => format!("add `wires = {{ {name} = \"{}\" }}`", server.name),
            None => {
                format!("add `wires = {{ {name} = \"…\" }}` with a slot that serves `{interface}`")
            }
        };
        self.manifest.at_slot(slot.name, &what, &help)
    }

    fn slot(&self, target: &toml::Spanned<String>) -> Result<usize, Report> {
        let names: Vec<&str> = self.slots.iter().map(|slot| slot.name).collect();
        let found = names.iter().position(|name| name == target.get_ref());
        found.ok_or_else(|| {
            let what = format!("there is no slot `{}`", target.get_ref());
            let help = format!("the slots are: {}", list(&names));
            let help = hint(target.get_ref(), names.iter().copied(), &help);
            self.manifest.at(target.span(), &what, &help)
        })
    }

    fn channel(
        &self,
        server: usize,
        target: &toml::Spanned<String>,
        need: &End,
    ) -> Result<&'a End, Report> {
        let serves = self.slots.get(server).map_or(&[][..], |slot| &slot.elf.serves);
        serves.iter().find(|end| end.interface == need.interface).ok_or_else(|| {
            let what = format!("`{}` does not serve `{}`", target.get_ref(), need.interface);
            let names: Vec<&str> = serves.iter().map(|end| end.interface.as_str()).collect();
            self.manifest.at(target.span(), &what, &format!("it serves: {}", list(&names)))
        })
    }

    /// A place among the server's clients.
    fn place(&mut self, server: usize, key: &toml::Spanned<String>) -> Result<u16, Report> {
        let (name, most) =
            self.slots.get(server).map_or(("", 0), |slot| (slot.name, slot.elf.clients));
        match self.next.get_mut(server) {
            Some(next) if *next < most => {
                *next += 1;
                Ok(*next - 1)
            }
            _ => {
                let what = format!("`{name}` serves {most} clients at most");
                let help = "raise `clients` in its wiring, or wire fewer servers to it";
                Err(self.manifest.at(key.span(), &what, help))
            }
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

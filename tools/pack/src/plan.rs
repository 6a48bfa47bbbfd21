//! The plan: every number that the supervisor will use, decided and checked.

use std::collections::BTreeMap;

use abi::kernel::control::PortKind;
use abi::layout::{PAGE, SHARED};
use ipc::system::{
    DevicePage, Handle, Map, Port, PortTarget, Region, Restart, Slot, Target, Window, WireMemory,
};

use crate::elf::{Elf, End};
use crate::manifest::{self, Manifest, Server};
use crate::owners;
use crate::report::Report;
use crate::rules;

/// What is decided.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The system's name.
    pub name: &'a str,
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
}

/// A wire that the manifest asks for.
struct Wire<'a> {
    client: usize,
    need: &'a End,
    server: usize,
    channel: &'a End,
    number: u16,
}

/// Most slots of a system.
const SLOTS: usize = 200;

struct Planner<'a> {
    manifest: &'a Manifest,
    servers: Vec<(&'a str, &'a Server, &'a Elf)>,
    errors: Vec<Report>,
}

impl<'a> Plan<'a> {
    /// Decides everything.
    ///
    /// # Errors
    /// All rules that the system breaks.
    pub fn new(manifest: &'a Manifest, images: &'a BTreeMap<String, Elf>) -> Result<Self, Report> {
        let named = manifest.servers.iter().filter_map(|(name, server)| {
            Some((name.as_str(), server, images.get(server.image(name))?))
        });
        let mut planner = Planner { manifest, servers: named.collect(), errors: Vec::new() };
        planner.errors = rules::check(manifest, &planner.servers);
        planner.errors.extend(owners::check(manifest, &planner.servers));
        planner.check_slots();
        let wires = planner.wires();
        planner.check_wires(&wires);
        if let Some(report) = Report::all(std::mem::take(&mut planner.errors)) {
            return Err(report);
        }
        Ok(planner.plan(&wires, images))
    }
}

impl<'a> Planner<'a> {
    fn error(&mut self, report: Report) {
        self.errors.push(report);
    }

    fn check_slots(&mut self) {
        let manifest = self.manifest;
        if self.servers.len() > SLOTS {
            let what =
                format!("the system has {} servers, and {SLOTS} is the most", self.servers.len());
            self.error(manifest.report_name(&what, "put servers together, or make two systems"));
        }
        let Some(top) = self.servers.first().map(|(_, server, _)| *server.priority.get_ref())
        else {
            return;
        };
        for (name, server, elf) in self.servers.clone() {
            if name != "supervisor" && *server.priority.get_ref() >= top {
                let what = format!("`{name}` is not below the supervisor's priority {top}");
                self.error(manifest.at(
                    server.priority.span(),
                    &what,
                    "give the supervisor the highest priority, 255",
                ));
            }
            if let Some(vcpu) = server.vcpu.as_ref().filter(|vcpu| *vcpu.get_ref() != 0) {
                let help = "leave `vcpu` out: one vCPU is used";
                self.error(manifest.at(vcpu.span(), "no such vCPU", help));
            }
            let given =
                server.device.as_ref().map(|device| (device.get_ref().clone(), device.span()));
            if let Some((device, span)) = given {
                let class = device.split('/').next().unwrap_or_default();
                if elf.device.as_deref() != Some(class) {
                    let what = format!("`{name}` does not drive devices of class `{class}`");
                    let help = match &elf.device {
                        Some(drives) => format!("its image drives `{drives}`: write `{drives}/0`"),
                        None => "leave `device` out, or use another image".into(),
                    };
                    self.error(manifest.at(span.clone(), &what, &help));
                }
            }
        }
        for class in ["store", "console"] {
            let owners: Vec<&str> = self
                .servers
                .iter()
                .filter(|(.., elf)| elf.device.as_deref() == Some(class))
                .map(|s| s.0)
                .collect();
            if let [first, second, ..] = owners[..] {
                let what = format!("`{first}` and `{second}` both drive the {class}");
                self.error(manifest.at_slot(second, &what, "there is one: leave one of them out"));
            }
        }
    }

    fn wires(&mut self) -> Vec<Wire<'a>> {
        let manifest = self.manifest;
        let servers = self.servers.clone();
        let mut next: Vec<u16> = vec![0; servers.len()];
        // The supervisor's first clients are the slots themselves.
        if let Some(first) = next.first_mut() {
            *first = servers.len() as u16;
        }
        let mut wires = Vec::new();
        for (client, (name, server, elf)) in servers.iter().enumerate() {
            for (need, _) in server.wires.iter() {
                if !elf.needs.iter().any(|end| end.name == *need.get_ref()) {
                    let names: Vec<&str> = elf.needs.iter().map(|end| end.name.as_str()).collect();
                    let what = format!("`{name}` has no need `{}`", need.get_ref());
                    self.error(manifest.at(
                        need.span(),
                        &what,
                        &format!("its needs are: {}", list(&names)),
                    ));
                }
            }
            for need in &elf.needs {
                let wired = server.wires.iter().find(|(key, _)| *key.get_ref() == need.name);
                let Some((key, target)) = wired else {
                    if !need.optional {
                        let what = format!(
                            "the need `{}` of `{name}` ({}) is not wired",
                            need.name, need.interface
                        );
                        let help = format!(
                            "add `wires = {{ {} = \"…\" }}` with a slot that serves `{}`",
                            need.name, need.interface
                        );
                        self.error(manifest.at_slot(name, &what, &help));
                    }
                    continue;
                };
                let Some(at) = servers.iter().position(|(slot, ..)| slot == target.get_ref())
                else {
                    let what = format!("there is no slot `{}`", target.get_ref());
                    let names: Vec<&str> = servers.iter().map(|slot| slot.0).collect();
                    self.error(manifest.at(
                        target.span(),
                        &what,
                        &format!("the slots are: {}", list(&names)),
                    ));
                    continue;
                };
                let Some((_, _, served_by)) = servers.get(at) else { continue };
                let Some(channel) =
                    served_by.serves.iter().find(|end| end.interface == need.interface)
                else {
                    let what =
                        format!("`{}` does not serve `{}`", target.get_ref(), need.interface);
                    let names: Vec<&str> =
                        served_by.serves.iter().map(|end| end.interface.as_str()).collect();
                    self.error(manifest.at(
                        target.span(),
                        &what,
                        &format!("it serves: {}", list(&names)),
                    ));
                    continue;
                };
                let Some(number) = next.get_mut(at) else { continue };
                if *number >= served_by.clients {
                    let what = format!(
                        "`{}` serves {} clients at most",
                        target.get_ref(),
                        served_by.clients
                    );
                    let help = "raise `clients` in its wiring, or wire fewer servers to it";
                    self.error(manifest.at(key.span(), &what, help));
                    continue;
                }
                wires.push(Wire { client, need, server: at, channel, number: *number });
                *number += 1;
            }
        }
        wires
    }

    fn check_wires(&mut self, wires: &[Wire<'a>]) {
        for wire in wires {
            let (Some((client, made, client_elf)), Some((server, serving, _))) =
                (self.servers.get(wire.client).copied(), self.servers.get(wire.server).copied())
            else {
                continue;
            };
            let key = made.wires.keys().find(|key| *key.get_ref() == wire.need.name);
            let span = key.map_or(0..1, toml::Spanned::span);
            let calls = !wire.need.methods.is_empty();
            let (low, high) = (*made.priority.get_ref(), *serving.priority.get_ref());
            if calls && client == "supervisor" {
                let what = format!("the supervisor may not call `{server}`");
                self.error(self.manifest.at(
                    span.clone(),
                    &what,
                    "the supervisor calls nobody: leave the wire out",
                ));
            } else if calls && low >= high {
                let what = format!(
                    "`{client}` (priority {low}) calls `{server}` (priority {high}): calls go up only"
                );
                let help = format!(
                    "give `{server}` a priority above {low}, or `{client}` one below {high}"
                );
                self.error(self.manifest.at(span.clone(), &what, &help));
            }
            for used in &wire.need.methods {
                let name = &used.name;
                match wire.channel.methods.iter().find(|method| method.number == used.number) {
                    None => {
                        let what = format!(
                            "`{client}` uses `{}.{name}`, which `{server}` does not serve",
                            wire.need.interface
                        );
                        self.error(self.manifest.at(
                            span.clone(),
                            &what,
                            "build both from the same interfaces",
                        ));
                    }
                    Some(served) if served.hash != used.hash => {
                        let what = format!(
                            "`{client}` and `{server}` disagree about `{}.{name}`",
                            wire.need.interface
                        );
                        self.error(self.manifest.at(
                            span.clone(),
                            &what,
                            "build both from the same interfaces",
                        ));
                    }
                    Some(_) => {}
                }
                let serves_calls = client_elf.serves.iter().any(|end| !end.methods.is_empty());
                if used.waits && serves_calls {
                    let what = format!(
                        "`{client}` serves others and calls `{}.{name}`, which may wait",
                        wire.need.interface
                    );
                    let help = "a server may call only `now` methods: use the interface's queue";
                    self.error(self.manifest.at(span.clone(), &what, help));
                }
            }
            if wire.need.shape != wire.channel.shape {
                let what = format!(
                    "`{client}` and `{server}` disagree about the memory of `{}`",
                    wire.need.interface
                );
                self.error(self.manifest.at(span, &what, "build both from the same interfaces"));
            }
        }
    }

    fn plan(&self, wires: &[Wire<'a>], images: &'a BTreeMap<String, Elf>) -> Plan<'a> {
        let mut numbered: Vec<(&str, &Elf)> =
            images.iter().map(|(name, elf)| (name.as_str(), elf)).collect();
        let root =
            self.servers.first().map_or("supervisor", |(name, server, _)| server.image(name));
        numbered.sort_by_key(|(name, _)| (*name != root, *name));
        let mut plan = Plan {
            name: &self.manifest.name,
            slots: self.servers.iter().map(|slot| self.slot(slot, &numbered)).collect(),
            images: numbered,
            regions: Vec::new(),
            ports: Vec::new(),
            windows: Vec::new(),
        };
        let mut cursors = vec![SHARED; self.servers.len()];
        for (number, slot) in plan.slots.iter_mut().enumerate().skip(1) {
            let target = Target::Wire {
                slot: 0,
                channel: ipc::supervisor::CHANNEL,
                client: number as u16,
                bits: self.client_bits(0, number as u16),
            };
            slot.table.push(Handle { index: 1, target });
        }
        for wire in wires {
            self.join(&mut plan, &mut cursors, wire);
        }
        self.add_devices(&mut plan);
        self.name_clients(&mut plan, wires);
        plan
    }

    fn client_bits(&self, server: usize, client: u16) -> u64 {
        self.servers.get(server).map_or(0, |(.., elf)| elf.numbers().client_bits(client))
    }

    fn slot(&self, (name, server, elf): &(&str, &Server, &Elf), images: &[(&str, &Elf)]) -> Slot {
        let numbers = elf.numbers();
        let image = images.iter().position(|(image, _)| *image == server.image(name)).unwrap_or(0);
        let is_root = *name == "supervisor";
        let page = match elf.device.as_deref() {
            Some("store") => Some(DevicePage::Store),
            Some("console") => Some(DevicePage::Console),
            _ => None,
        };
        Slot {
            name: (*name).into(),
            image: image as u16,
            priority: *server.priority.get_ref(),
            vcpu: 0,
            restart: match server.restart.as_ref().map(|restart| *restart.get_ref()) {
                Some(manifest::Restart::Never) => Restart::Never,
                Some(manifest::Restart::Crash) => Restart::Crash,
                _ => Restart::Always,
            },
            longest: if is_root { 0 } else { longest(server) },
            stack_pages: server.stack.as_ref().map_or(elf.stack, |stack| *stack.get_ref()),
            heap_pages: server.heap.as_ref().map_or(elf.heap, |heap| *heap.get_ref()),
            handles: numbers.handles(),
            needs: numbers.needs,
            clients: numbers.clients,
            table: Vec::new(),
            maps: Vec::new(),
            wires: vec![
                WireMemory::default();
                usize::from(numbers.needs) + usize::from(numbers.clients)
            ],
            debug: server.debug,
            device_page: page,
            config: server.config_lines(),
        }
    }

    /// Gives a wire its handles, its memory, and its places in both address spaces.
    fn join(&self, plan: &mut Plan<'_>, cursors: &mut [u64], wire: &Wire<'_>) {
        let (Some((.., client_elf)), Some((.., server_elf))) =
            (self.servers.get(wire.client), self.servers.get(wire.server))
        else {
            return;
        };
        let (of_client, of_server) = (client_elf.numbers(), server_elf.numbers());
        let bits = of_server.client_bits(wire.number);
        let slot = wire.server as u16;
        let target = if wire.need.methods.is_empty() {
            Target::Bell { slot, bits }
        } else {
            Target::Wire { slot, channel: wire.channel.index as u8, client: wire.number, bits }
        };
        let bell =
            Target::Bell { slot: wire.client as u16, bits: of_client.need_bits(wire.need.index) };
        let shape = wire.need.shape;
        let mut client_memory =
            WireMemory { up_pages: shape.up, down_pages: shape.down, ..WireMemory::default() };
        let mut server_memory = client_memory;
        for (pages, is_up) in [(shape.up, true), (shape.down, false)] {
            if pages == 0 {
                continue;
            }
            let region = plan.regions.len() as u16;
            plan.regions.push(Region { pages, grantable: shape.grantable });
            for (at, memory, writable) in [
                (wire.client, &mut client_memory, is_up),
                (wire.server, &mut server_memory, !is_up),
            ] {
                let Some(cursor) = cursors.get_mut(at) else { continue };
                let address = *cursor;
                // One page stays free behind each part.
                *cursor += (u64::from(pages) + 1) * PAGE;
                *if is_up { &mut memory.up } else { &mut memory.down } = address;
                if let Some(slot) = plan.slots.get_mut(at) {
                    slot.maps.push(Map { region, address, writable });
                }
            }
        }
        if let Some(slot) = plan.slots.get_mut(wire.client) {
            slot.table.push(Handle { index: of_client.need(wire.need.index).0, target });
            if let Some(place) = slot.wires.get_mut(usize::from(wire.need.index)) {
                *place = client_memory;
            }
        }
        if let Some(slot) = plan.slots.get_mut(wire.server) {
            slot.table.push(Handle { index: of_server.bell(wire.number).0, target: bell });
            if let Some(place) =
                slot.wires.get_mut(usize::from(of_server.needs) + usize::from(wire.number))
            {
                *place = server_memory;
            }
        }
    }

    fn add_devices(&self, plan: &mut Plan<'_>) {
        for (at, (.., elf)) in self.servers.iter().enumerate() {
            let (numbers, slot) = (elf.numbers(), at as u16);
            for (index, kind) in elf.ports.iter().enumerate() {
                let target = match kind {
                    PortKind::Peer => PortTarget::Peer,
                    PortKind::Store => PortTarget::Store,
                    PortKind::Console => PortTarget::Console,
                };
                let number = plan.ports.len() as u16;
                plan.ports.push(Port { slot, bits: numbers.port_bits(index as u16), target });
                if let Some(slot) = plan.slots.get_mut(at) {
                    let index = numbers.port(index as u16).0;
                    slot.table.push(Handle { index, target: Target::Port(number) });
                }
            }
            for (index, references) in elf.windows.iter().enumerate() {
                let number = plan.windows.len() as u16;
                plan.windows.push(Window { slot, references: *references });
                if let Some(slot) = plan.slots.get_mut(at) {
                    let index = numbers.window(index as u16).0;
                    slot.table.push(Handle { index, target: Target::Window(number) });
                }
            }
        }
    }

    /// Tells the servers that ask for it who their clients are, and what of XenStore is theirs.
    fn name_clients(&self, plan: &mut Plan<'_>, wires: &[Wire<'_>]) {
        for wire in wires {
            let Some((name, made, elf)) = self.servers.get(wire.client) else { continue };
            let line = match wire.need.interface.as_str() {
                "log" | "console" => format!("client.{}={name}\n", wire.number),
                "xenstore" => {
                    let device = made.device.as_ref().map(|device| device.get_ref().as_str());
                    let prefix =
                        device.or(elf.device.as_deref()).map(|device| format!(" device/{device}"));
                    format!("client.{}={name}{}\n", wire.number, prefix.unwrap_or_default())
                }
                _ => continue,
            };
            if let Some(slot) = plan.slots.get_mut(wire.server) {
                slot.config.push_str(&line);
            }
        }
    }
}

/// Most CPU time between two waits, in nanoseconds.
fn longest(server: &Server) -> u64 {
    server.longest_ms.as_ref().map_or(1000, |longest| *longest.get_ref()).saturating_mul(1_000_000)
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

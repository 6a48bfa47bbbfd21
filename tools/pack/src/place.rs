//! Where everything has its place: handles in tables, shared memory in address spaces, ports, windows, and the lines that tell
//! servers who their clients are. It carries out what [`crate::calls`] and the other rules have passed, and refuses nothing.
//!
//! Invariant: of each part of a wire's memory one side is the writer, and between two parts in a space one page stays free.

use std::collections::BTreeMap;

use abi::kernel::control::PortKind;
use abi::layout::{PAGE, WIRES};
use abi::wiring::Numbers;
use ipc::system::{
    DevicePage, Handle, Map, Port, PortTarget, Region, Restart, Slot, Target, Window, WireMemory,
};

use crate::account;
use crate::elf::Elf;
use crate::managers::{self, Managed};
use crate::manifest::{self, Manifest, Server};
use crate::plan::{Filled, Plan};
use crate::spread;
use crate::wires::Wire;

/// The plan of a system that keeps all rules.
pub fn plan<'a>(
    manifest: &'a Manifest,
    filled: &[Filled<'a>],
    wires: &[Wire<'a>],
    images: &'a BTreeMap<String, Elf>,
) -> Plan<'a> {
    let images = numbered(filled, images);
    let plan = Plan {
        name: &manifest.name,
        version: "",
        slots: filled
            .iter()
            .zip(spread::assign(manifest, filled, wires))
            .map(|(slot, vcpu)| describe(slot, vcpu, &images))
            .collect(),
        alternates: filled.iter().map(|slot| alternates(slot, &images)).collect(),
        images,
        regions: Vec::new(),
        ports: Vec::new(),
        windows: Vec::new(),
        talks: spread::talks(wires),
        managed: filled.iter().map(Managed::of).collect(),
    };
    let mut placer = Placer { filled, plan, free: vec![WIRES; filled.len()] };
    placer.add_kept();
    placer.wire_supervisor();
    wires.iter().for_each(|wire| placer.join(wire));
    placer.add_own_memory();
    placer.add_devices();
    placer.add_managers();
    wires.iter().for_each(|wire| placer.name_client(wire));
    placer.plan
}

/// The images in their order: the supervisor's first.
fn numbered<'a>(
    filled: &[Filled<'a>],
    images: &'a BTreeMap<String, Elf>,
) -> Vec<(&'a str, &'a Elf)> {
    let mut numbered: Vec<(&str, &Elf)> =
        images.iter().map(|(name, elf)| (name.as_str(), elf)).collect();
    let root = filled.first().map_or("supervisor", |slot| slot.server.image(slot.name));
    numbered.sort_by_key(|(name, _)| (*name != root, *name));
    numbered
}

/// Numbers of the images that a slot may be swapped to.
fn alternates(slot: &Filled<'_>, images: &[(&str, &Elf)]) -> Vec<u16> {
    let number = |name: &str| images.iter().position(|(image, _)| *image == name);
    let named = slot.server.images(slot.name).skip(1);
    named.filter_map(number).map(|number| number as u16).collect()
}

/// What the manifest and the image say of a slot, before it has handles and memory.
fn describe(slot: &Filled<'_>, vcpu: u16, images: &[(&str, &Elf)]) -> Slot {
    let Filled { name, server, elf } = *slot;
    let numbers = elf.numbers();
    let image = images.iter().position(|(image, _)| *image == server.image(name)).unwrap_or(0);
    let wires = usize::from(numbers.needs) + usize::from(numbers.clients);
    let (budget, period) = account::of(server);
    let most = |of: fn(&Elf) -> u32| {
        let alternates = alternates(slot, images).into_iter();
        let asked = alternates.filter_map(|number| images.get(usize::from(number)));
        asked.map(|(_, elf)| of(elf)).fold(of(elf), u32::max)
    };
    Slot {
        name: name.into(),
        image: image as u16,
        priority: slot.priority(),
        vcpu,
        restart: restart(server),
        longest: if name == "supervisor" { 0 } else { longest(server) },
        budget,
        period,
        manager: None,
        quota: Default::default(),
        stack_pages: server.stack.as_ref().map_or(most(|elf| elf.stack), |it| it.get_ref().0),
        heap_pages: server.heap.as_ref().map_or(most(|elf| elf.heap), |it| it.get_ref().0),
        handles: numbers.handles(),
        needs: numbers.needs,
        clients: numbers.clients,
        table: Vec::new(),
        maps: Vec::new(),
        wires: vec![WireMemory::default(); wires],
        debug: server.debug,
        device_page: device_page(elf),
        config: server.config_lines(),
    }
}

fn restart(server: &Server) -> Restart {
    match server.restart.as_ref().map(|restart| *restart.get_ref()) {
        Some(manifest::Restart::Never) => Restart::Never,
        Some(manifest::Restart::Crash) => Restart::Crash,
        Some(manifest::Restart::Always) | None => Restart::Always,
    }
}

/// Most CPU time between two waits, in nanoseconds.
fn longest(server: &Server) -> u64 {
    server.longest_ms.as_ref().map_or(1000, |longest| *longest.get_ref()).saturating_mul(1_000_000)
}

fn device_page(elf: &Elf) -> Option<DevicePage> {
    match elf.device.as_deref() {
        Some("store") => Some(DevicePage::Store),
        Some("console") => Some(DevicePage::Console),
        _ => None,
    }
}

struct Placer<'s, 'a> {
    filled: &'s [Filled<'a>],
    plan: Plan<'a>,
    /// The next free address for shared memory, by slot.
    free: Vec<u64>,
}

impl Placer<'_, '_> {
    fn numbers(&self, slot: usize) -> Numbers {
        self.filled.get(slot).map(|slot| slot.elf.numbers()).unwrap_or_default()
    }

    fn install(&mut self, slot: usize, index: abi::Handle, target: Target) {
        if let Some(slot) = self.plan.slots.get_mut(slot) {
            slot.table.push(Handle { index: index.0, target });
        }
    }

    /// Every slot is a client of the supervisor's, by a fixed handle.
    fn wire_supervisor(&mut self) {
        let root = self.numbers(0);
        for client in 1..self.filled.len() {
            let number = client as u16;
            let bits = root.client_bits(number);
            let channel = ipc::supervisor::CHANNEL;
            let target = Target::Wire { slot: 0, channel, client: number, bits };
            self.install(client, abi::Handle(1), target);
        }
    }

    /// Gives a wire its handles, its memory, and its places in both address spaces.
    fn join(&mut self, wire: &Wire<'_>) {
        let (client, server) = (self.numbers(wire.client), self.numbers(wire.server));
        let bits = server.client_bits(wire.number);
        let slot = wire.server as u16;
        let target = if wire.calls() {
            Target::Wire { slot, channel: wire.channel.index as u8, client: wire.number, bits }
        } else {
            Target::Bell { slot, bits }
        };
        let bits = client.need_bits(wire.need.index);
        let bell = Target::Bell { slot: wire.client as u16, bits };
        self.install(wire.client, client.need(wire.need.index), target);
        self.install(wire.server, server.bell(wire.number), bell);
        let need = usize::from(wire.need.index);
        let place = usize::from(server.needs) + usize::from(wire.number);
        self.share(wire, need, place);
    }

    /// Makes the memory of a wire, and notes where both sides have it.
    fn share(&mut self, wire: &Wire<'_>, need: usize, place: usize) {
        let shape = wire.need.shape;
        let (client, server) = (wire.client, wire.server);
        let up = self.region(shape.up, shape.grantable, client, server);
        let down = self.region(shape.down, shape.grantable, server, client);
        let memory = |up, down| WireMemory { up, down, up_pages: shape.up, down_pages: shape.down };
        for (slot, index, memory) in
            [(client, need, memory(up.0, down.1)), (server, place, memory(up.1, down.0))]
        {
            let slot = self.plan.slots.get_mut(slot);
            if let Some(noted) = slot.and_then(|slot| slot.wires.get_mut(index)) {
                *noted = memory;
            }
        }
    }

    /// What servers keep over a crash: the first of their shared memory, as its address is fixed.
    fn add_kept(&mut self) {
        for (at, slot) in self.filled.iter().enumerate().filter(|(_, slot)| slot.elf.keep > 0) {
            let pages = slot.elf.keep;
            let region = self.plan.regions.len() as u16;
            self.plan.regions.push(Region { pages, grantable: false, keep: true });
            self.map(region, pages, at, true);
        }
    }

    /// Memory that a slot shares with another domain alone.
    fn add_own_memory(&mut self) {
        for (at, slot) in self.filled.iter().enumerate() {
            for need in slot.elf.needs.iter().filter(|need| need.is_own()) {
                let pages = need.shape.up;
                let region = self.plan.regions.len() as u16;
                self.plan.regions.push(Region {
                    pages,
                    grantable: need.shape.grantable,
                    keep: false,
                });
                let up = self.map(region, pages, at, true);
                let noted = self.plan.slots.get_mut(at).map(|slot| &mut slot.wires);
                if let Some(noted) = noted.and_then(|wires| wires.get_mut(usize::from(need.index)))
                {
                    *noted = WireMemory { up, up_pages: pages, ..WireMemory::default() };
                }
            }
        }
    }

    /// A region that one slot writes and another reads; where it lies for each of them, 0 if it has no pages.
    fn region(&mut self, pages: u32, grantable: bool, writer: usize, reader: usize) -> (u64, u64) {
        if pages == 0 {
            return (0, 0);
        }
        let region = self.plan.regions.len() as u16;
        self.plan.regions.push(Region { pages, grantable, keep: false });
        (self.map(region, pages, writer, true), self.map(region, pages, reader, false))
    }

    fn map(&mut self, region: u16, pages: u32, slot: usize, writable: bool) -> u64 {
        let (Some(free), Some(slot)) = (self.free.get_mut(slot), self.plan.slots.get_mut(slot))
        else {
            return 0;
        };
        let address = *free;
        // One page stays free behind each part.
        *free += (u64::from(pages) + 1) * PAGE;
        slot.maps.push(Map { region, address, writable });
        address
    }

    fn add_devices(&mut self) {
        for (at, slot) in self.filled.iter().enumerate() {
            for (index, kind) in (0u16..).zip(&slot.elf.ports) {
                self.add_port(at, index, *kind, slot.drives(ipc::vchan::NAME));
            }
            for (index, references) in (0u16..).zip(&slot.elf.windows) {
                self.add_window(at, index, *references);
            }
        }
    }

    /// Gives managers their handles, and tells them whom they manage.
    fn add_managers(&mut self) {
        for (at, slot) in self.filled.iter().enumerate() {
            if slot.elf.control {
                self.install(at, self.numbers(at).control(), Target::Control);
            }
            let Some(manager) = managers::of(self.filled, slot) else { continue };
            if let Some(slot) = self.plan.slots.get_mut(at) {
                slot.manager = Some(manager as u16);
            }
            if let Some(manager) = self.plan.slots.get_mut(manager) {
                let space = Managed::of(slot).space;
                manager.config.push_str(&format!("managed.{at}={} {space}\n", slot.name));
            }
        }
    }

    fn add_port(&mut self, slot: usize, index: u16, kind: PortKind, is_vchan: bool) {
        let target = match kind {
            PortKind::Peer if is_vchan => PortTarget::Domain0,
            PortKind::Peer => PortTarget::Peer,
            PortKind::Store => PortTarget::Store,
            PortKind::Console => PortTarget::Console,
        };
        let numbers = self.numbers(slot);
        let port = self.plan.ports.len() as u16;
        let bits = numbers.port_bits(index);
        self.plan.ports.push(Port { slot: slot as u16, bits, target });
        self.install(slot, numbers.port(index), Target::Port(port));
    }

    fn add_window(&mut self, slot: usize, index: u16, references: u32) {
        let window = self.plan.windows.len() as u16;
        self.plan.windows.push(Window { slot: slot as u16, references });
        self.install(slot, self.numbers(slot).window(index), Target::Window(window));
    }

    /// Tells the servers that ask for it who a client is, and what of XenStore is its own.
    fn name_client(&mut self, wire: &Wire<'_>) {
        let Some(client) = self.filled.get(wire.client) else { return };
        let line = match wire.need.interface.as_str() {
            "log" | "console" => format!("client.{}={}\n", wire.number, client.name),
            "xenstore" => {
                let given = client.server.device.as_ref().map(|device| device.get_ref().as_str());
                let device = given.or(client.elf.device.as_deref());
                let prefix = match device {
                    Some(ipc::vchan::NAME) => format!(" {}", ipc::vchan::DIRECTORY),
                    Some(device) => format!(" device/{device}"),
                    None => String::new(),
                };
                format!("client.{}={}{prefix}\n", wire.number, client.name)
            }
            _ => return,
        };
        if let Some(slot) = self.plan.slots.get_mut(wire.server) {
            slot.config.push_str(&line);
        }
    }
}

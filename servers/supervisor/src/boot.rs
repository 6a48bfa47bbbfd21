//! From the boot image to a running system.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use abi::kernel::control::{
    Access, GRANTABLE, KEEP, NO_PEER, OBJECT_KINDS, REGION_CLOCK, SUPERVISOR_SERVER,
    SUPERVISOR_SLOT, SlotState, WIRE,
};
use abi::layout::CLOCK;
use abi::wiring::Numbers;
use abi::{CallError, Traps};
use ipc::system::{PortTarget, System, Target};

use crate::backoff::Backoff;
use crate::check::{self, Refusal};
use crate::chronicle::Chronicle;
use crate::events::Events;
use crate::host::Host;
use crate::kernel::{Kernel, Refused};
use crate::links;
use crate::load::{facts, install, map_shared};
use crate::overrides;
use crate::supervisor::{Place, State, Supervisor};
use crate::swap::Record;
use crate::vcpus;

/// Checks the boot image, makes what the system's table asks for, and starts every server, the most urgent first.
///
/// # Errors
/// Why the system cannot run, in one line.
pub fn boot<'a, T: Traps, H: Host>(
    traps: T,
    host: H,
    image: &'a [u8],
    command_line: &str,
) -> Result<Supervisor<'a, T, H>, String> {
    let kernel = Kernel::new(traps);
    map_clock(&kernel).map_err(|refused| Refusal::Kernel("the clock", refused).to_string())?;
    let (header, mut system) = check::decode(image).map_err(|refusal| refusal.to_string())?;
    check::images(image, &system).map_err(|refusal| refusal.to_string())?;
    let moved = vcpus::place(&kernel, &mut system);
    configure(&kernel, &system).map_err(|refusal| refusal.to_string())?;
    let regions = regions(&kernel, &system).map_err(|refusal| refusal.to_string())?;
    let places = places(&kernel, &system, command_line);
    let clients = clients(&system);
    let mut supervisor = Supervisor {
        traps,
        kernel,
        host,
        image,
        system,
        regions,
        region_count: header.counts.regions.min(u32::from(u16::MAX)) as u16,
        places,
        clients,
        log: None,
        armed: None,
        ending: None,
        all_ready: false,
        swap: None,
        retired: None,
        chronicle: Chronicle::default(),
    };
    supervisor.begin_own_age();
    supervisor.own_wires().map_err(|refusal| refusal.to_string())?;
    supervisor.start_all()?;
    supervisor.tell_strangers(command_line);
    if !moved.is_empty() {
        let names = moved.join(", ");
        supervisor.tell_all(format_args!("on vCPU 0, as the domain has none for them: {names}"));
    }
    Ok(supervisor)
}

/// Maps the supervisor's clock page, unless the kernel did.
fn map_clock<T: Traps>(kernel: &Kernel<T>) -> Result<(), Refused> {
    match kernel.map(SUPERVISOR_SERVER, REGION_CLOCK, CLOCK, (0, 1), Access::Read) {
        Err(CallError::Refused(abi::kernel::control::Error::Mapped)) => Ok(()),
        other => other,
    }
}

/// Makes the regions shared over wires; each counts for the slot that writes it.
fn regions<T: Traps>(kernel: &Kernel<T>, system: &System) -> Result<Vec<u16>, Refusal<'static>> {
    let flags = |region: &ipc::system::Region| {
        let grantable = if region.grantable { GRANTABLE } else { 0 };
        grantable | if region.keep { KEEP } else { WIRE }
    };
    let writes = |slot: &ipc::system::Slot, region| {
        slot.maps.iter().any(|map| map.writable && map.region == region)
    };
    let writer = |region| {
        let mut slots = (0u16..).zip(&system.slots);
        slots.find(|(_, slot)| writes(slot, region)).map_or(SUPERVISOR_SLOT, |(slot, _)| slot)
    };
    let made = (0u16..)
        .zip(&system.regions)
        .map(|(number, region)| kernel.region(writer(number), region.pages, flags(region)));
    made.collect::<Result<_, _>>().map_err(|refused| Refusal::Kernel("the wires", refused))
}

/// Sets up slots, what they may hold, and ports. Ports and windows to other domains wait for `peer`.
fn configure<'a, T: Traps>(kernel: &Kernel<T>, system: &'a System) -> Result<(), Refusal<'a>> {
    for (number, slot) in (0u16..).zip(&system.slots).skip(1) {
        let set = || {
            kernel.control.slot_configure(number, slot.priority, slot.vcpu)?;
            kernel.control.slot_longest(number, slot.longest)?;
            kernel.control.account_set(number, slot.budget, slot.period)?;
            for (kind, limit) in OBJECT_KINDS.into_iter().zip(slot.quota) {
                kernel.control.quota_set(number, kind, limit)?;
            }
            kernel.control.slot_state(number, SlotState::Down)
        };
        set().map_err(|refused| Refusal::Kernel(&slot.name, refused))?;
    }
    for (number, slot) in (0u16..).zip(&system.slots).skip(1) {
        let set = |manager| kernel.control.slot_manager(number, manager);
        slot.manager.map_or(Ok(()), set).map_err(|refused| Refusal::Kernel(&slot.name, refused))?;
    }
    for (number, port) in (0u16..).zip(&system.ports) {
        let peer = if port.target == PortTarget::Peer { NO_PEER } else { 0 };
        kernel
            .control
            .port_configure(number, port.target.kind(), peer, port.slot, port.bits)
            .map_err(|refused| Refusal::Kernel("a port", refused))?;
    }
    for (number, window) in (0u16..).zip(&system.windows) {
        let is_domain0s = |port: &ipc::system::Port| {
            port.slot == window.slot && port.target == PortTarget::Domain0
        };
        let peer = if system.ports.iter().any(is_domain0s) { 0 } else { NO_PEER };
        kernel
            .control
            .window_configure(number, window.slot, window.references, peer)
            .map_err(|refused| Refusal::Kernel("a window", refused))?;
    }
    Ok(())
}

fn places<T: Traps>(kernel: &Kernel<T>, system: &System, command_line: &str) -> Vec<Place> {
    let facts = facts(kernel);
    let place = |slot: &ipc::system::Slot| Place {
        state: State::Down { until: 0 },
        starts: 0,
        is_kept: false,
        since: 0,
        events: Events::default(),
        backoff: Backoff::default(),
        peer: None,
        program: slot.image,
        last_swap: Record::default(),
        probation: None,
        config: config(&slot.config, &facts, &overrides::lines(command_line, &slot.name)),
    };
    let mut places: Vec<Place> = system.slots.iter().map(place).collect();
    if let Some(own) = places.first_mut() {
        own.state = State::Off;
    }
    places
}

/// The manifest's lines, then the domain's facts, then what the command line says.
fn config(manifest: &str, facts: &str, overrides: &str) -> String {
    let mut config = String::from(manifest);
    if !config.is_empty() && !config.ends_with('\n') {
        config.push('\n');
    }
    config.push_str(facts);
    config.push_str(overrides);
    config
}

/// Which slot each of the supervisor's client numbers is.
fn clients(system: &System) -> Vec<Option<u16>> {
    let count = system.slots.first().map_or(0, |slot| slot.clients);
    (0..count).map(|client| links::slot_of(system, 0, client)).collect()
}

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    fn begin_own_age(&mut self) {
        let now = self.host.now();
        if let Some(own) = self.place_mut(0) {
            own.since = now;
        }
    }

    /// Gives the supervisor its own shared memory and handles, and opens its log.
    fn own_wires(&mut self) -> Result<(), Refusal<'static>> {
        let Some(own) = self.system.slots.first() else { return Ok(()) };
        let refusal = |refused| Refusal::Kernel("the supervisor's wires", refused);
        map_shared(&self.kernel, SUPERVISOR_SERVER, &self.system, &self.regions, own)
            .map_err(refusal)?;
        install(&self.kernel, (SUPERVISOR_SLOT, SUPERVISOR_SERVER), &own.table, 0)
            .map_err(refusal)?;
        let log = own.table.iter().find(|handle| handle.index == Numbers::FIXED);
        if let Some(Target::Bell { slot, .. }) = log.map(|handle| handle.target)
            && let Some(memory) = own.wires.first()
        {
            self.log = Some(slot);
            self.host.open_log(*memory);
        }
        Ok(())
    }

    /// Starts every slot, the most urgent first.
    fn start_all(&mut self) -> Result<(), String> {
        for priority in (0..=u8::MAX).rev() {
            for slot in self.numbers() {
                let description = self.system.slots.get(usize::from(slot));
                if description.is_some_and(|slot| slot.priority == priority) {
                    self.start_first(slot)?;
                }
            }
        }
        Ok(())
    }

    fn start_first(&mut self, slot: u16) -> Result<(), String> {
        self.start(slot).map_err(|refused| {
            let name = self.system.slots.get(usize::from(slot)).map_or("", |slot| &slot.name);
            Refusal::Kernel(name, refused).to_string()
        })
    }

    /// Tells of settings on the command line that no slot gets.
    fn tell_strangers(&mut self, command_line: &str) {
        let known = |name: &str| self.system.slots.iter().any(|slot| slot.name == name);
        let strangers: Vec<&str> = overrides::strangers(command_line, known).collect();
        for name in strangers {
            self.tell_all(format_args!("the command line sets {name}, but no slot has that name"));
        }
    }
}

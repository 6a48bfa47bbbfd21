//! What others may ask of the supervisor: their own affairs, the state of the system, and what the operator may do.

use alloc::string::String;
use alloc::vec::Vec;

use abi::kernel::control::{OBJECT_KINDS, PortKind, Shutdown, ThreadState};
use abi::layout::STACK_END;
use abi::{Answer, Badge, Caller, Traps};
use ipc::history;
use ipc::operator::{self, Outcome, Reason, Way};
use ipc::status::{self, SlotStatus, Snapshot};
use ipc::supervisor::{self, EventKind};
use ipc::system::PortTarget;
use shared::Memory;

use crate::ending::Ending;
use crate::host::Host;
use crate::kernel::Refused;
use crate::links;
use crate::supervisor::{Place, State, Supervisor};
use crate::swap::Record;

impl<T: Traps, H: Host> supervisor::Server for Supervisor<'_, T, H> {
    fn ready(&mut self, from: Badge) -> Result<(), supervisor::Error> {
        let slot = self.caller(from).ok_or(supervisor::Error::NotAllowed)?;
        if let Some(Place { state: State::Up { is_ready, .. }, .. }) = self.place_mut(slot) {
            *is_ready = true;
        }
        self.tell_when_all_are_ready();
        Ok(())
    }

    fn next_event(&mut self, from: Badge) -> Result<(EventKind, u32), supervisor::Error> {
        let slot = self.caller(from).ok_or(supervisor::Error::NotAllowed)?;
        let place = self.place_mut(slot).ok_or(supervisor::Error::NotAllowed)?;
        let (kind, badge) = place.events.take();
        Ok((kind, badge.bits()))
    }

    fn peer(&mut self, from: Badge, client: u16, domain: u16) -> Result<(), supervisor::Error> {
        let slot = self.caller(from).ok_or(supervisor::Error::NotAllowed)?;
        if links::store(&self.system) != Some(slot) {
            return Err(supervisor::Error::NotAllowed);
        }
        let slot = links::slot_of(&self.system, slot, client).ok_or(supervisor::Error::Invalid)?;
        self.set_peer(slot, domain).map_err(|_| supervisor::Error::Invalid)
    }

    fn quiesced(
        &mut self,
        caller: Caller<(), supervisor::Error>,
        address: u64,
        bytes: u64,
        digest: u64,
    ) -> Option<Answer> {
        match self.caller(caller.badge()) {
            Some(slot) => self.offered(slot, caller, (address, bytes, digest)),
            None => Some(caller.answer(Err(supervisor::Error::NotAllowed))),
        }
    }

    fn cannot_quiesce(&mut self, from: Badge, needed: u64) -> Result<(), supervisor::Error> {
        let slot = self.caller(from).ok_or(supervisor::Error::NotAllowed)?;
        self.not_written(slot, needed)
    }

    fn adopted(&mut self, caller: Caller<(), supervisor::Error>, digest: u64) -> Option<Answer> {
        let badge = caller.badge();
        if self.is_candidate(badge) {
            return self.adopt(caller, digest);
        }
        Some(caller.answer(Err(supervisor::Error::NotAllowed)))
    }
}

impl<T: Traps, H: Host> status::Server for Supervisor<'_, T, H> {
    fn snapshot(&mut self, from: Badge) -> Result<u32, status::Error> {
        let snapshot = self.state_of_all();
        let memory = self.shared_with(from).ok_or(status::Error::TooLarge)?;
        snapshot.write(memory).ok_or(status::Error::TooLarge)
    }
}

impl<T: Traps, H: Host> operator::Server for Supervisor<'_, T, H> {
    fn restart(&mut self, _: Badge, slot: u16) -> Result<(), operator::Error> {
        self.operable(slot)?.backoff.forget();
        self.tell(slot, format_args!("is started again, as the operator asks"));
        self.stop(slot);
        let now = self.host.now();
        self.start_again(slot, now);
        Ok(())
    }

    fn swap(&mut self, _: Badge, slot: u16, image: u64) -> Result<(), operator::Error> {
        self.begin_swap(slot, image)
    }

    fn swap_outcome(
        &mut self,
        _: Badge,
        slot: u16,
    ) -> Result<(Outcome, Reason, u64, u64, u64), operator::Error> {
        let place = self.place(slot).ok_or(operator::Error::NoSuchSlot)?;
        let Record { outcome, reason, began, stopped, bytes, .. } = place.last_swap;
        Ok((outcome, reason, began, stopped, bytes))
    }

    fn swap_steps(
        &mut self,
        _: Badge,
        slot: u16,
    ) -> Result<(u64, u64, u64, u64, u64), operator::Error> {
        let place = self.place(slot).ok_or(operator::Error::NoSuchSlot)?;
        let [built, quiesced, adopted, committed, proved] = place.last_swap.steps;
        Ok((built, quiesced, adopted, committed, proved))
    }

    fn stop(&mut self, _: Badge, slot: u16) -> Result<(), operator::Error> {
        self.operable(slot)?;
        self.tell(slot, format_args!("is stopped, as the operator asks"));
        self.stop(slot);
        self.switch_off(slot);
        Ok(())
    }

    fn start(&mut self, _: Badge, slot: u16) -> Result<(), operator::Error> {
        if self.operable(slot)?.loaded().is_some() {
            return Err(operator::Error::Runs);
        }
        self.tell(slot, format_args!("is started, as the operator asks"));
        let now = self.host.now();
        self.start_again(slot, now);
        Ok(())
    }

    fn kill(&mut self, _: Badge, slot: u16, way: Way) -> Result<(), operator::Error> {
        let Some(loaded) = self.operable(slot)?.loaded() else { return Ok(()) };
        // Only one that was stopped has registers to look at.
        let _ = self.kernel.control.thread_stop(loaded.server);
        if way == Way::Null {
            return self.lead_astray(loaded.server);
        }
        let now = self.host.now();
        self.remember(slot, String::from("killed by the operator"), now);
        self.tell(slot, format_args!("is killed, as the operator asks"));
        self.died(slot, now);
        Ok(())
    }

    fn shutdown(&mut self, from: Badge, reason: Shutdown) -> Result<(), operator::Error> {
        let what = match reason {
            Shutdown::Poweroff => "powers off",
            Shutdown::Reboot => "reboots",
            Shutdown::Crash => "crashes",
        };
        let who = self.caller(from).and_then(|slot| self.system.slots.get(usize::from(slot)));
        let who = who.map_or_else(String::new, |slot| slot.name.clone());
        self.tell_all(format_args!("the domain {what}, as {who} asks"));
        let now = self.host.now();
        self.ending.get_or_insert(Ending::new(reason, now));
        Ok(())
    }
}

impl<T: Traps, H: Host> history::Server for Supervisor<'_, T, H> {
    fn events(&mut self, client: Badge, from: u64) -> Result<u32, history::Error> {
        let memory = self.shared_with(client).ok_or(history::Error::TooLarge)?;
        history::write(self.chronicle.events(from), memory).ok_or(history::Error::TooLarge)
    }

    fn deaths(&mut self, client: Badge, from: u64) -> Result<u32, history::Error> {
        let memory = self.shared_with(client).ok_or(history::Error::TooLarge)?;
        history::write(self.chronicle.deaths(from), memory).ok_or(history::Error::TooLarge)
    }
}

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// The memory that a client reads.
    fn shared_with(&self, client: Badge) -> Option<Memory> {
        let own = self.system.slots.first()?;
        let wire = own.wires.get(usize::from(own.needs) + usize::from(client.client()))?;
        Some(self.host.shared(wire.down, wire.down_pages))
    }

    /// A slot that the operator may do something to.
    fn operable(&mut self, slot: u16) -> Result<&mut Place, operator::Error> {
        if slot == 0 {
            return Err(operator::Error::Supervisor);
        }
        self.place_mut(slot).ok_or(operator::Error::NoSuchSlot)
    }

    /// Lets a server that was stopped go on at address 0.
    fn lead_astray(&self, server: u16) -> Result<(), operator::Error> {
        let control = &self.kernel.control;
        let stack = control.thread_registers(server, 0).map_or(STACK_END, |registers| registers.1);
        control.thread_start(server, 0, stack, 0).map_err(|_| operator::Error::NoSuchSlot)
    }

    /// The slot behind a badge, if this incarnation of it runs.
    fn caller(&self, badge: Badge) -> Option<u16> {
        let slot = self.client_slot(badge)?;
        let place = self.place(slot)?;
        (place.loaded().is_some() && place.starts as u8 == badge.incarnation()).then_some(slot)
    }

    /// The slot that a badge is of.
    pub(crate) fn client_slot(&self, badge: Badge) -> Option<u16> {
        self.clients.get(usize::from(badge.client())).copied().flatten()
    }

    fn tell_when_all_are_ready(&mut self) {
        let ready = |slot| {
            matches!(self.place(slot), Some(Place { state: State::Up { is_ready: true, .. }, .. }))
        };
        if self.all_ready || !self.numbers().all(ready) {
            return;
        }
        self.all_ready = true;
        let entry = self.kernel.control.domain_info(1).map_or(0, |facts| facts.1);
        let since = self.host.now().saturating_sub(entry) / 1000;
        let count = self.places.len();
        self.tell_all(format_args!(
            "all {count} servers are ready {since} us after the kernel's entry"
        ));
    }

    /// Makes `domain` the peer of a slot's ports and windows.
    fn set_peer(&mut self, slot: u16, domain: u16) -> Result<(), Refused> {
        if self.place(slot).and_then(|place| place.peer) == Some(domain) {
            return Ok(());
        }
        self.reset_devices(slot);
        for (number, port) in (0u16..).zip(&self.system.ports) {
            if port.slot == slot && port.target == PortTarget::Peer {
                let control = &self.kernel.control;
                control.port_configure(number, PortKind::Peer, domain, slot, port.bits)?;
            }
        }
        for (number, window) in (0u16..).zip(&self.system.windows) {
            if window.slot == slot {
                let (control, count) = (&self.kernel.control, window.references);
                control.window_configure(number, slot, count, domain)?;
            }
        }
        if let Some(place) = self.place_mut(slot) {
            place.peer = Some(domain);
        }
        Ok(())
    }

    /// The state of the whole system.
    fn state_of_all(&mut self) -> Snapshot {
        let (version, domain, vcpus, memory, free) =
            self.kernel.control.domain_info(0).unwrap_or_default();
        let (kernel, entry, upcalls, ..) = self.kernel.control.domain_info(1).unwrap_or_default();
        let (_, at_once, waited, yields, flushes) =
            self.kernel.control.domain_info(2).unwrap_or_default();
        let servers: Vec<SlotStatus> =
            (0..self.places.len() as u16).filter_map(|slot| self.state_of(slot)).collect();
        Snapshot {
            system: self.system.name.clone(),
            uptime: self.host.now().saturating_sub(entry),
            entry,
            xen: ((version >> 16) as u16, version as u16),
            domain: domain as u16,
            vcpus: vcpus as u16,
            memory,
            free,
            kernel,
            upcalls,
            lock: status::Contention { at_once, waited, yields },
            flushes,
            servers,
        }
    }

    fn state_of(&mut self, number: u16) -> Option<SlotStatus> {
        let slot = self.system.slots.get(usize::from(number))?;
        let place = self.places.get(usize::from(number))?;
        let image = self.system.images.get(usize::from(place.program));
        let server = if number == 0 { Some(0) } else { place.loaded().map(|l| l.server) };
        let usage = server.and_then(|server| self.kernel.control.server_usage(server).ok());
        let (state, cpu, calls, served, pages) =
            usage.unwrap_or((ThreadState::Stopped, 0, 0, 0, 0));
        let account = self.kernel.control.account_read(number);
        let (.., paid, granted, _) = account.unwrap_or_default();
        let held = OBJECT_KINDS
            .map(|kind| self.kernel.control.quota_read(number, kind).unwrap_or_default());
        Some(SlotStatus {
            name: slot.name.clone(),
            state: if number == 0 { status::State::Running } else { told(place.state, state) },
            priority: slot.priority,
            vcpu: slot.vcpu,
            restarts: place.starts,
            pages,
            cpu,
            calls,
            served,
            paid,
            granted,
            age: server.map_or(0, |_| self.host.now().saturating_sub(place.since)),
            image: image.map_or_else(String::new, |image| image.name.clone()),
            version: image.map_or_else(String::new, |image| image.version.clone()),
            build: image.and_then(|image| image.sha256.first_chunk().copied()).unwrap_or_default(),
            held,
        })
    }
}

/// The state of a slot, for people.
const fn told(state: State, thread: ThreadState) -> status::State {
    match (state, thread) {
        (State::Off, _) => status::State::Off,
        (State::Down { .. }, _) => status::State::Down,
        (State::Up { is_ready: false, .. }, _) => status::State::Starting,
        (_, ThreadState::Waiting) => status::State::Waiting,
        (_, ThreadState::Queued | ThreadState::Awaiting) => status::State::Calling,
        _ => status::State::Running,
    }
}

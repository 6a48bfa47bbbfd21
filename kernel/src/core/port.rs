//! Ports: event channels, delivered as bits.
//!
//! An event masks its channel; the port then is in its slot's list until the owner's next wait lets events come again, or
//! until later if the port is held. A port that is open and not in the list is unmasked.

use abi::kernel::control::{self, NO_PEER, ObjectKind, PortKind};
use abi::kernel::port::Error;

use super::Core;
use super::hardware::{Hardware, Vcpu};
use super::slot::ATTENTION_PORTS;
use super::table::{Number, PortId, SlotId, VcpuId};
use super::thread::State;

/// A port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// Bits that its event sets.
    pub bits: u64,
    /// When `arm` lets it be unmasked; 0 if no delay is set.
    pub arm_at: u64,
    /// Number of the event channel while it is open.
    pub channel: u32,
    /// Peer domain.
    pub peer: u16,
    /// Slot whose inbox gets the bits; none until it is set up.
    pub slot: SlotId,
    /// Next port of the slot that waits to be unmasked.
    pub next: PortId,
    /// What it is bound to.
    pub kind: PortKind,
    /// Whether it is open.
    pub open: bool,
    /// Whether `hold` keeps it masked.
    pub held: bool,
    /// Whether it is in its slot's list of masked ports.
    pub masked: bool,
}

impl Default for Port {
    fn default() -> Self {
        Self {
            bits: 0,
            arm_at: 0,
            channel: 0,
            peer: NO_PEER,
            slot: SlotId::NONE,
            next: PortId::NONE,
            kind: PortKind::Peer,
            open: false,
            held: false,
            masked: false,
        }
    }
}

/// Which port an event channel belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channel(PortId);

impl Default for Channel {
    fn default() -> Self {
        Self(PortId::NONE)
    }
}

impl Core<'_> {
    fn channel(&mut self, channel: u32) -> Option<&mut Channel> {
        self.channels.get_mut(usize::try_from(channel).ok()?)
    }

    /// An event channel fired; the machine has masked it and cleared it. Unknown ones stay masked and are counted.
    pub fn event(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu, channel: u32) {
        self.enter(vcpu);
        let known = self.channel(channel).and_then(|channel| channel.0.some());
        let Some(id) = known else {
            self.spurious_events += 1;
            return;
        };
        let Port { slot, bits, .. } = self.ports[id];
        self.mask(id);
        self.raise(hardware, slot, bits);
    }

    /// Puts a port into its slot's list of masked ones.
    fn mask(&mut self, id: PortId) {
        let slot = self.ports[id].slot;
        if !self.ports[id].masked {
            self.ports[id].masked = true;
            self.ports[id].next = self.slots[slot].first_port;
            self.slots[slot].first_port = id;
            self.slots[slot].attention |= ATTENTION_PORTS;
        }
    }

    /// Takes a port out of its slot's list.
    fn unlist(&mut self, id: PortId) {
        let slot = self.ports[id].slot;
        let mut before = PortId::NONE;
        let mut at = if self.ports[id].masked { self.slots[slot].first_port } else { PortId::NONE };
        while let Some(port) = at.some().filter(|at| *at != id) {
            before = port;
            at = self.ports[port].next;
        }
        if at != id {
            return;
        }
        let after = self.ports[id].next;
        match before.some() {
            Some(before) => self.ports[before].next = after,
            None => self.slots[slot].first_port = after,
        }
        self.ports[id].masked = false;
        if self.slots[slot].first_port == PortId::NONE {
            self.slots[slot].attention &= !ATTENTION_PORTS;
        }
    }

    /// Lets events of a slot's ports come again; held ones wait.
    pub(super) fn unmask_ports(&mut self, hardware: &mut impl Hardware, slot: SlotId) {
        let mut at = self.slots[slot].first_port;
        while let Some(id) = at.some() {
            at = self.ports[id].next;
            let Port { held, arm_at, channel, .. } = self.ports[id];
            if !held && (arm_at == 0 || arm_at <= hardware.now()) {
                self.unlist(id);
                self.ports[id].arm_at = 0;
                hardware.channel_unmask(channel);
            }
        }
    }

    /// The time of some held ports has come: lets their events come again where the owner waits. Returns the next such time.
    pub(super) fn arm_due_ports(&mut self, hardware: &mut impl Hardware, now: u64) -> u64 {
        let mut earliest = u64::MAX;
        for id in self.ports.numbers() {
            let Port { slot, arm_at, .. } = self.ports[id];
            if arm_at == 0 || self.slots[slot].vcpu != self.here.raw() {
                continue;
            }
            if arm_at > now {
                earliest = earliest.min(arm_at);
                continue;
            }
            self.ports[id].arm_at = 0;
            let server = self.slots[slot].server.some();
            if server.is_some_and(|server| self.threads[server].state == State::Waiting) {
                self.unmask_ports(hardware, slot);
            }
        }
        earliest
    }

    /// Sends a port's event; nothing happens if it is not open.
    pub(super) fn send(&mut self, hardware: &mut impl Hardware, id: PortId) {
        if self.ports[id].open {
            hardware.channel_send(self.ports[id].channel);
        } else {
            self.lost_notifications += 1;
        }
    }

    /// Opens a port; returns the number of its event channel.
    pub(super) fn port_open(
        &mut self,
        hardware: &mut impl Hardware,
        id: PortId,
    ) -> Result<u32, Error> {
        let Port { kind, peer, slot, open, .. } = self.ports[id];
        if open {
            return Err(Error::Open);
        }
        if slot == SlotId::NONE || peer == NO_PEER {
            return Err(Error::NoPeer);
        }
        let number = hardware.channel_open(kind, peer).map_err(|_| Error::Refused)?;
        let Some(channel) = self.channel(number) else {
            hardware.channel_close(number);
            return Err(Error::Refused);
        };
        *channel = Channel(id);
        let port = &mut self.ports[id];
        (port.open, port.channel, port.held, port.arm_at) = (true, number, false, 0);
        let home = self.slots[slot].vcpu;
        if home != 0 {
            hardware.channel_bind(number, Vcpu(home));
        }
        // It starts masked; the owner's next wait lets its events come.
        self.mask(id);
        Ok(number)
    }

    /// Closes a port, if it is open.
    pub(super) fn port_close(
        &mut self,
        hardware: &mut impl Hardware,
        id: PortId,
    ) -> Result<(), Error> {
        let number = self.opened(id)?.channel;
        self.unlist(id);
        let port = &mut self.ports[id];
        (port.open, port.held, port.arm_at) = (false, false, 0);
        if let Some(channel) = self.channel(number) {
            *channel = Channel::default();
        }
        hardware.channel_close(number);
        Ok(())
    }

    /// Keeps a port masked until `arm`, from its next event on.
    pub(super) fn port_hold(&mut self, id: PortId) -> Result<(), Error> {
        let port = self.opened(id)?;
        (port.held, port.arm_at) = (true, 0);
        Ok(())
    }

    /// Ends `hold` some time from now.
    pub(super) fn port_arm(
        &mut self,
        hardware: &mut impl Hardware,
        id: PortId,
        after: u64,
    ) -> Result<(), Error> {
        let at = if after == 0 { 0 } else { hardware.now().saturating_add(after) };
        let port = self.opened(id)?;
        (port.held, port.arm_at) = (false, at);
        if at != 0 {
            let home = VcpuId(self.slots[self.ports[id].slot].vcpu);
            let processor = &mut self.vcpus[home];
            processor.earliest = processor.earliest.min(at);
            if home != self.here {
                hardware.kick(Vcpu(home.0));
            }
        }
        Ok(())
    }

    fn opened(&mut self, id: PortId) -> Result<&mut Port, Error> {
        let port = &mut self.ports[id];
        if port.open { Ok(port) } else { Err(Error::Closed) }
    }

    /// Says what a closed port is bound to, and whose bits it sets; an open one can be told what it is told already.
    pub(super) fn port_configure(&mut self, id: PortId, setup: Port) -> Result<(), control::Error> {
        let port = self.ports[id];
        if port.open {
            let same = (port.kind, port.peer, port.slot, port.bits)
                == (setup.kind, setup.peer, setup.slot, setup.bits);
            return if same { Ok(()) } else { Err(control::Error::Invalid) };
        }
        if port.slot != setup.slot {
            self.hold(setup.slot, ObjectKind::Port, 1)?;
            self.release(port.slot, ObjectKind::Port, 1);
        }
        self.ports[id] = setup;
        Ok(())
    }
}

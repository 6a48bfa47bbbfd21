//! Who calls whom: the wires of the system table, seen from both ends.

use ipc::system::{PortTarget, System, Target};

/// A wire, as its server knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// The calling slot.
    pub client_slot: u16,
    /// The serving slot.
    pub server_slot: u16,
    /// The channel of it.
    pub channel: u8,
    /// The caller's number there.
    pub client: u16,
    /// The caller's handle.
    pub handle: u16,
}

/// All wires, by calling slot.
pub fn all(system: &System) -> impl Iterator<Item = Link> {
    (0u16..).zip(&system.slots).flat_map(|(client_slot, slot)| {
        slot.table.iter().filter_map(move |handle| match handle.target {
            Target::Wire { slot, channel, client, .. } => {
                Some(Link { client_slot, server_slot: slot, channel, client, handle: handle.index })
            }
            _ => None,
        })
    })
}

/// The slot that is `server_slot`'s client number `client`.
#[must_use]
pub fn slot_of(system: &System, server_slot: u16, client: u16) -> Option<u16> {
    let mut links = all(system);
    let link = links.find(|link| link.server_slot == server_slot && link.client == client);
    link.map(|link| link.client_slot)
}

/// The slot that serves XenStore: it has XenStore's port.
#[must_use]
pub fn store(system: &System) -> Option<u16> {
    system.ports.iter().find(|port| port.target == PortTarget::Store).map(|port| port.slot)
}

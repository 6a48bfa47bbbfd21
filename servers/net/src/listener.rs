//! [`Listeners`]: which sockets listen, and which wait for their connections.
//!
//! Invariant: one listening socket to a port.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::flow::Owner;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    /// Whose it is.
    pub owner: Owner,
    /// TCP port.
    pub port: u16,
    /// Most connections that wait.
    pub backlog: u16,
    /// The client's sockets that wait for one, in order.
    pub accepting: VecDeque<u16>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Listeners(Vec<Listener>);

impl Listeners {
    /// The one at a port.
    pub fn at(&self, port: u16) -> Option<&Listener> {
        self.0.iter().find(|listener| listener.port == port)
    }

    /// The one of a socket.
    pub fn of(&mut self, owner: Owner) -> Option<&mut Listener> {
        self.0.iter_mut().find(|listener| listener.owner == owner)
    }

    /// Adds one.
    pub fn add(&mut self, owner: Owner, port: u16, backlog: u16) {
        self.0.push(Listener { owner, port, backlog, accepting: VecDeque::new() });
    }

    /// Removes the one of a socket.
    pub fn remove(&mut self, owner: Owner) -> Option<Listener> {
        let index = self.0.iter().position(|listener| listener.owner == owner)?;
        Some(self.0.swap_remove(index))
    }

    /// A socket does not wait any more.
    pub fn withdraw(&mut self, owner: Owner) {
        for listener in self.0.iter_mut().filter(|one| one.owner.client == owner.client) {
            listener.accepting.retain(|&socket| socket != owner.socket);
        }
    }

    /// Removes all of a client.
    pub fn forget(&mut self, client: u16) {
        self.0.retain(|listener| listener.owner.client != client);
    }
}

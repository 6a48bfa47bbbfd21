//! [`Bindings`]: UDP sockets.
//!
//! Invariant: at most [`MOST`] exist, one to a port. A datagram is sent whole or lost, as UDP has it.

use alloc::vec;
use alloc::vec::Vec;

use ipc::socket::{DATAGRAM_BYTES, Datagram, FULL, IN_USE, INVALID, OK};
use shared::Error;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{IpAddress, IpEndpoint, Ipv4Address};
use zerocopy::{FromZeros, IntoBytes};

use crate::flow::Owner;
use crate::session::End;

/// Most of them.
pub const MOST: usize = 16;
/// Datagrams and bytes of a buffer.
const BUFFER: (usize, usize) = (8, 4096);
/// Bytes of a header in a ring.
const HEADER: usize = size_of::<Datagram>();

#[derive(Debug)]
struct Binding {
    owner: Owner,
    handle: SocketHandle,
    port: u16,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Bindings(Vec<Binding>);

impl Bindings {
    /// Binds a socket to a port; gives a status.
    pub fn add(&mut self, sockets: &mut SocketSet<'static>, owner: Owner, port: u16) -> u16 {
        if self.uses(port) {
            return IN_USE;
        }
        if self.0.len() >= MOST {
            return FULL;
        }
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; BUFFER.0], vec![0; BUFFER.1]);
        let mut socket = Socket::new(buffer(), buffer());
        if socket.bind(port).is_err() {
            return INVALID;
        }
        self.0.push(Binding { owner, handle: sockets.add(socket), port });
        OK
    }

    /// Whether a port is taken.
    pub fn uses(&self, port: u16) -> bool {
        self.0.iter().any(|binding| binding.port == port)
    }

    /// The sockets of smoltcp, with their owners.
    pub fn iter(&self) -> impl Iterator<Item = (Owner, SocketHandle)> {
        self.0.iter().map(|binding| (binding.owner, binding.handle))
    }

    /// Gives up the one of a socket.
    pub fn remove(&mut self, owner: Owner, sockets: &mut SocketSet<'static>) {
        self.retain(sockets, |binding| binding.owner != owner);
    }

    /// Gives up those of a client.
    pub fn forget(&mut self, client: u16, sockets: &mut SocketSet<'static>) {
        self.retain(sockets, |binding| binding.owner.client != client);
    }

    fn retain(&mut self, sockets: &mut SocketSet<'static>, keep: impl Fn(&Binding) -> bool) {
        self.0.retain(|binding| {
            let keeps = keep(binding);
            if !keeps {
                sockets.remove(binding.handle);
            }
            keeps
        });
    }
}

/// Moves datagrams between a socket of smoltcp and a socket's rings.
///
/// # Errors
/// What the client's memory contradicts.
pub fn pump(socket: &mut Socket<'_>, end: &mut End) -> Result<(), Error> {
    while socket.can_recv() && !end.is_closing {
        let Ok((bytes, peer)) = socket.recv() else { break };
        deliver(bytes, peer.endpoint, end)?;
    }
    while socket.can_send() && send(socket, end)? {}
    Ok(())
}

/// Writes a datagram to the ring, if it has room for all of it.
fn deliver(bytes: &[u8], peer: IpEndpoint, end: &mut End) -> Result<(), Error> {
    let IpAddress::Ipv4(address) = peer.addr;
    let header =
        Datagram { length: bytes.len() as u16, port: peer.port, address: u32::from(address) };
    if end.receive.free()? >= HEADER + bytes.len() {
        end.receive.write(header.as_bytes())?;
        end.receive.write(bytes)?;
    }
    Ok(())
}

/// Sends the next datagram in the ring; false if there is no whole one.
fn send(socket: &mut Socket<'_>, end: &mut End) -> Result<bool, Error> {
    let mut header = Datagram::new_zeroed();
    let peeked = end.send.peek(header.as_mut_bytes())?;
    let length = usize::from(header.length);
    if peeked < HEADER || end.send.waiting()? < HEADER + length {
        end.is_drained = true;
        return Ok(false);
    }
    if length > DATAGRAM_BYTES {
        return Err(Error::Broken);
    }
    end.send.consume(HEADER)?;
    let mut bytes = [0; DATAGRAM_BYTES];
    let bytes = bytes.get_mut(..length).unwrap_or_default();
    end.send.read(bytes)?;
    let peer = IpEndpoint::from((Ipv4Address::from(header.address), header.port));
    // No room or no such peer: lost, as datagrams are.
    let _ = socket.send_slice(bytes, peer);
    Ok(true)
}

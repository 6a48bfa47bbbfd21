//! The other end of the network, for tests on the host: a network card without a device, and a host at its cable.
//!
//! [`Card`] serves `nic` over the loopback and moves frames to and from a [`Cable`]; [`Peer`] is another TCP/IP host at
//! that cable, driven by the test. Not part of what runs in the domain.

use std::collections::VecDeque;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};
use std::vec::Vec;

use abi::{Answer, Badge, Call};
use ipc::Wire;
use ipc::loopback::{End, now};
use ipc::nic::{self, CHECKSUM_BLANK, Complete, Error, QUEUE, RECEIVE, Submit, TRANSMIT};
use ipc::serve::Serve;
use shared::queue::Server;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, Ipv4Cidr, Ipv4Packet, TcpPacket};

use crate::echo::{Mender, Step};
use crate::frame::ETHERNET;
use crate::stack::instant;

/// The bit by which the cable wakes the card.
pub const CABLE: u64 = 1 << 40;
/// The card's hardware address.
pub const MAC: [u8; 6] = [0x00, 0x16, 0x3e, 1, 2, 3];

#[derive(Default)]
struct Frames {
    to_card: VecDeque<Vec<u8>>,
    from_card: VecDeque<Vec<u8>>,
    card: Option<End>,
    is_cut: bool,
    is_new: bool,
    /// Flags of the frames that the card gives on.
    flags: u16,
}

/// A cable between a card and whoever is at its other end.
#[derive(Clone, Default)]
pub struct Cable(Arc<Mutex<Frames>>);

impl Cable {
    fn lock(&self) -> std::sync::MutexGuard<'_, Frames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame to the card.
    pub fn send(&self, frame: Vec<u8>) {
        let mut frames = self.lock();
        if !frames.is_cut {
            frames.to_card.push_back(frame);
        }
        if let Some(card) = frames.card {
            card.set_bits(CABLE);
        }
    }

    /// The next frame from the card.
    pub fn receive(&self) -> Option<Vec<u8>> {
        self.lock().from_card.pop_front()
    }

    /// Makes the card forget its session, as a restart of its server does, and ring.
    pub fn restart_card(&self) {
        let mut frames = self.lock();
        frames.is_new = true;
        if let Some(card) = frames.card {
            card.set_bits(CABLE);
        }
    }

    /// Makes the card say this of the frames that it receives.
    pub fn vouch(&self, flags: u16) {
        self.lock().flags = flags;
    }

    /// Loses all frames from now on, or stops doing so.
    pub fn cut(&self, is_cut: bool) {
        self.lock().is_cut = is_cut;
    }
}

/// A server of `nic` at a cable.
pub struct Card {
    end: End,
    wire: Wire,
    cable: Cable,
    queue: Option<Server<Submit, Complete>>,
    empty: VecDeque<u16>,
}

impl Card {
    /// A card for the client behind `wire`.
    pub fn new(end: End, wire: Wire, cable: Cable) -> Self {
        cable.lock().card = Some(end);
        Self { end, wire, cable, queue: None, empty: VecDeque::new() }
    }

    /// Moves all frames that can be moved.
    fn turn(&mut self) {
        while self.submitted() || self.received() {}
        let Some(queue) = &mut self.queue else { return };
        if queue.publish() {
            self.wire.ring(&self.end);
        }
        if queue.arm().unwrap_or(false) {
            self.end.set_bits(CABLE);
        }
    }

    fn submitted(&mut self) -> bool {
        let Some(queue) = &mut self.queue else { return false };
        let Ok(Some(submit)) = queue.take() else { return false };
        let Submit { kind, buffer, length, flags, .. } = submit;
        match kind {
            TRANSMIT => {
                let mut frame = std::vec![0; usize::from(length)];
                queue.up().copy_from(usize::from(buffer) * nic::TRANSMIT_BYTES, &mut frame);
                complete_checksum(&mut frame, flags);
                let mut frames = self.cable.lock();
                if !frames.is_cut {
                    frames.from_card.push_back(frame);
                }
                let _ = queue.answer(&Complete { kind, buffer, length, ..Complete::default() });
            }
            RECEIVE => self.empty.push_back(buffer),
            _ => {}
        }
        true
    }

    fn received(&mut self) -> bool {
        let Some(queue) = &mut self.queue else { return false };
        let Some(&buffer) = self.empty.front() else { return false };
        let mut frames = self.cable.lock();
        let Some(frame) = frames.to_card.pop_front() else { return false };
        let flags = frames.flags;
        drop(frames);
        self.empty.pop_front();
        queue.down().copy_to(usize::from(buffer) * nic::RECEIVE_BYTES, &frame);
        let length = frame.len() as u16;
        let complete = Complete { kind: RECEIVE, buffer, length, flags, ..Complete::default() };
        let _ = queue.answer(&complete);
        true
    }
}

/// As a device does with a segment whose checksum is blank.
fn complete_checksum(frame: &mut [u8], flags: u16) {
    if flags & CHECKSUM_BLANK == 0 {
        return;
    }
    let mut packet = Ipv4Packet::new_checked(&mut frame[ETHERNET..]).expect("an IP packet");
    let (source, target) = (packet.src_addr().into(), packet.dst_addr().into());
    let payload = packet.payload_mut();
    let segment = TcpPacket::new_checked(&*payload).expect("a TCP segment");
    assert!(segment.verify_partial_checksum(&source, &target), "the partial checksum is wrong");
    let mut segment = TcpPacket::new_unchecked(payload);
    segment.fill_checksum(&source, &target);
}

impl Serve for Card {
    fn bits(&mut self, _: u64) {
        if core::mem::take(&mut self.cable.lock().is_new) {
            self.queue = None;
            self.wire.ring(&self.end);
        }
        self.turn();
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        nic::dispatch(self, call)
    }
}

impl nic::Server for Card {
    fn open(&mut self, _: Badge) -> Result<(u64, u32), Error> {
        let mut queue =
            Server::open(QUEUE, self.wire.up, self.wire.down).map_err(|_| Error::NotReady)?;
        while let Ok(Some(_)) = queue.take() {
            queue.forget(1);
        }
        let _ = queue.publish();
        let _ = queue.arm();
        self.queue = Some(queue);
        self.empty.clear();
        let [a, b, c, d, e, f] = MAC;
        Ok((u64::from_le_bytes([a, b, c, d, e, f, 0, 0]), 1500))
    }

    fn link(&mut self, _: Badge) -> Result<bool, Error> {
        if self.queue.is_some() { Ok(true) } else { Err(Error::NotReady) }
    }
}

/// A host at a cable.
pub struct Peer {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    next_port: u16,
}

/// The cable as smoltcp sees it.
struct Port(Cable, Mender);

impl Peer {
    /// A host with this address; its last byte makes its hardware address too.
    pub fn new(cable: &Cable, address: Ipv4Cidr) -> Self {
        let mut port = Port(cable.clone(), Mender::default());
        let last = address.address().octets()[3];
        let mac = EthernetAddress([2, 0, 0, 0, 0, last]);
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        config.random_seed = now();
        let mut interface = Interface::new(config, &mut port, instant(now()));
        interface.update_ip_addrs(|addresses| {
            addresses.push(address.into()).expect("room for one address");
        });
        let next_port = 40_000 + (now() % 10_000) as u16;
        Self { port, interface, sockets: SocketSet::new(Vec::new()), next_port }
    }

    /// Moves what can be moved.
    pub fn poll(&mut self) {
        self.interface.poll(instant(now()), &mut self.port, &mut self.sockets);
    }

    /// Polls until `done` gives something, for at most ten seconds.
    ///
    /// # Panics
    /// When the time is over.
    pub fn wait<R>(&mut self, mut done: impl FnMut(&mut Self) -> Option<R>) -> R {
        let end = Clock::now() + Duration::from_secs(10);
        loop {
            self.poll();
            if let Some(result) = done(self) {
                return result;
            }
            assert!(Clock::now() < end, "nothing happened for ten seconds");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Sends a frame as it is.
    pub fn send_frame(&self, frame: Vec<u8>) {
        self.port.0.send(frame);
    }

    /// A connection; `buffer` bytes each way.
    pub fn connect(&mut self, address: IpAddress, port: u16, buffer: usize) -> SocketHandle {
        let bytes = || tcp::SocketBuffer::new(std::vec![0; buffer]);
        let mut socket = tcp::Socket::new(bytes(), bytes());
        socket.set_nagle_enabled(false);
        self.next_port += 1;
        let local = self.next_port;
        socket.connect(self.interface.context(), (address, port), local).expect("a free port");
        self.sockets.add(socket)
    }

    /// The socket of a connection.
    pub fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Any socket of smoltcp.
    pub fn add<S: smoltcp::socket::AnySocket<'static>>(&mut self, socket: S) -> SocketHandle {
        self.sockets.add(socket)
    }

    /// A socket of any kind.
    pub fn socket<S: smoltcp::socket::AnySocket<'static>>(
        &mut self,
        handle: SocketHandle,
    ) -> &mut S {
        self.sockets.get_mut(handle)
    }

    /// Forgets a connection.
    pub fn forget(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, handle: SocketHandle, mut bytes: &[u8]) {
        self.wait(|peer| {
            let sent = peer.tcp(handle).send_slice(bytes).unwrap_or(0);
            bytes = &bytes[sent..];
            bytes.is_empty().then_some(())
        });
    }

    /// Receives until `done` with all that came; the end of the stream also ends it.
    pub fn receive(&mut self, handle: SocketHandle, done: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let mut all = Vec::new();
        self.wait(move |peer| {
            let socket = peer.tcp(handle);
            let _ = socket.recv(|bytes| {
                all.extend_from_slice(bytes);
                (bytes.len(), ())
            });
            let is_over = !socket.may_recv() && socket.state() != tcp::State::SynSent;
            (done(&all) || is_over).then(|| core::mem::take(&mut all))
        })
    }

    /// Connects, sends, and receives until the end of the stream; as text.
    pub fn ask(&mut self, address: IpAddress, port: u16, question: &[u8]) -> String {
        let handle = self.connect(address, port, 65_536);
        self.wait(|peer| peer.tcp(handle).may_send().then_some(()));
        self.send(handle, question);
        let answer = self.receive(handle, |_| false);
        self.tcp(handle).close();
        self.poll();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A frame that was received.
struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

/// A frame to be sent.
struct Sending<'a>(&'a mut Port);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, make: F) -> R {
        let mut frame = std::vec![0; length];
        let made = make(&mut frame);
        let Port(cable, mender) = self.0;
        let step = mender.pass(&frame);
        if step != Step::Keep {
            cable.send(frame);
        }
        if step == Step::SendBoth {
            cable.send(mender.first().to_vec());
        }
        made
    }
}

impl Device for Port {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Sending<'_>)> {
        Some((Frame(self.0.receive()?), Sending(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

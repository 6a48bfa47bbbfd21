//! [`Stack`]: smoltcp's interface, its sockets, and the address, from the configuration or from a DHCP server.
//!
//! Invariant: the interface exists from the first session of the device on, and has the device's hardware address and packet
//! size. It has an address only if that is one that a host may have. Sockets do not depend on the interface: they outlive it.

use alloc::boxed::Box;
use alloc::vec;

use abi::Traps;
use ipc::Host;
use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    HardwareAddress, Ipv4Address, Ipv4Cidr,
};

use crate::config::{Config, Source, is_host};
use crate::device::{Device, Facts};
use crate::frame::ETHERNET;

/// How long an incomplete datagram is kept.
const REASSEMBLY: Duration = Duration::from_secs(15);
/// After how long a DHCP server that did not answer is asked again.
const DHCP_PATIENCE: Duration = Duration::from_secs(1);

/// The stack below the sockets.
pub struct Stack {
    /// All sockets of smoltcp.
    pub sockets: SocketSet<'static>,
    interface: Option<Box<Interface>>,
    dhcp: Option<SocketHandle>,
    config: Config,
    address: Option<Ipv4Cidr>,
    gateway: Option<Ipv4Address>,
}

/// The time as smoltcp counts it.
pub const fn instant(nanoseconds: u64) -> Instant {
    Instant::from_micros_const((nanoseconds / 1000) as i64)
}

impl Stack {
    /// A stack without an interface.
    pub fn new(config: Config) -> Self {
        let mut sockets = SocketSet::new(vec![]);
        let (dhcp, address) = match config.source {
            Source::Static(address) => (None, Some(address)),
            Source::Dhcp => (Some(sockets.add(dhcp_client())), None),
        };
        Self { sockets, interface: None, dhcp, config, address, gateway: config.gateway }
    }

    /// Begins anew on a device with these facts; false if its hardware address is none.
    pub fn begin<T: Traps>(
        &mut self,
        facts: Facts,
        device: &mut Device<T>,
        host: &impl Host,
    ) -> bool {
        let mac = EthernetAddress(facts.mac);
        self.interface = None;
        if !mac.is_unicast() || facts.mac == [0; 6] {
            return false;
        }
        let mut config = InterfaceConfig::new(HardwareAddress::Ethernet(mac));
        config.random_seed = seed(host.now(), facts.mac);
        let mut interface = Box::new(Interface::new(config, device, instant(host.now())));
        interface.set_reassembly_timeout(REASSEMBLY);
        self.interface = Some(interface);
        self.apply();
        self.renew(device, host);
        true
    }

    /// Frames get through again: says that the address is here, or asks for one at once. A lease is kept, and with it
    /// the connections.
    pub fn renew<T: Traps>(&mut self, device: &mut Device<T>, host: &impl Host) {
        match (self.dhcp, self.address) {
            (Some(handle), None) => self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).reset(),
            _ => self.announce(device, host),
        }
    }

    /// The own address, once there is one and an interface.
    pub fn address(&self) -> Option<Ipv4Cidr> {
        self.address.filter(|_| self.interface.is_some())
    }

    /// The router.
    pub const fn gateway(&self) -> Option<Ipv4Address> {
        self.gateway
    }

    /// The interface and the sockets.
    pub fn parts(&mut self) -> Option<(&mut Interface, &mut SocketSet<'static>)> {
        Some((self.interface.as_mut()?, &mut self.sockets))
    }

    /// Gives the loaded frame to the stack.
    pub fn ingress<T: Traps>(&mut self, device: &mut Device<T>, now: u64) {
        if let Some(interface) = &mut self.interface {
            interface.poll_ingress_single(instant(now), device, &mut self.sockets);
        }
    }

    /// Sends what there is to send, as far as the device has room.
    pub fn egress<T: Traps>(&mut self, device: &mut Device<T>, now: u64) {
        let Some(interface) = &mut self.interface else { return };
        loop {
            let made = device.made();
            if device.room() == 0 {
                return;
            }
            interface.poll_egress(instant(now), device, &mut self.sockets);
            // Each round makes a frame and takes room, or there is nothing to send.
            if device.made() == made {
                return;
            }
        }
    }

    /// When the stack has to be looked at again, in nanoseconds; `None` if only a frame can change something.
    pub fn deadline(&mut self, now: u64) -> Option<u64> {
        let at = self.interface.as_mut()?.poll_at(instant(now), &self.sockets)?;
        Some(u64::try_from(at.total_micros()).unwrap_or(0).saturating_mul(1000))
    }

    /// Takes what the DHCP server said. True if the address changed.
    pub fn settle<T: Traps>(&mut self, device: &mut Device<T>, host: &impl Host) -> bool {
        let Some(handle) = self.dhcp else { return false };
        let (address, gateway) = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            None => return false,
            Some(dhcpv4::Event::Deconfigured) => (None, None),
            Some(dhcpv4::Event::Configured(lease)) => (Some(lease.address), lease.router),
        };
        let gateway = gateway.filter(|&router| is_host(router)).or(self.config.gateway);
        let address = address.filter(|cidr| is_host(cidr.address()));
        if (address, gateway) == (self.address, self.gateway) {
            return false;
        }
        if address.is_none() {
            host.log(format_args!("the address is no longer ours"));
        }
        (self.address, self.gateway) = (address, gateway);
        self.apply();
        self.announce(device, host);
        true
    }

    /// Gives address and gateway to the interface.
    fn apply(&mut self) {
        let Some(interface) = &mut self.interface else { return };
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            let _ = self.address.map(|address| addresses.push(address.into()));
        });
        interface.routes_mut().remove_default_ipv4_route();
        if let Some(gateway) = self.gateway {
            let _ = interface.routes_mut().add_default_ipv4_route(gateway);
        }
    }

    /// Tells the log and the neighbours whose the address is: they may remember another hardware address for it.
    fn announce<T: Traps>(&mut self, device: &mut Device<T>, host: &impl Host) {
        let Some((address, interface)) = self.address.zip(self.interface.as_ref()) else { return };
        let HardwareAddress::Ethernet(mac) = interface.hardware_addr();
        match self.gateway {
            Some(gateway) => host.log(format_args!("address {address}, gateway {gateway}")),
            None => host.log(format_args!("address {address}")),
        }
        device.send(&gratuitous_arp(mac, address.address()));
    }
}

fn dhcp_client() -> dhcpv4::Socket<'static> {
    let mut client = dhcpv4::Socket::new();
    let mut retry = dhcpv4::RetryConfig::default();
    retry.discover_timeout = DHCP_PATIENCE;
    retry.initial_request_timeout = DHCP_PATIENCE;
    client.set_retry_config(retry);
    client
}

/// A number that differs from boot to boot, as far as time and hardware address do. It is no secret.
fn seed(now: u64, mac: [u8; 6]) -> u64 {
    mac.iter().fold(now, |seed, &byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

/// A question for the own address, to nobody and everybody (RFC 5227, 3).
fn gratuitous_arp(mac: EthernetAddress, address: Ipv4Address) -> [u8; 42] {
    let mut bytes = [0; 42];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_src_addr(mac);
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    frame.set_ethertype(EthernetProtocol::Arp);
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: mac,
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: address,
    };
    arp.emit(&mut ArpPacket::new_unchecked(bytes.get_mut(ETHERNET..).unwrap_or_default()));
    bytes
}

//! Pings, UDP and DHCP through the whole stack.

mod common;

use common::{CONFIG, OWN, PEER, World, answer, done, run};
use ipc::socket::{FULL, IN_USE};
use net::peer::Peer;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, udp};
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, Icmpv4Packet, Icmpv4Repr, IpAddress, IpEndpoint,
    IpListenEndpoint, Ipv4Address, Ipv4Cidr,
};

/// Sends an echo request of `size` bytes of data, and gives the data of the reply.
fn ping(peer: &mut Peer, handle: smoltcp::iface::SocketHandle, size: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..size).map(|n| n as u8 ^ 0x5a).collect();
    let request = Icmpv4Repr::EchoRequest { ident: 7, seq_no: size as u16, data: &data };
    let socket = peer.socket::<icmp::Socket<'_>>(handle);
    let bytes = socket.send(request.buffer_len(), OWN).unwrap();
    request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
    peer.wait(|peer| {
        let (bytes, from) = peer.socket::<icmp::Socket<'_>>(handle).recv().ok()?;
        let packet = Icmpv4Packet::new_checked(bytes).unwrap();
        let reply = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).unwrap();
        let Icmpv4Repr::EchoReply { seq_no, data, .. } = reply else { panic!("{reply:?}") };
        assert_eq!((from, usize::from(seq_no)), (OWN, size));
        Some(data.to_vec())
    })
}

#[test]
fn pings_of_all_sizes_are_answered() {
    let world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 40_000]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(7)).unwrap();
    let handle = peer.add(socket);
    for size in [0, 1, 56, 1000, 1471, 1472, 1473, 2952, 2961, 4000, 6000, 8000, 16_000] {
        assert_eq!(ping(&mut peer, handle, size).len(), size);
    }
    for size in (0..8000).step_by(97) {
        ping(&mut peer, handle, size);
    }
}

fn udp_socket(port: impl Into<IpListenEndpoint>) -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 20_000]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(port).unwrap();
    socket
}

#[test]
fn datagrams_go_both_ways_whole() {
    let world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let handle = peer.add(udp_socket(9000));
    let (end, mut sockets) = world.sockets(0);
    let socket = sockets.bind(5353).unwrap();
    assert_eq!(done(&end, &mut sockets).port, 5353);
    let address = u32::from(PEER.address());
    for size in [0, 1, 700, 1472] {
        let bytes = vec![size as u8; size];
        assert!(sockets.send_to(socket, address, 9000, &bytes));
        let _ = sockets.flush();
        let from = peer.wait(|peer| {
            let (got, meta) = peer.socket::<udp::Socket<'_>>(handle).recv().ok()?;
            assert_eq!(got, bytes);
            Some(meta.endpoint)
        });
        assert_eq!(from, IpEndpoint::new(OWN, 5353));
        peer.socket::<udp::Socket<'_>>(handle).send_slice(&bytes, from).unwrap();
        peer.poll();
        let mut buffer = [0; 2000];
        let (header, length) =
            run(&end, &mut sockets, |sockets| sockets.receive_from(socket, &mut buffer));
        assert_eq!((header.address, header.port, length), (address, 9000, size));
        assert_eq!(&buffer[..length], &bytes);
    }
    assert!(!sockets.send_to(socket, address, 9000, &[0; 1473]), "longer than a packet");
    // Nobody has these addresses; the datagrams are lost, and nothing else.
    for (address, port) in [(0, 1), (u32::MAX, 9), (0x0a00_03ff, 9), (address, 0), (0xe000_0001, 9)]
    {
        assert!(sockets.send_to(socket, address, port, b"x"));
    }
    sockets.close(socket);
    done(&end, &mut sockets);
}

#[test]
fn udp_ports_are_taken_chosen_and_counted() {
    let world = World::new(CONFIG, 1);
    let (end, mut sockets) = world.sockets(0);
    sockets.bind(53).unwrap();
    done(&end, &mut sockets);
    sockets.bind(53).unwrap();
    assert_eq!(answer(&end, &mut sockets).status, IN_USE);
    let mut ports = vec![53];
    let refused = loop {
        sockets.bind(0).unwrap();
        let answer = answer(&end, &mut sockets);
        if answer.status != 0 {
            break answer.status;
        }
        assert!(answer.port >= 49_152 && !ports.contains(&answer.port));
        ports.push(answer.port);
    };
    assert_eq!((refused, ports.len()), (FULL, 16));
}

/// Answers one DHCP message with an offer or an acknowledgement of `address`.
fn serve_dhcp(peer: &mut Peer, handle: smoltcp::iface::SocketHandle, address: Ipv4Address) {
    let own = PEER.address();
    let reply = peer.wait(|peer| {
        let (bytes, _) = peer.socket::<udp::Socket<'_>>(handle).recv().ok()?;
        let packet = DhcpPacket::new_checked(bytes).unwrap();
        let asked = DhcpRepr::parse(&packet).unwrap();
        let kind = match asked.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request => DhcpMessageType::Ack,
            other => panic!("{other:?}"),
        };
        let reply = DhcpRepr {
            message_type: kind,
            transaction_id: asked.transaction_id,
            secs: 0,
            client_hardware_address: asked.client_hardware_address,
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: address,
            server_ip: own,
            router: Some(own),
            subnet_mask: Some(Ipv4Address::new(255, 255, 255, 0)),
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: true,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(own),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: Some(3600),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        let mut bytes = vec![0; reply.buffer_len()];
        reply.emit(&mut DhcpPacket::new_unchecked(&mut bytes)).unwrap();
        Some(bytes)
    });
    let everybody = IpEndpoint::new(IpAddress::Ipv4(Ipv4Address::BROADCAST), 68);
    peer.socket::<udp::Socket<'_>>(handle).send_slice(&reply, everybody).unwrap();
    peer.poll();
}

#[test]
fn an_address_comes_by_dhcp_and_clients_are_rung() {
    let world = World::new("dhcp=true", 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let handle = peer.add(udp_socket(67));
    let (end, mut sockets) = world.sockets(0);
    let client = ipc::socket::Client::new(end, common::SERVER);
    assert!(client.address().is_err());
    for _ in 0..2 {
        serve_dhcp(&mut peer, handle, Ipv4Address::new(10, 0, 3, 77));
    }
    let address = run(&end, &mut sockets, |_| client.address().ok());
    assert_eq!(address, (0x0a00_034d, 24, u32::from(PEER.address())));
    let line = world.place.0.lock().unwrap().concat();
    assert!(line.contains("address 10.0.3.77/24, gateway 10.0.3.9"), "{line}");
}

#[test]
fn an_address_that_no_host_may_have_is_not_taken() {
    let world = World::new("dhcp=true", 1);
    let mut peer = Peer::new(&world.cable, Ipv4Cidr::new(PEER.address(), 24));
    let handle = peer.add(udp_socket(67));
    let (end, _) = world.sockets(0);
    let client = ipc::socket::Client::new(end, common::SERVER);
    for address in [Ipv4Address::BROADCAST, Ipv4Address::new(224, 0, 0, 9)] {
        serve_dhcp(&mut peer, handle, address);
        assert!(client.address().is_err());
    }
    for _ in 0..2 {
        serve_dhcp(&mut peer, handle, Ipv4Address::new(10, 0, 3, 78));
    }
    peer.wait(|_| client.address().ok());
}

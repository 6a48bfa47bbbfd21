//! TCP through the whole stack: a client's sockets on one side, another host on the other.

mod common;

use std::collections::HashMap;

use common::{CONFIG, OWN, PEER, World, answer, done, run};
use ipc::loopback::End;
use ipc::socket::client::Sockets;
use ipc::socket::{BROKEN, CLOSED, ENDED, IN_USE, OPEN, REFUSED, UNREACHABLE};
use net::peer::Peer;
use smoltcp::socket::tcp::State;

fn world() -> (World, Peer) {
    let world = World::new(CONFIG, 2);
    let peer = Peer::new(&world.cable, PEER);
    (world, peer)
}

/// A client that listens at port 80.
fn listening(world: &World) -> (End, Sockets<End>, u16) {
    let (end, mut sockets) = world.sockets(0);
    let listener = sockets.listen(80, 32).unwrap();
    done(&end, &mut sockets);
    (end, sockets, listener)
}

/// A connection, both ends of it.
fn connected(
    world: &World,
    peer: &mut Peer,
) -> (End, Sockets<End>, u16, smoltcp::iface::SocketHandle) {
    let (end, mut sockets, listener) = listening(world);
    let socket = sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    let handle = peer.connect(OWN, 80, 65_536);
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    let accepted = done(&end, &mut sockets);
    assert_eq!((accepted.socket, accepted.address), (socket, u32::from(PEER.address())));
    (end, sockets, socket, handle)
}

/// Sends all of `bytes`.
fn send(end: &End, sockets: &mut Sockets<End>, socket: u16, mut bytes: &[u8]) {
    run(end, sockets, |sockets| {
        bytes = &bytes[sockets.send(socket, bytes)..];
        sockets.wait_for_room(socket, 1);
        bytes.is_empty().then_some(())
    });
}

/// Receives `count` bytes.
fn receive(end: &End, sockets: &mut Sockets<End>, socket: u16, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    run(end, sockets, |sockets| {
        let mut buffer = [0; 1500];
        let got = sockets.receive(socket, &mut buffer);
        all.extend_from_slice(&buffer[..got]);
        (all.len() >= count).then_some(())
    });
    all
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn bytes_go_both_ways() {
    let (world, mut peer) = world();
    let (end, mut sockets, socket, handle) = connected(&world, &mut peer);
    peer.send(handle, b"question");
    peer.poll();
    assert_eq!(receive(&end, &mut sockets, socket, 8), b"question");
    send(&end, &mut sockets, socket, b"answer");
    assert_eq!(peer.receive(handle, |all| all.len() >= 6), b"answer");
}

#[test]
fn the_address_is_told_and_logged() {
    let (world, _) = world();
    let (end, wire) = world.client(0);
    let client = ipc::socket::Client::new(end, wire.handle);
    assert_eq!(client.address(), Ok((0x0a00_030f, 24, 0x0a00_0302)));
    let lines = world.place.0.lock().unwrap();
    assert!(lines.iter().any(|line| line.starts_with("address 10.0.3.15/24, gateway 10.0.3.2")));
}

#[test]
fn megabytes_arrive_as_they_were_sent() {
    let (world, mut peer) = world();
    let (end, mut sockets, socket, handle) = connected(&world, &mut peer);
    let bytes = pattern(3 << 20);
    let sent = bytes.clone();
    let thread = std::thread::spawn(move || {
        send(&end, &mut sockets, socket, &sent);
        sockets.shutdown(socket);
        done(&end, &mut sockets);
        let back = receive(&end, &mut sockets, socket, 1 << 20);
        (back, world)
    });
    assert!(peer.receive(handle, |_| false) == bytes);
    peer.send(handle, &bytes[..1 << 20]);
    while !thread.is_finished() {
        peer.poll();
    }
    assert!(thread.join().unwrap().0 == bytes[..1 << 20]);
}

#[test]
fn a_loss_is_made_good() {
    let (world, mut peer) = world();
    let (end, mut sockets, socket, handle) = connected(&world, &mut peer);
    world.cable.cut(true);
    peer.send(handle, b"lost");
    send(&end, &mut sockets, socket, b"lost too");
    peer.poll();
    std::thread::sleep(std::time::Duration::from_millis(20));
    world.cable.cut(false);
    assert_eq!(peer.receive(handle, |all| all.len() >= 8), b"lost too");
    let thread = std::thread::spawn(move || receive(&end, &mut sockets, socket, 4));
    while !thread.is_finished() {
        peer.poll();
    }
    assert_eq!(thread.join().unwrap(), b"lost");
}

#[test]
fn the_end_of_a_stream_is_seen_after_its_last_byte() {
    let (world, mut peer) = world();
    let (end, mut sockets, socket, handle) = connected(&world, &mut peer);
    assert_eq!(sockets.state(socket), OPEN);
    peer.send(handle, b"last words");
    peer.tcp(handle).close();
    peer.poll();
    run(&end, &mut sockets, |sockets| (sockets.state(socket) == ENDED).then_some(()));
    assert_eq!(receive(&end, &mut sockets, socket, 10), b"last words");
    send(&end, &mut sockets, socket, b"farewell");
    sockets.close(socket);
    done(&end, &mut sockets);
    assert_eq!(peer.receive(handle, |_| false), b"farewell");
    peer.wait(|peer| (peer.tcp(handle).state() != State::FinWait2).then_some(()));
}

#[test]
fn an_abort_is_a_reset_and_a_reset_breaks() {
    let (world, mut peer) = world();
    let (end, mut sockets, socket, handle) = connected(&world, &mut peer);
    sockets.abort(socket);
    done(&end, &mut sockets);
    peer.wait(|peer| (peer.tcp(handle).state() == State::Closed).then_some(()));
    peer.forget(handle);

    let (world, mut peer) = self::world();
    let (end, mut sockets, socket, handle) = connected(&world, &mut peer);
    peer.tcp(handle).abort();
    peer.poll();
    run(&end, &mut sockets, |sockets| (sockets.state(socket) == BROKEN).then_some(()));
    sockets.close(socket);
    done(&end, &mut sockets);
}

#[test]
fn sixty_four_connections_open_at_the_same_moment() {
    let (world, mut peer) = world();
    let (end, mut sockets) = world.sockets(0);
    let listener = sockets.listen(80, 64).unwrap();
    done(&end, &mut sockets);
    let handles: Vec<_> = (0..64).map(|_| peer.connect(OWN, 80, 4096)).collect();
    peer.wait(|peer| handles.iter().all(|&handle| peer.tcp(handle).may_send()).then_some(()));
    for _ in 0..64 {
        sockets.accept(listener).unwrap();
    }
    let mut by_port = HashMap::new();
    for _ in 0..64 {
        let accepted = done(&end, &mut sockets);
        by_port.insert(accepted.port, accepted.socket);
    }
    for &handle in &handles {
        let port = peer.tcp(handle).local_endpoint().unwrap().port;
        let text = format!("hello {port}");
        peer.send(handle, text.as_bytes());
        peer.poll();
        assert_eq!(receive(&end, &mut sockets, by_port[&port], text.len()), text.as_bytes());
    }
}

#[test]
fn sockets_are_used_again_and_never_show_old_bytes() {
    let (world, mut peer) = world();
    let (end, mut sockets, listener) = listening(&world);
    for round in 0..300 {
        let socket = sockets.accept(listener).unwrap();
        let _ = sockets.flush();
        let handle = peer.connect(OWN, 80, 4096);
        peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
        let text = format!("round {round}, of which only a part is read");
        peer.send(handle, text.as_bytes());
        done(&end, &mut sockets);
        peer.poll();
        let mut part = [0; 8];
        let got = run(&end, &mut sockets, |sockets| {
            let got = sockets.receive(socket, &mut part);
            (got > 0).then_some(got)
        });
        assert_eq!(&part[..got], &text.as_bytes()[..got]);
        send(&end, &mut sockets, socket, b"bye");
        sockets.close(socket);
        done(&end, &mut sockets);
        assert_eq!(peer.receive(handle, |_| false), b"bye");
        peer.tcp(handle).close();
        peer.poll();
        peer.forget(handle);
    }
}

#[test]
fn what_nobody_listens_for_is_refused() {
    let (_world, mut peer) = world();
    let handle = peer.connect(OWN, 81, 4096);
    peer.wait(|peer| (peer.tcp(handle).state() == State::Closed).then_some(()));
}

#[test]
fn a_port_has_one_listener_and_is_free_again_after_it() {
    let (world, _) = world();
    let (end, mut sockets, listener) = listening(&world);
    let (other_end, mut other) = world.sockets(1);
    other.listen(80, 1).unwrap();
    assert_eq!(answer(&other_end, &mut other).status, IN_USE);
    let waiting = sockets.accept(listener).unwrap();
    sockets.close(listener);
    let mut answers = [answer(&end, &mut sockets), answer(&end, &mut sockets)];
    answers.sort_by_key(|answer| answer.kind);
    assert_eq!((answers[0].socket, answers[0].status), (waiting, CLOSED));
    other.listen(80, 1).unwrap();
    done(&other_end, &mut other);
}

#[test]
fn a_client_connects_and_is_told_when_it_cannot() {
    let (world, mut peer) = world();
    let (end, mut sockets) = world.sockets(0);
    let mut listening = smoltcp::socket::tcp::Socket::new(
        smoltcp::socket::tcp::SocketBuffer::new(vec![0; 4096]),
        smoltcp::socket::tcp::SocketBuffer::new(vec![0; 4096]),
    );
    listening.listen(7).unwrap();
    let handle = peer.add(listening);
    let thread = std::thread::spawn(move || {
        let address = u32::from(PEER.address());
        let socket = sockets.connect(address, 7).unwrap();
        assert_eq!(done(&end, &mut sockets).port, 7);
        send(&end, &mut sockets, socket, b"hello");
        sockets.connect(address, 8).unwrap();
        assert_eq!(answer(&end, &mut sockets).status, REFUSED);
        world
    });
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    assert_eq!(peer.receive(handle, |all| all.len() >= 5), b"hello");
    while !thread.is_finished() {
        peer.poll();
    }
    drop(thread.join().unwrap());

    let world = World::new("address=10.0.3.15/24", 1);
    let (end, mut sockets) = world.sockets(0);
    sockets.connect(0x0808_0808, 53).unwrap();
    assert_eq!(answer(&end, &mut sockets).status, UNREACHABLE);
}

#[test]
fn a_slow_reader_stops_the_sender_and_not_the_others() {
    let (world, mut peer) = world();
    let (end, mut sockets, listener) = listening(&world);
    let (slow, quick) = (sockets.accept(listener).unwrap(), sockets.accept(listener).unwrap());
    let _ = sockets.flush();
    let first = peer.connect(OWN, 80, 1024);
    peer.wait(|peer| peer.tcp(first).may_send().then_some(()));
    done(&end, &mut sockets);
    let second = peer.connect(OWN, 80, 65_536);
    peer.wait(|peer| peer.tcp(second).may_send().then_some(()));
    done(&end, &mut sockets);
    let flood = pattern(1 << 20);
    let mut sent = 0;
    for _ in 0..50 {
        sent += sockets.send(slow, &flood[sent..]);
        let _ = sockets.flush();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(sent < 100_000, "{sent} bytes went to a peer that reads nothing");
    send(&end, &mut sockets, quick, b"not held up");
    assert_eq!(peer.receive(second, |all| all.len() >= 11), b"not held up");
}

//! Restarts, clients that misbehave, and frames that nobody should send: the stack goes on.

mod common;

use common::{CONFIG, OWN, PEER, World, done, run};
use ipc::loopback::End;
use ipc::socket::client::Sockets;
use ipc::socket::{BROKEN, HEADERS, SOCKETS, headers_of};
use ipc::supervisor::EventKind;
use net::peer::{MAC, Peer};
use smoltcp::socket::tcp::State;

/// A small generator of numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }
}

fn listen(world: &World, client: u16, port: u16) -> (End, Sockets<End>, u16) {
    let (end, mut sockets) = world.sockets(client);
    let listener = sockets.listen(port, 32).unwrap();
    done(&end, &mut sockets);
    (end, sockets, listener)
}

/// Whether a connection to `port` gets an answer from a client that says hello.
fn is_served(peer: &mut Peer, end: &End, sockets: &mut Sockets<End>, listener: u16, port: u16) {
    let socket = sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    let handle = peer.connect(OWN, port, 4096);
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    done(end, sockets);
    assert_eq!(sockets.send(socket, b"hello"), 5);
    sockets.close(socket);
    done(end, sockets);
    assert_eq!(peer.receive(handle, |_| false), b"hello");
    peer.tcp(handle).close();
    peer.poll();
    peer.forget(handle);
}

#[test]
fn a_new_session_begins_with_nothing() {
    let world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    let handle = peer.connect(OWN, 80, 4096);
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    done(&end, &mut sockets);
    let wire = ipc::Wire { handle: common::SERVER, bits: 1, ..world.bells[0] };
    let mut again = Sockets::open(end, wire).unwrap();
    assert!(!sockets.is_current() && again.is_current());
    peer.wait(|peer| (peer.tcp(handle).state() == State::Closed).then_some(()));
    let listener = again.listen(80, 32).unwrap();
    done(&end, &mut again);
    is_served(&mut peer, &end, &mut again, listener, 80);
}

#[test]
fn a_client_that_is_gone_leaves_nothing_behind() {
    let world = World::new(CONFIG, 2);
    let mut peer = Peer::new(&world.cable, PEER);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    let handle = peer.connect(OWN, 80, 4096);
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    done(&end, &mut sockets);
    world.events.0.lock().unwrap().push((EventKind::Closed, abi::Badge::new(0, 0, 1)));
    world.net.set_bits(abi::trap::BIT_CONTROL);
    peer.wait(|peer| (peer.tcp(handle).state() == State::Closed).then_some(()));
    assert!(!sockets.is_current());
    let (end, mut other, listener) = listen(&world, 1, 80);
    is_served(&mut peer, &end, &mut other, listener, 80);
}

#[test]
fn a_client_sees_that_the_stack_is_a_new_one() {
    let mut world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    world.stop();
    world.start(CONFIG);
    run(&end, &mut sockets, |sockets| (!sockets.is_current()).then_some(()));
    let wire = ipc::Wire { handle: common::SERVER, bits: 1, ..world.bells[0] };
    let mut sockets = Sockets::open(end, wire).unwrap();
    let listener = sockets.listen(80, 32).unwrap();
    done(&end, &mut sockets);
    is_served(&mut peer, &end, &mut sockets, listener, 80);
}

#[test]
fn connections_outlive_a_restart_of_the_driver() {
    let world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    let socket = sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    let handle = peer.connect(OWN, 80, 4096);
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    done(&end, &mut sockets);
    // Each restart may lose a segment, and each loss doubles the time until the next: four stay below the limit.
    for round in 0..4u8 {
        world.cable.restart_card();
        assert_eq!(sockets.send(socket, &[round]), 1);
        let _ = sockets.flush();
        assert_eq!(peer.receive(handle, |all| !all.is_empty()), [round]);
    }
    is_served(&mut peer, &end, &mut sockets, listener, 80);
}

#[test]
fn random_bytes_in_a_clients_memory_cost_only_that_client() {
    let world = World::new(CONFIG, 2);
    let mut peer = Peer::new(&world.cable, PEER);
    let (good_end, mut good, listener) = listen(&world, 1, 80);
    let mut dice = Dice(0x1234_5678_9abc_def1);
    for round in 0..60 {
        let (end, mut bad) = world.sockets(0);
        bad.listen(81, 8);
        bad.bind(9);
        let _ = bad.flush();
        let up = world.bells[0].up;
        for _ in 0..200 {
            let at =
                if dice.below(2) == 0 { dice.below(64) * 4 } else { dice.below(HEADERS / 4) * 4 };
            up.store_u32_release(at, dice.roll() as u32);
            if dice.below(4) == 0 {
                world.bells[0]
                    .up
                    .store_u32_release(headers_of(dice.below(SOCKETS.into()) as u16), 9);
            }
            abi::Traps::notify(&end, common::SERVER);
        }
        if round % 10 == 0 {
            is_served(&mut peer, &good_end, &mut good, listener, 80);
        }
    }
    assert!(good.is_current());
    let lines = world.place.0.lock().unwrap();
    assert!(lines.iter().any(|line| line == "client 0 broke its session"), "{lines:?}");
}

#[test]
fn random_frames_change_nothing() {
    let world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    is_served(&mut peer, &end, &mut sockets, listener, 80);
    let mut dice = Dice(0xfeed_beef_1234_5679);
    for round in 0..20_000 {
        let mut frame: Vec<u8> = (0..dice.below(200)).map(|_| dice.roll() as u8).collect();
        let header =
            [&MAC[..], &[2, 0, 0, 0, 0, 9], &[8, [0, 6][dice.below(2)]], &[0x45, 0]].concat();
        frame.splice(..header.len().min(frame.len()), header);
        if frame.len() > 34 {
            let length = (frame.len() - 14) as u16;
            frame[16..18].copy_from_slice(&length.to_be_bytes());
            frame[20] &= [0xff, 0][dice.below(2)];
            frame[23] = [1, 6, 17, 2][dice.below(4)];
            frame[26..34].copy_from_slice(&[10, 0, 3, 9, 10, 0, 3, 15]);
            frame[24..26].fill(0);
            let sum = !smoltcp::wire::checksum::data(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        peer.send_frame(frame);
        if round % 1000 == 0 {
            while world.cable.receive().is_some() {}
            is_served(&mut peer, &end, &mut sockets, listener, 80);
        }
    }
    is_served(&mut peer, &end, &mut sockets, listener, 80);
}

#[test]
fn random_segments_change_nothing() {
    let world = World::new(CONFIG, 1);
    let mut peer = Peer::new(&world.cable, PEER);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    is_served(&mut peer, &end, &mut sockets, listener, 80);
    sockets.accept(listener).unwrap();
    let _ = sockets.flush();
    let live = peer.connect(OWN, 80, 4096);
    peer.wait(|peer| peer.tcp(live).may_send().then_some(()));
    done(&end, &mut sockets);
    let live = peer.tcp(live).local_endpoint().unwrap().port;
    // The card vouches for their checksums, so they reach the connections.
    world.cable.vouch(ipc::nic::CHECKSUM_VALID);
    let mut dice = Dice(0x5151_7272_9393_1b1b);
    for round in 0..6000 {
        let options = 4 * dice.below(11);
        let payload = dice.below(64);
        let mut frame = vec![0; 14 + 20 + 20 + options + payload];
        frame[..14].copy_from_slice(&[&MAC[..], &[2, 0, 0, 0, 0, 9], &[8, 0]].concat());
        let length = (frame.len() - 14) as u16;
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&length.to_be_bytes());
        (frame[22], frame[23]) = (64, 6);
        frame[26..34].copy_from_slice(&[10, 0, 3, 9, 10, 0, 3, 15]);
        let sum = !smoltcp::wire::checksum::data(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame[34..].fill_with(|| dice.roll() as u8);
        let source = [live, 1000 + dice.below(9) as u16, dice.roll() as u16][dice.below(3)];
        frame[34..36].copy_from_slice(&source.to_be_bytes());
        frame[36..38].copy_from_slice(&80u16.to_be_bytes());
        frame[46] =
            [((5 + options / 4) << 4) as u8, dice.roll() as u8][usize::from(dice.below(8) == 0)];
        frame[47] = [2, 0x10, 0x12, 0x11, 0x18, 4, dice.roll() as u8][dice.below(7)];
        peer.send_frame(frame);
        if round % 3000 == 2999 {
            while world.cable.receive().is_some() {}
            std::thread::sleep(std::time::Duration::from_millis(1200));
            is_served(&mut peer, &end, &mut sockets, listener, 80);
        }
    }
}

#[test]
fn half_open_connections_do_not_keep_others_out() {
    let world = World::new(CONFIG, 1);
    let (end, mut sockets, listener) = listen(&world, 0, 80);
    // Peers that ask and never go on.
    for last in 20..220u8 {
        let address = smoltcp::wire::Ipv4Cidr::new([10, 0, 3, last].into(), 24);
        let mut silent = Peer::new(&world.cable, address);
        silent.connect(OWN, 80, 1024);
        silent.wait(|silent| {
            silent.poll();
            Some(())
        });
    }
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut peer = Peer::new(&world.cable, PEER);
    while world.cable.receive().is_some() {}
    is_served(&mut peer, &end, &mut sockets, listener, 80);
    assert_ne!(sockets.state(listener), BROKEN);
}

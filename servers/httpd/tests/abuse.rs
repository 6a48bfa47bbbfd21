//! Many, slow, silent and rude clients, and servers that are started again: the others are served.

mod common;

use common::{Response, World, connect, exchange, get, pattern};
use net::peer::Peer;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn connect_all(peer: &mut Peer, count: usize) -> Vec<SocketHandle> {
    let first = connect(peer);
    peer.tcp(first).close();
    let handles: Vec<_> = (0..count).map(|_| peer.connect(common::OWN, 80, 4096)).collect();
    peer.wait(|peer| handles.iter().all(|&handle| peer.tcp(handle).may_send()).then_some(()));
    handles
}

#[test]
fn sixty_four_clients_are_served_at_the_same_time() {
    let content = pattern(30_000, 1);
    let world = World::new(&[("f.bin", content.clone())]);
    let mut peer = world.host();
    let handles = connect_all(&mut peer, 64);
    for round in 0..5 {
        let target = ["/", "/files/f.bin"][round % 2];
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        for &handle in &handles {
            peer.send(handle, request.as_bytes());
        }
        let mut answers: Vec<Vec<u8>> = vec![Vec::new(); 64];
        peer.wait(|peer| {
            for (&handle, all) in handles.iter().zip(&mut answers) {
                let _ = peer.tcp(handle).recv(|bytes| {
                    all.extend_from_slice(bytes);
                    (bytes.len(), ())
                });
            }
            answers.iter().all(|all| Response::parse(all, false).is_some()).then_some(())
        });
        for all in &answers {
            let (response, length) = Response::parse(all, false).unwrap();
            assert_eq!((response.status, length), (200, all.len()));
            assert!(round % 2 == 0 || response.body == content);
        }
    }
}

#[test]
fn hundreds_of_connections_come_and_go() {
    let world = World::new(&[]);
    let mut peer = world.host();
    for _ in 0..300 {
        assert_eq!(get(&mut peer, "/status.json").status, 200);
    }
}

#[test]
fn a_client_that_waits_for_the_disk_holds_up_no_other() {
    let world = World::new(&[("cold.bin", pattern(300_000, 2)), ("warm.txt", b"warm".to_vec())]);
    let mut peer = world.host();
    assert_eq!(get(&mut peer, "/files/warm.txt").text(), "warm");
    world.control.hold(true);
    let waiting: Vec<_> = connect_all(&mut peer, 20);
    for &handle in &waiting {
        peer.send(
            handle,
            b"GET /files/cold.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=200000-\r\n\r\n",
        );
    }
    peer.poll();
    let handle = connect(&mut peer);
    for _ in 0..50 {
        assert_eq!(exchange(&mut peer, handle, GET).status, 200);
        let warm = exchange(&mut peer, handle, "GET /files/warm.txt HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(warm.text(), "warm");
    }
    world.control.hold(false);
    for handle in waiting {
        let bytes = peer.receive(handle, |all| Response::parse(all, false).is_some());
        assert_eq!(Response::parse(&bytes, false).unwrap().0.body.len(), 100_000);
    }
}

#[test]
fn clients_that_read_nothing_hold_up_no_other() {
    let world = World::new(&[("large.bin", pattern(3_000_000, 3))]);
    let mut peer = world.host();
    let slow = connect_all(&mut peer, 40);
    for &handle in &slow {
        peer.send(handle, b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    peer.poll();
    let response = get(&mut peer, "/files/large.bin");
    assert!(response.body == pattern(3_000_000, 3));
    world.skip(21);
    peer.wait(|peer| {
        slow.iter().all(|&handle| peer.tcp(handle).state() == State::Closed).then_some(())
    });
}

#[test]
fn slow_heads_are_timed_out_and_hold_up_no_other() {
    let world = World::new(&[]);
    let mut peer = world.host();
    let slow = connect_all(&mut peer, 40);
    for &handle in &slow {
        peer.send(handle, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:");
    }
    peer.poll();
    assert_eq!(get(&mut peer, "/").status, 200);
    for &handle in &slow {
        peer.send(handle, b" y");
    }
    peer.poll();
    std::thread::sleep(std::time::Duration::from_millis(50));
    world.skip(11);
    for handle in slow {
        let bytes = peer.receive(handle, |_| false);
        assert_eq!(Response::parse(&bytes, false).unwrap().0.status, 408);
    }
}

#[test]
fn silent_connections_end() {
    let world = World::new(&[]);
    let mut peer = world.host();
    let silent = connect_all(&mut peer, 30);
    let kept = connect(&mut peer);
    exchange(&mut peer, kept, GET);
    std::thread::sleep(std::time::Duration::from_millis(50));
    world.skip(16);
    for handle in silent {
        assert_eq!(peer.receive(handle, |_| false), b"");
    }
    assert_eq!(peer.receive(kept, |_| false), b"");
}

#[test]
fn when_all_places_are_taken_the_idle_make_room() {
    let world = World::new(&[]);
    let mut peer = world.host();
    let first = connect(&mut peer);
    peer.tcp(first).close();
    // More connections than there are sockets: the rest waits in the stack.
    let many: Vec<_> = (0..90).map(|_| peer.connect(common::OWN, 80, 1024)).collect();
    peer.wait(|peer| {
        let open = many.iter().filter(|&&handle| peer.tcp(handle).may_send()).count();
        (open >= 90).then_some(())
    });
    let handle = peer.connect(common::OWN, 80, 4096);
    peer.wait(|peer| peer.tcp(handle).may_send().then_some(()));
    peer.send(handle, GET.as_bytes());
    for _ in 0..40 {
        world.skip(2);
        std::thread::sleep(std::time::Duration::from_millis(20));
        peer.poll();
    }
    let bytes = peer.receive(handle, |all| Response::parse(all, false).is_some());
    assert_eq!(Response::parse(&bytes, false).expect("a response").0.status, 200);
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let world = World::new(&[("large.bin", pattern(1_000_000, 5))]);
    let mut peer = world.host();
    for round in 0..150 {
        let handle = connect(&mut peer);
        peer.send(handle, b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
        if round % 3 > 0 {
            peer.receive(handle, |all| all.len() > 1000);
        }
        if round % 2 == 0 {
            peer.tcp(handle).abort()
        } else {
            peer.tcp(handle).close()
        };
        peer.poll();
        peer.forget(handle);
    }
    assert!(get(&mut peer, "/files/large.bin").body == pattern(1_000_000, 5));
}

#[test]
fn a_new_network_is_served() {
    let world = World::new(&[]);
    let mut peer = world.host();
    let kept = connect(&mut peer);
    exchange(&mut peer, kept, GET);
    for _ in 0..3 {
        world.start_net();
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert_eq!(get(&mut peer, "/").status, 200);
    }
    assert!(
        world.place.0.lock().unwrap().iter().any(|line| line == "the network was started again")
    );
}

#[test]
fn a_new_file_system_is_asked() {
    let content = pattern(200_000, 6);
    let world = World::new(&[("f.bin", content.clone())]);
    let mut peer = world.host();
    for _ in 0..3 {
        assert!(get(&mut peer, "/files/f.bin").body == content);
        world.start_fs();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(get(&mut peer, "/files/f.bin").body == content);
}

//! Requests, answers, and restarts of either side.
#![cfg(not(loom))]

use shared::queue::{Client, Error, Layout, Server};
use shared::{HostMemory, PAGE, precedes};

const LAYOUT: Layout = Layout::new(8);

struct Parts {
    up: HostMemory,
    down: HostMemory,
}

impl Parts {
    fn new() -> Self {
        Self { up: HostMemory::new(4 * PAGE), down: HostMemory::new(4 * PAGE) }
    }

    fn client(&self) -> Client<u64, u64> {
        Client::open(LAYOUT, self.up.memory(), self.down.memory()).unwrap()
    }

    fn server(&self) -> Server<u64, u64> {
        Server::open(LAYOUT, self.up.memory(), self.down.memory()).unwrap()
    }
}

#[test]
fn requests_are_answered_in_any_order() {
    let parts = Parts::new();
    let (mut client, mut server) = (parts.client(), parts.server());
    for request in 0..8 {
        client.submit(&request).unwrap();
    }
    assert_eq!(client.submit(&8), Err(Error::Full));
    let _ = client.publish();
    let mut taken: Vec<u64> = std::iter::from_fn(|| server.take().unwrap()).collect();
    assert_eq!(taken, (0..8).collect::<Vec<_>>());
    taken.reverse();
    for request in taken {
        server.answer(&(request * 10)).unwrap();
    }
    assert_eq!(server.answer(&0), Err(Error::Full));
    let _ = server.publish();
    let answers: Vec<u64> = std::iter::from_fn(|| client.complete().unwrap()).collect();
    assert_eq!(answers, (0..8).rev().map(|request| request * 10).collect::<Vec<_>>());
    assert_eq!(client.open_requests(), 0);
}

#[test]
fn a_client_that_takes_no_answers_stalls_only_itself() {
    let parts = Parts::new();
    let (mut client, mut server) = (parts.client(), parts.server());
    for request in 0..8 {
        client.submit(&request).unwrap();
    }
    let _ = client.publish();
    while server.take().unwrap().is_some() {
        server.answer(&1).unwrap();
    }
    let _ = server.publish();
    client.forget(8);
    client.submit(&8).unwrap();
    let _ = client.publish();
    assert_eq!(server.take(), Ok(None));
    assert_eq!(server.arm(), Ok(false));
    client.complete().unwrap();
    assert!(client.publish());
    assert_eq!(server.take(), Ok(Some(8)));
}

#[test]
fn the_data_follow_the_entries() {
    let parts = Parts::new();
    let (client, server) = (parts.client(), parts.server());
    assert_eq!(LAYOUT.data::<u64>(), 2 * PAGE);
    assert_eq!(Layout::new(1024).data::<u64>(), 3 * PAGE);
    client.up().write(0, &0x55_u8);
    server.down().write(1, &0x66_u8);
    assert_eq!(server.up().read::<u8>(0), 0x55);
    assert_eq!(client.down().read::<u8>(1), 0x66);
}

#[test]
fn what_a_dead_server_had_taken_is_submitted_again_and_nothing_else() {
    let parts = Parts::new();
    let (mut client, mut server) = (parts.client(), parts.server());
    assert_eq!(client.restarted(), Ok(Some(0)));
    let mut open: Vec<(u32, u64)> =
        (0..6).map(|request| (client.submit(&request).unwrap(), request)).collect();
    let _ = client.publish();
    for _ in 0..3 {
        server.take().unwrap();
    }
    server.answer(&0).unwrap();
    let _ = server.publish();

    let mut server = parts.server();
    assert_eq!(client.complete(), Ok(Some(0)));
    open.remove(0);
    let begun = client.restarted().unwrap().unwrap();
    let lost: Vec<u64> =
        open.iter().filter(|(position, _)| precedes(*position, begun)).map(|open| open.1).collect();
    assert_eq!(lost, [1, 2]);
    client.forget(2);
    for request in lost {
        client.submit(&request).unwrap();
    }
    let _ = client.publish();
    let taken: Vec<u64> = std::iter::from_fn(|| server.take().unwrap()).collect();
    assert_eq!(taken, [3, 4, 5, 1, 2]);
    assert_eq!(client.open_requests(), 5);
    assert_eq!(client.restarted(), Ok(None));
}

#[test]
fn a_server_learns_where_a_restarted_client_began() {
    let parts = Parts::new();
    let (mut client, mut server) = (parts.client(), parts.server());
    server.restarted().unwrap();
    for request in 0..3 {
        client.submit(&request).unwrap();
    }
    let _ = client.publish();
    server.take().unwrap();
    let mut client = parts.client();
    client.submit(&100).unwrap();
    let _ = client.publish();
    assert_eq!(server.restarted(), Ok(Some(3)));
    server.forget(1);
    while precedes(server.position(), 3) {
        server.take().unwrap();
        server.forget(1);
    }
    assert_eq!(server.take(), Ok(Some(100)));
    assert_eq!(server.open_requests(), 1);
}

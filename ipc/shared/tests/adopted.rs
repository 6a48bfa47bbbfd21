//! Ends that change hands in a swap: the other side sees nothing of it.
#![cfg(not(loom))]

use std::collections::VecDeque;

use proptest::prelude::{any, proptest};
use shared::queue::{Client, Error, Layout, Server};
use shared::ring::Parts;
use shared::{HostMemory, PAGE, bytes};

const LAYOUT: Layout = Layout::new(8);

struct Queue {
    up: HostMemory,
    down: HostMemory,
    client: Client<u64, u64>,
    server: Server<u64, u64>,
}

impl Queue {
    fn new() -> Self {
        let (up, down) = (HostMemory::new(4 * PAGE), HostMemory::new(4 * PAGE));
        let client = Client::open(LAYOUT, up.memory(), down.memory()).unwrap();
        let server = Server::open(LAYOUT, up.memory(), down.memory()).unwrap();
        let mut queue = Self { up, down, client, server };
        // The first start counts as one.
        assert_eq!(queue.client.restarted(), Ok(Some(0)));
        assert_eq!(queue.server.restarted(), Ok(None));
        queue
    }

    fn swap_client(&mut self) {
        let kept = self.client.kept();
        self.client = Client::adopted(LAYOUT, self.up.memory(), self.down.memory(), kept).unwrap();
        self.client.resume().unwrap();
    }

    fn swap_server(&mut self) {
        let kept = self.server.kept();
        self.server = Server::adopted(LAYOUT, self.up.memory(), self.down.memory(), kept).unwrap();
        self.server.resume().unwrap();
    }
}

proptest! {
    #[test]
    fn no_request_and_no_answer_is_lost_or_comes_twice(steps in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut queue = Queue::new();
        let (mut made, mut answered) = (0, Vec::new());
        let mut taken = VecDeque::new();
        for step in steps {
            match step % 6 {
                0 => made += u64::from(queue.client.submit(&made).is_ok()),
                1 => taken.extend(queue.server.take().unwrap()),
                2 => if let Some(request) = taken.pop_front() { queue.server.answer(&request).unwrap(); },
                3 => answered.extend(queue.client.complete().unwrap()),
                4 => {
                    let _ = queue.client.publish();
                    queue.swap_client();
                    assert_eq!(queue.server.restarted(), Ok(None));
                }
                _ => {
                    let _ = queue.server.publish();
                    queue.swap_server();
                    assert_eq!(queue.client.restarted(), Ok(None));
                }
            }
            let _ = (queue.client.publish(), queue.server.publish());
        }
        while answered.len() < made as usize {
            taken.extend(std::iter::from_fn(|| queue.server.take().unwrap()));
            taken.drain(..).for_each(|request| queue.server.answer(&request).unwrap());
            let _ = queue.server.publish();
            answered.extend(std::iter::from_fn(|| queue.client.complete().unwrap()));
            let _ = queue.client.publish();
        }
        assert_eq!(answered, (0..made).collect::<Vec<_>>());
        assert_eq!((queue.client.open_requests(), queue.server.open_requests()), (0, 0));
    }
}

#[test]
fn an_end_does_nothing_before_it_goes_on() {
    let mut queue = Queue::new();
    let (up, down) = (queue.up.memory(), queue.down.memory());
    queue.client.submit(&1).unwrap();
    let _ = queue.client.publish();
    let mut next: Client<u64, u64> =
        Client::adopted(LAYOUT, up, down, queue.client.kept()).unwrap();
    assert_eq!(next.submit(&2), Err(Error::Broken));
    assert_eq!(next.complete(), Err(Error::Broken));
    assert!(!next.publish());
    // The old one goes on instead, if there is no successor.
    queue.client.submit(&3).unwrap();
    let _ = queue.client.publish();
    assert_eq!((queue.server.take(), queue.server.take()), (Ok(Some(1)), Ok(Some(3))));
}

#[test]
fn what_was_to_be_rung_for_is_rung_for() {
    let mut queue = Queue::new();
    assert_eq!(queue.server.arm(), Ok(false));
    queue.swap_server();
    queue.client.submit(&1).unwrap();
    assert!(queue.client.publish(), "the predecessor asked for it");
}

#[test]
fn a_restart_of_the_other_side_during_a_swap_is_seen() {
    let mut queue = Queue::new();
    queue.client.submit(&1).unwrap();
    let _ = queue.client.publish();
    let kept = queue.client.kept();
    queue.server.take().unwrap();
    let _ = queue.server.publish();
    queue.server = Server::open(LAYOUT, queue.up.memory(), queue.down.memory()).unwrap();
    queue.client = Client::adopted(LAYOUT, queue.up.memory(), queue.down.memory(), kept).unwrap();
    queue.client.resume().unwrap();
    assert_eq!(queue.client.restarted(), Ok(Some(1)));
    assert_eq!(queue.client.restarted(), Ok(None));
}

#[test]
fn a_restart_that_nobody_asked_for_yet_is_not_forgotten() {
    let mut queue = Queue::new();
    queue.server = Server::open(LAYOUT, queue.up.memory(), queue.down.memory()).unwrap();
    queue.client.submit(&1).unwrap();
    let _ = (queue.client.publish(), queue.client.arm());
    queue.client.complete().unwrap();
    queue.swap_client();
    assert_eq!(queue.client.restarted(), Ok(Some(0)));
}

#[test]
fn contradicting_headers_are_broken() {
    let queue = Queue::new();
    let (up, down) = (queue.up.memory(), queue.down.memory());
    let mut next: Client<u64, u64> =
        Client::adopted(LAYOUT, up, down, queue.client.kept()).unwrap();
    down.store_u64_release(0, 1 << 32 | 77);
    assert_eq!(next.resume(), Err(Error::Broken));
    assert_eq!(next.complete(), Err(Error::Broken));
}

#[test]
fn bytes_keep_their_order() {
    let (up, down) = (HostMemory::new(2 * PAGE), HostMemory::new(PAGE));
    let memory = up.memory();
    let parts = Parts {
        producer: memory.part(0, 64).unwrap(),
        entries: memory.part(PAGE, 256).unwrap(),
        consumer: down.memory().part(0, 64).unwrap(),
    };
    let mut producer = bytes::Producer::open(parts).unwrap();
    let mut consumer = bytes::Consumer::open(parts).unwrap();
    let (mut sent, mut got) = (0_u8, Vec::new());
    for round in 0..500_usize {
        for _ in 0..round % 90 {
            sent = sent.wrapping_add(producer.write(&[sent]).unwrap() as u8);
        }
        let _ = producer.publish();
        if round % 3 == 0 {
            producer = bytes::Producer::adopted(parts).unwrap();
            assert_eq!(producer.write(&[9]), Err(Error::Broken));
            producer.resume().unwrap();
        }
        let mut some = [0; 50];
        let count = consumer.read(&mut some).unwrap();
        got.extend_from_slice(&some[..count]);
        let _ = consumer.publish();
        if round % 2 == 0 {
            consumer = bytes::Consumer::adopted(parts).unwrap();
            assert_eq!(consumer.read(&mut some), Err(Error::Broken));
            consumer.resume().unwrap();
        }
    }
    assert!(got.len() > 5000);
    assert!(got.iter().enumerate().all(|(at, byte)| *byte == at as u8));
}

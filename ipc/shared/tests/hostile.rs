//! A peer that rewrites its header and its entries between any two loads of the other side.
#![cfg(not(loom))]

use proptest::prelude::*;
use shared::queue::{Client, Error, Layout, Server};
use shared::ring::{Consumer, Parts, Producer};
use shared::{HEADER, HostMemory, Memory, PAGE, bytes, with_peer};

/// What the peer writes before the load with this number.
#[derive(Clone, Debug)]
struct Lie {
    at_load: u64,
    offset: usize,
    value: u64,
}

fn lie() -> impl Strategy<Value = Lie> {
    let value = prop_oneof![
        any::<u64>(),
        0u64..20,
        (0u64..20, 0u64..3).prop_map(|(index, epoch)| epoch << 32 | index),
        Just(u64::MAX)
    ];
    (0u64..60, 0usize..(PAGE + 512) / 8, value).prop_map(|(at_load, place, value)| Lie {
        at_load,
        offset: if place % 2 == 0 { place % 16 * 8 } else { place * 8 },
        value,
    })
}

/// Runs `body` with a peer that tells `lies` in the part it owns.
fn against<R>(part: Memory, lies: Vec<Lie>, body: impl FnOnce() -> R) -> R {
    let tell = move |load| {
        for lie in lies.iter().filter(|lie| lie.at_load == load) {
            part.store_u64_release(lie.offset, lie.value);
        }
    };
    with_peer(tell, body)
}

fn parts(producer: Memory, consumer: Memory) -> Parts {
    Parts {
        producer: producer.part(0, HEADER).unwrap(),
        entries: producer.part(PAGE, 64).unwrap(),
        consumer: consumer.part(0, HEADER).unwrap(),
    }
}

/// At most `capacity` bytes at once, and once broken, broken for good.
fn drain(mut consumer: bytes::Consumer) {
    let mut was_broken = false;
    for _ in 0..20 {
        let mut to = [0; 100];
        match consumer.read(&mut to) {
            Ok(len) => assert!(len <= 64 && !was_broken),
            Err(error) => {
                assert_eq!(error, Error::Broken);
                was_broken = true;
            }
        }
        let _ = consumer.publish();
        let _ = consumer.arm(1);
        let _ = consumer.restarted();
    }
}

fn fill(mut producer: Producer<u32>) {
    let mut was_broken = false;
    for value in 0..40 {
        match producer.push(&value) {
            Err(Error::Broken) => was_broken = true,
            Ok(_) | Err(Error::Full) => assert!(!was_broken),
            Err(Error::Shape) => unreachable!(),
        }
        assert!(producer.free().unwrap_or(0) <= 16);
        let _ = producer.publish();
        let _ = producer.arm(1);
        let _ = producer.restarted();
    }
}

fn serve(mut server: Server<u64, u64>) {
    for _ in 0..20 {
        while let Ok(Some(request)) = server.take() {
            assert!(server.open_requests() <= 8);
            if request % 2 == 0 && server.answer(&request).is_err() {
                break;
            }
        }
        let _ = server.publish();
        let _ = server.arm();
        let _ = server.restarted();
    }
}

fn ask(mut client: Client<u64, u64>) {
    for request in 0..20 {
        let _ = client.submit(&request);
        let _ = client.publish();
        assert!(client.open_requests() <= 8);
        for _ in 0..10 {
            if !matches!(client.complete(), Ok(Some(_))) {
                break;
            }
        }
        let _ = client.arm();
        let _ = client.restarted();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 2000 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_lying_peer_breaks_the_ring_and_nothing_else(
        lies in prop::collection::vec(lie(), 0..12),
        kind in 0..4,
    ) {
        let (mine, its) = (HostMemory::new(4 * PAGE), HostMemory::new(4 * PAGE));
        let (own, peer) = (mine.memory(), its.memory());
        let layout = Layout::new(8);
        against(peer, lies, || match kind {
            0 => Producer::open(parts(own, peer)).map(fill),
            1 => bytes::Consumer::open(parts(peer, own)).map(drain),
            2 => Server::open(layout, peer, own).map(serve),
            _ => Client::open(layout, own, peer).map(ask),
        }).or_else(|error| if error == Error::Broken { Ok(()) } else { Err(error) }).unwrap();
    }
}

#[test]
fn an_index_too_far_ahead_is_broken_for_good() {
    let (mine, its) = (HostMemory::new(PAGE), HostMemory::new(2 * PAGE));
    let mut consumer = Consumer::<u32>::open(parts(its.memory(), mine.memory())).unwrap();
    its.memory().store_u64_release(0, 17);
    assert_eq!(consumer.pop(), Err(Error::Broken));
    its.memory().store_u64_release(0, 1);
    assert_eq!(consumer.pop(), Err(Error::Broken));
}

#[test]
fn an_index_that_moves_back_is_broken() {
    let (mine, its) = (HostMemory::new(PAGE), HostMemory::new(2 * PAGE));
    let mut consumer = Consumer::<u32>::open(parts(its.memory(), mine.memory())).unwrap();
    its.memory().store_u64_release(0, 3);
    assert_eq!(consumer.waiting(), Ok(3));
    its.memory().store_u64_release(0, 2);
    assert_eq!(consumer.waiting(), Err(Error::Broken));
}

#[test]
fn a_consumer_that_takes_what_was_not_shown_is_broken() {
    let (mine, its) = (HostMemory::new(2 * PAGE), HostMemory::new(PAGE));
    let mut producer = Producer::<u32>::open(parts(mine.memory(), its.memory())).unwrap();
    producer.push(&1).unwrap();
    its.memory().store_u64_release(0, 1);
    assert_eq!(producer.free(), Err(Error::Broken));
}

#[test]
fn an_entry_that_changes_after_it_was_taken_does_not_change_the_copy() {
    let (mine, its) = (HostMemory::new(PAGE), HostMemory::new(2 * PAGE));
    let mut producer = Producer::<u32>::open(parts(its.memory(), mine.memory())).unwrap();
    let mut consumer = Consumer::<u32>::open(parts(its.memory(), mine.memory())).unwrap();
    producer.push(&5).unwrap();
    let _ = producer.publish();
    let entry = consumer.pop().unwrap().unwrap();
    its.memory().fill(PAGE, 64, 0xff);
    assert_eq!(entry, 5);
}

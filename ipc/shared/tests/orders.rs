//! Every order in which a producer and a consumer on two threads can meet, under loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p shared --test orders`
#![cfg(loom)]

use loom::thread;
use shared::ring::{Consumer, Parts, Producer};
use shared::{HEADER, leaked};

fn parts(entries: usize) -> Parts {
    let up = leaked(HEADER + entries * 4);
    Parts {
        producer: up.part(0, HEADER).unwrap(),
        entries: up.part(HEADER, entries * 4).unwrap(),
        consumer: leaked(HEADER),
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn entries_arrive_whole_and_in_order() {
    check(3, || {
        let parts = parts(2);
        let mut consumer = Consumer::<u32>::open(parts).unwrap();
        let producing = thread::spawn(move || {
            let mut producer = Producer::<u32>::open(parts).unwrap();
            for value in [1, 2, 3] {
                while producer.push(&value).is_err() {
                    thread::yield_now();
                }
                let _ = producer.publish();
            }
        });
        for expected in [1, 2, 3] {
            let entry = loop {
                match consumer.pop().unwrap() {
                    Some(entry) => break entry,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(entry, expected);
            let _ = consumer.publish();
        }
        producing.join().unwrap();
    });
}

#[test]
fn no_ring_is_lost_between_the_last_look_and_sleep() {
    check(4, || {
        let parts = parts(2);
        let mut consumer = Consumer::<u32>::open(parts).unwrap();
        let mut producer = Producer::<u32>::open(parts).unwrap();
        let producing = thread::spawn(move || {
            producer.push(&1).unwrap();
            producer.publish()
        });
        let stays_awake = consumer.arm(1).unwrap();
        let rung = producing.join().unwrap();
        assert!(stays_awake || rung);
    });
}

#[test]
fn no_room_is_lost_between_the_last_look_and_sleep() {
    check(4, || {
        let parts = parts(1);
        let mut consumer = Consumer::<u32>::open(parts).unwrap();
        let mut producer = Producer::<u32>::open(parts).unwrap();
        producer.push(&1).unwrap();
        let _ = producer.publish();
        let consuming = thread::spawn(move || {
            assert_eq!(consumer.pop(), Ok(Some(1)));
            consumer.publish()
        });
        let stays_awake = producer.arm(1).unwrap();
        let rung = consuming.join().unwrap();
        assert!(stays_awake || rung);
    });
}

#[test]
fn a_restart_is_seen_with_the_position_where_it_happened() {
    check(4, || {
        let parts = parts(2);
        let mut producer = Producer::<u32>::open(parts).unwrap();
        producer.push(&1).unwrap();
        let _ = producer.publish();
        let mut first = Consumer::<u32>::open(parts).unwrap();
        first.pop().unwrap();
        let _ = first.publish();
        assert_eq!(producer.restarted(), Ok(Some(0)));
        let restarting = thread::spawn(move || {
            let mut second = Consumer::<u32>::open(parts).unwrap();
            second.pop().unwrap();
        });
        let begun = loop {
            match producer.restarted().unwrap() {
                Some(begun) => break begun,
                None => thread::yield_now(),
            }
        };
        assert_eq!(begun, 1);
        restarting.join().unwrap();
    });
}

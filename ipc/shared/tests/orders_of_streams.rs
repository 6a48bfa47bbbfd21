//! The orders in which the two ends of a byte stream, and those of a queue, can meet, under loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p shared --test orders_of_streams`
#![cfg(loom)]

use loom::thread;
use shared::bytes::{Consumer, Producer};
use shared::queue::{Client, Layout, Server};
use shared::ring::Parts;
use shared::{HEADER, Memory, PAGE, leaked};

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn stream(bytes: usize) -> Parts {
    let up = leaked(HEADER + bytes);
    Parts {
        producer: up.part(0, HEADER).unwrap(),
        entries: up.part(HEADER, bytes).unwrap(),
        consumer: leaked(HEADER),
    }
}

#[test]
fn bytes_arrive_in_order_beyond_the_end_of_the_room() {
    check(3, || {
        let parts = stream(4);
        let mut consumer = Consumer::open(parts).unwrap();
        let writing = thread::spawn(move || {
            let mut producer = Producer::open(parts).unwrap();
            let mut left: &[u8] = &[1, 2, 3, 4, 5, 6];
            while !left.is_empty() {
                let written = producer.write(&left[..left.len().min(3)]).unwrap();
                left = &left[written..];
                let _ = producer.publish();
                if written == 0 {
                    thread::yield_now();
                }
            }
        });
        let mut read = Vec::new();
        while read.len() < 6 {
            let mut piece = [0; 3];
            let len = consumer.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..len]);
            let _ = consumer.publish();
            if len == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(read, [1, 2, 3, 4, 5, 6]);
        writing.join().unwrap();
    });
}

#[test]
fn no_byte_is_lost_between_the_last_look_and_sleep() {
    check(4, || {
        let parts = stream(4);
        let mut consumer = Consumer::open(parts).unwrap();
        let mut producer = Producer::open(parts).unwrap();
        let writing = thread::spawn(move || {
            assert_eq!(producer.write(&[1, 2]), Ok(2));
            producer.publish()
        });
        let stays_awake = consumer.arm(2).unwrap();
        let rung = writing.join().unwrap();
        assert!(stays_awake || rung);
    });
}

#[test]
fn no_room_for_bytes_is_lost_between_the_last_look_and_sleep() {
    check(4, || {
        let parts = stream(2);
        let mut consumer = Consumer::open(parts).unwrap();
        let mut producer = Producer::open(parts).unwrap();
        assert_eq!(producer.write(&[1, 2, 3]), Ok(2));
        let _ = producer.publish();
        let reading = thread::spawn(move || {
            assert_eq!(consumer.consume(2), Ok(2));
            consumer.publish()
        });
        let stays_awake = producer.arm(2).unwrap();
        let rung = reading.join().unwrap();
        assert!(stays_awake || rung);
    });
}

/// Both parts of a queue with this many entries of four bytes each way, and no room for data.
fn queue(entries: u32) -> (Layout, Memory, Memory) {
    let layout = Layout::new(entries);
    let len = layout.data::<u32>();
    assert_eq!(len, 2 * PAGE);
    (layout, leaked(len), leaked(len))
}

#[test]
fn every_request_gets_its_answer_once() {
    check(2, || {
        let (layout, up, down) = queue(1);
        let mut client = Client::<u32, u32>::open(layout, up, down).unwrap();
        let mut server = Server::<u32, u32>::open(layout, up, down).unwrap();
        let serving = thread::spawn(move || {
            for expected in [1, 2] {
                let request = loop {
                    match server.take().unwrap() {
                        Some(request) => break request,
                        None => thread::yield_now(),
                    }
                };
                assert_eq!(request, expected);
                server.answer(&(request * 10)).unwrap();
                let _ = server.publish();
            }
        });
        for request in [1, 2] {
            client.submit(&request).unwrap();
            let _ = client.publish();
            let answer = loop {
                match client.complete().unwrap() {
                    Some(answer) => break answer,
                    None => thread::yield_now(),
                }
            };
            assert_eq!((answer, client.open_requests()), (request * 10, 0));
        }
        serving.join().unwrap();
    });
}

#[test]
fn no_request_is_lost_between_the_last_look_and_sleep() {
    check(3, || {
        let (layout, up, down) = queue(2);
        let mut client = Client::<u32, u32>::open(layout, up, down).unwrap();
        let mut server = Server::<u32, u32>::open(layout, up, down).unwrap();
        let submitting = thread::spawn(move || {
            client.submit(&1).unwrap();
            client.publish()
        });
        let stays_awake = server.arm().unwrap();
        let rung = submitting.join().unwrap();
        assert!(stays_awake || rung);
    });
}

#[test]
fn no_answer_is_lost_between_the_last_look_and_sleep() {
    check(3, || {
        let (layout, up, down) = queue(2);
        let mut client = Client::<u32, u32>::open(layout, up, down).unwrap();
        let mut server = Server::<u32, u32>::open(layout, up, down).unwrap();
        client.submit(&1).unwrap();
        let _ = client.publish();
        assert_eq!(server.take(), Ok(Some(1)));
        let answering = thread::spawn(move || {
            server.answer(&10).unwrap();
            server.publish()
        });
        let stays_awake = client.arm().unwrap();
        let rung = answering.join().unwrap();
        assert!(stays_awake || rung);
    });
}

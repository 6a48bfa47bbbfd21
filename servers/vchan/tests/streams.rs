//! Both streams against a client as libxenvchan has it, and against one that writes anything at any time.

mod client;

use client::Client;
use proptest::prelude::*;
use shared::{HostMemory, with_peer};
use vchan::{Broken, Server, Shape};

fn pair(left: u16, right: u16) -> (Server, Client) {
    let shape = Shape::new(left, right).unwrap();
    let memory = HostMemory::leak(shape.pages());
    let server = Server::create(memory, shape, 700).unwrap();
    (server, Client::connect(memory, 700))
}

const SHAPES: [(u16, u16); 4] = [(10, 11), (11, 10), (12, 10), (13, 14)];

#[test]
fn a_client_finds_what_it_looks_for() {
    for (left, right) in SHAPES {
        let shape = Shape::new(left, right).unwrap();
        let memory = HostMemory::leak(shape.pages());
        let mut server = Server::create(memory, shape, 8).unwrap();
        assert!(!server.has_client());
        let mut client = Client::connect(memory, 8);
        assert!(server.has_client());
        server.begin();
        assert!(client.is_served());
        assert_eq!(client.orders(), (left, right));
        assert_eq!(client.write(b"hello"), 5);
        let mut bytes = [0; 16];
        assert_eq!(server.read(&mut bytes), Ok(5));
        assert_eq!(&bytes[..5], b"hello");
    }
}

#[test]
fn the_event_is_sent_if_the_client_asked_for_it_and_not_for_nothing() {
    let (mut server, mut client) = pair(12, 12);
    server.begin();
    assert_eq!(server.read(&mut [0; 4]), Ok(0));
    assert!(!server.take_due());
    assert_eq!(server.write(b"x"), Ok(1));
    assert!(server.take_due(), "a client asks to be told of bytes when it connects");
    assert!(!server.take_due());
    client.write(b"yy");
    assert_eq!(server.read(&mut [0; 4]), Ok(2));
    assert!(!server.take_due(), "it did not ask to be told of room");
    client.ask_for_room();
    client.write(b"z");
    assert_eq!(server.read(&mut [0; 4]), Ok(1));
    assert!(server.take_due());
}

#[test]
fn the_next_client_finds_nothing_of_the_last_one() {
    let (mut server, mut client) = pair(10, 11);
    server.begin();
    client.write(b"left over");
    server.write(b"unread").unwrap();
    client.leave();
    assert!(!server.has_client());
    assert_eq!(server.is_read(), Ok(false));
    let mut next = client.again();
    assert!(server.has_client());
    server.begin();
    assert_eq!(server.is_read(), Ok(true));
    assert_eq!(next.read(), b"");
    assert_eq!(server.read(&mut [0; 16]), Ok(0));
    next.write(b"new");
    let mut bytes = [0; 16];
    assert_eq!(server.read(&mut bytes), Ok(3));
    assert_eq!(&bytes[..3], b"new");
}

#[test]
fn who_is_hung_up_on_sees_it() {
    let (mut server, client) = pair(10, 11);
    server.begin();
    assert!(client.is_served());
    server.hang_up();
    assert!(server.take_due());
    assert!(!client.is_served());
    server.begin();
    assert!(client.is_served());
}

#[test]
fn indices_that_cannot_be_break_the_session_and_not_the_next() {
    for (lie, ahead) in [(0x401u32, 1), (0x8000_0000, 0x401), (u32::MAX, 0x8000_0000)] {
        let (mut server, client) = pair(10, 11);
        server.begin();
        client.set_produced(lie);
        assert_eq!(server.read(&mut [0; 16]), Err(Broken), "{lie:#x}");
        client.set_consumed(ahead);
        assert_eq!(server.write(b"x"), Err(Broken), "{ahead:#x}");
        server.begin();
        let mut next = client.again();
        next.write(b"ok");
        assert_eq!(server.read(&mut [0; 16]), Ok(2), "{lie:#x}");
        assert_eq!(server.write(b"fine"), Ok(4), "{lie:#x}");
        assert_eq!(next.read(), b"fine");
    }
}

proptest! {
    #[test]
    fn bytes_arrive_in_order_both_ways(
        shape in 0..SHAPES.len(),
        steps in prop::collection::vec((0..4u8, 0..3000usize), 1..60),
    ) {
        let (left, right) = SHAPES[shape];
        let (mut server, mut client) = pair(left, right);
        server.begin();
        let (mut sent, mut got) = (0u32, 0u32);
        let (mut told, mut heard) = (0u32, 0u32);
        let run = |from: u32, len: usize| (from..).take(len).map(|n| (n * 7 + n / 256) as u8).collect::<Vec<u8>>();
        for (step, len) in steps {
            match step {
                0 => sent += client.write(&run(sent, len)) as u32,
                1 => {
                    let mut bytes = vec![0; len];
                    let count = server.read(&mut bytes).unwrap();
                    prop_assert_eq!(&bytes[..count], &run(got, count)[..]);
                    got += count as u32;
                }
                2 => told += server.write(&run(told, len)).unwrap() as u32,
                _ => {
                    let bytes = client.read();
                    prop_assert_eq!(&bytes, &run(heard, bytes.len()));
                    heard += bytes.len() as u32;
                }
            }
            prop_assert!(got <= sent && heard <= told);
        }
    }

    #[test]
    fn a_client_that_writes_anything_at_any_time_gets_no_more_than_its_ring(
        seed in any::<u64>(),
        shape in 0..SHAPES.len(),
    ) {
        let (left, right) = SHAPES[shape];
        let shape = Shape::new(left, right).unwrap();
        let memory = HostMemory::leak(shape.pages());
        let mut server = Server::create(memory, shape, 8).unwrap();
        let mut dice = seed | 1;
        let liar = move |_| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let value = if dice & 1 == 0 { dice >> 40 & 0x1fff } else { dice >> 32 };
            memory.store_u32_relaxed((dice >> 8 & 7) as usize * 4, value as u32);
        };
        with_peer(liar, || {
            let mut bytes = vec![0; 5000];
            for round in 0..200 {
                let _ = server.has_client();
                if let Ok(count) = server.read(&mut bytes) {
                    assert!(count <= 1 << left);
                }
                if let Ok(count) = server.write(&bytes) {
                    assert!(count <= 1 << right);
                }
                let _ = server.take_due();
                if round % 7 == 0 {
                    server.begin();
                }
            }
        });
        // An honest client finds all in order afterwards.
        let mut client = Client::restore(memory, 8, left, right);
        server.begin();
        prop_assert_eq!(client.write(b"ping"), 4);
        let mut bytes = [0; 8];
        prop_assert_eq!(server.read(&mut bytes), Ok(4));
        prop_assert_eq!(&bytes[..4], b"ping");
        prop_assert_eq!(server.write(b"pong"), Ok(4));
        prop_assert_eq!(client.read(), b"pong");
    }
}

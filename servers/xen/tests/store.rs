//! The connection to xenstored against a small xenstored.

use proptest::prelude::*;
use shared::{HostMemory, Memory};
use xen::fake::Xenstored;
use xen::store::{Connection, Error, Failure, Operation, REQUESTS, Received, Rest};

/// A connection and what it is connected to.
struct Pair {
    page: Memory,
    connection: Box<Connection>,
    store: Xenstored,
}

/// What came in, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    Reply(u32, Result<Vec<u8>, Failure>),
    Event(Vec<u8>, Vec<u8>),
}

impl Pair {
    fn new(index: u32, step: usize) -> Self {
        let page = HostMemory::leak(1);
        let mut store = Xenstored::attach(page, index);
        store.step = step;
        let connection = Box::new(Connection::open(page, 1, Rest::default()).unwrap());
        Self { page, connection, store }
    }

    fn ask(&mut self, operation: Operation, transaction: u32, parts: &[&[u8]], tag: u32) {
        self.connection.request(operation, transaction, parts, tag).unwrap();
    }

    /// Lets both run until nothing moves.
    fn run(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let moved = self.store.run();
            let before = messages.len();
            while let Some(received) = self.connection.receive().unwrap() {
                messages.push(own(received));
            }
            if !moved && messages.len() == before && !self.connection.take_ring() {
                return messages;
            }
        }
    }

    fn result(
        &mut self,
        operation: Operation,
        transaction: u32,
        parts: &[&[u8]],
    ) -> Result<Vec<u8>, Failure> {
        self.ask(operation, transaction, parts, 77);
        let messages = self.run();
        let mut replies = messages.into_iter().filter_map(|message| match message {
            Message::Reply(77, result) => Some(result),
            _ => None,
        });
        replies.next_back().expect("a reply")
    }
}

fn own(received: Received<'_>) -> Message {
    match received {
        Received::Reply(reply) => Message::Reply(reply.tag, reply.result.map(<[u8]>::to_vec)),
        Received::Event { path, token } => Message::Event(path.to_vec(), token.to_vec()),
    }
}

#[test]
fn a_node_is_written_read_listed_and_removed() {
    let mut pair = Pair::new(0, 1024);
    assert_eq!(pair.result(Operation::Read, 0, &[b"data/x\0"]), Err(Failure::NoEntry));
    pair.result(Operation::Write, 0, &[b"data/x\0", b"value"]).unwrap();
    assert_eq!(pair.result(Operation::Read, 0, &[b"data/x\0"]).unwrap(), b"value");
    assert_eq!(pair.result(Operation::Directory, 0, &[b"data\0"]).unwrap(), b"x\0");
    pair.result(Operation::Remove, 0, &[b"data\0"]).unwrap();
    assert_eq!(pair.result(Operation::Read, 0, &[b"data/x\0"]), Err(Failure::NoEntry));
    assert_eq!(pair.store.get("/local/domain/1/data/x"), None);
}

#[test]
fn a_watch_fires_at_once_and_at_each_change_with_its_token() {
    let mut pair = Pair::new(0, 1024);
    pair.ask(Operation::Watch, 0, &[b"device/vif\0", b"token 1\0"], 5);
    let event = |path: &[u8]| Message::Event(path.to_vec(), b"token 1".to_vec());
    assert_eq!(pair.run(), [Message::Reply(5, Ok(b"OK\0".to_vec())), event(b"device/vif")]);
    pair.store.set("/local/domain/1/device/vif/0/state", "4");
    pair.store.set("/local/domain/1/other", "4");
    assert_eq!(pair.run(), [event(b"device/vif/0/state")]);
}

#[test]
fn a_transaction_that_met_another_is_begun_anew() {
    let mut pair = Pair::new(0, 1024);
    let begun = pair.result(Operation::Begin, 0, &[b"\0"]).unwrap();
    let number = xen::number::decimal(begun.strip_suffix(b"\0").unwrap(), 1000).unwrap() as u32;
    pair.result(Operation::Write, number, &[b"a\0", b"1"]).unwrap();
    pair.store.set("/local/domain/1/b", "2");
    assert_eq!(pair.result(Operation::End, number, &[b"T\0"]), Err(Failure::Again));
    assert_eq!(pair.store.get("/local/domain/1/a"), None);
}

#[test]
fn too_many_requests_are_refused_until_a_reply() {
    let mut pair = Pair::new(0, 1024);
    for tag in 0..REQUESTS as u32 {
        pair.ask(Operation::Read, 0, &[b"a\0"], tag);
    }
    let refused = pair.connection.request(Operation::Read, 0, &[b"a\0"], 99);
    assert_eq!(refused, Err(Error::Busy));
    assert_eq!(pair.run().len(), REQUESTS);
    assert_eq!(pair.connection.in_flight(), 0);
    pair.ask(Operation::Read, 0, &[b"a\0"], 99);
}

#[test]
fn a_payload_of_4096_bytes_passes_and_a_longer_one_is_refused() {
    let mut pair = Pair::new(0, 100);
    let value = [b'v'; 4094];
    pair.result(Operation::Write, 0, &[b"a\0", &value]).unwrap();
    assert_eq!(pair.result(Operation::Read, 0, &[b"a\0"]).unwrap(), value);
    let longer = pair.connection.request(Operation::Write, 0, &[b"a\0", &[b'v'; 4095]], 0);
    assert_eq!(longer, Err(Error::TooLong));
}

#[test]
fn a_reply_to_a_server_that_died_is_dropped() {
    let mut pair = Pair::new(0, 1024);
    pair.ask(Operation::Read, 0, &[b"a\0"], 1);
    *pair.connection = Connection::open(pair.page, 2, Rest::default()).unwrap();
    pair.ask(Operation::Read, 0, &[b"b\0"], 2);
    assert_eq!(pair.run(), [Message::Reply(2, Err(Failure::NoEntry))]);
}

#[test]
fn a_server_that_died_amid_long_messages_leaves_a_connection_that_works() {
    let mut pair = Pair::new(7, 1024);
    pair.result(Operation::Write, 0, &[b"a\0", &[b'v'; 3000]]).unwrap();
    pair.ask(Operation::Read, 0, &[b"a\0"], 1);
    pair.store.run();
    pair.ask(Operation::Write, 0, &[b"b\0", &[b'w'; 3000]], 2);
    pair.connection.receive().unwrap();
    let rest = pair.connection.rest();
    assert!(rest.incoming > 0 && rest.outgoing > 0, "{rest:?}");
    *pair.connection = Connection::open(pair.page, 2, rest).unwrap();
    pair.ask(Operation::Read, 0, &[b"c\0"], 3);
    assert_eq!(pair.run(), [Message::Reply(3, Err(Failure::NoEntry))]);
    assert_eq!(pair.connection.rest(), Rest::default());
}

#[test]
fn errors_are_told_apart() {
    assert_eq!(Failure::parse(b"EAGAIN\0"), Failure::Again);
    assert_eq!(Failure::parse(b"ENOENT"), Failure::NoEntry);
    assert_eq!(Failure::parse(b"EACCES\0"), Failure::Denied);
    assert_eq!(Failure::parse(b""), Failure::Other);
    assert_eq!(Failure::parse(b"EAGAIN\0\0"), Failure::Other);
}

/// Puts a message from xenstored into the ring.
fn inject(page: Memory, words: [u32; 4], payload: &[u8]) {
    let prod = page.load_u32_acquire(2060);
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.to_le_bytes()).chain(payload.iter().copied()).collect();
    for (number, byte) in bytes.iter().enumerate() {
        page.write(1024 + (prod as usize + number) % 1024, byte);
    }
    page.store_u32_release(2060, prod.wrapping_add(bytes.len() as u32));
}

#[test]
fn messages_that_cannot_be_break_the_connection() {
    let cases: [(&str, [u32; 4], &[u8]); 4] = [
        ("a payload that is too long", [15, 0, 0, 4097], b""),
        ("an event without token", [15, 0, 0, 5], b"path\0"),
        ("an event without path", [15, 0, 0, 2], b"\0\0"),
        ("a reply of another kind", [3, 0x1_0001, 0, 0], b""),
    ];
    for (what, words, payload) in cases {
        let mut pair = Pair::new(0, 1024);
        pair.ask(Operation::Read, 0, &[b"a\0"], 1);
        inject(pair.page, words, payload);
        assert_eq!(pair.connection.receive(), Err(xen::Broken), "{what}");
        assert_eq!(pair.connection.receive(), Err(xen::Broken), "{what}, for good");
        let refused = pair.connection.request(Operation::Read, 0, &[b"a\0"], 1);
        assert_eq!(refused, Err(Error::Broken), "{what}");
    }
}

#[test]
fn indices_that_cannot_be_break_the_connection() {
    for offset in [2048, 2060] {
        let mut pair = Pair::new(10, 1024);
        pair.page.store_u32_release(offset, 2000);
        let asked = pair.connection.request(Operation::Read, 0, &[b"a\0"], 1);
        let received = pair.connection.receive().map(|received| received.map(own));
        assert!(asked == Err(Error::Broken) || received.is_err());
        assert!(Connection::open(pair.page, 1, Rest::default()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_survive_any_chunks_and_any_start(
        index in prop_oneof![Just(0), Just(u32::MAX - 500), any::<u32>()],
        step in 1usize..1024,
        sizes in prop::collection::vec(prop_oneof![0usize..50, 900usize..1100, 0usize..4000], 1..6),
    ) {
        let mut pair = Pair::new(index, step);
        for (number, size) in sizes.iter().enumerate() {
            let path = format!("n{number}\0");
            let value: Vec<u8> = (0..*size).map(|byte| (byte * 7 + number) as u8).collect();
            pair.result(Operation::Write, 0, &[path.as_bytes(), &value]).unwrap();
            prop_assert_eq!(pair.result(Operation::Read, 0, &[path.as_bytes()]).unwrap(), value);
        }
    }
}

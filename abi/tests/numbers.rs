//! The numbering of handles and bits, the records of notes, and small encodings: what both sides of the ABI must agree on.

use abi::kernel::control::{MAX_PERIOD, MIN_BUDGET, is_limit};
use abi::token::Kind;
use abi::trap::{BIT_CONTROL, BIT_TIMER, BITS_SHARED};
use abi::wiring::{
    GRANTABLE, Numbers, RECORD, Record, RecordKind, USED, WAIT, WireShape, abi_record,
    method_record, method_records,
};
use abi::{ABI_HASH, Handle, Status, Token, Word};

const MANY: Numbers = Numbers { needs: 3, ports: 2, windows: 1, clients: 4, control: 0 };

#[test]
fn handles_are_numbered_by_needs_ports_windows_and_clients() {
    assert_eq!([MANY.need(0), MANY.need(2)], [Handle(2), Handle(4)]);
    assert_eq!([MANY.port(0), MANY.port(1)], [Handle(5), Handle(6)]);
    assert_eq!(MANY.window(0), Handle(7));
    assert_eq!([MANY.bell(0), MANY.bell(3)], [Handle(8), Handle(11)]);
    assert_eq!(MANY.handles(), 12);
    assert_eq!(Numbers::default().handles(), 2);
}

#[test]
fn bits_are_numbered_by_ports_needs_and_clients_and_the_last_is_shared() {
    assert_eq!([MANY.port_bits(0), MANY.port_bits(1)], [1, 2]);
    assert_eq!([MANY.need_bits(0), MANY.need_bits(2)], [4, 16]);
    assert_eq!([MANY.client_bits(0), MANY.client_bits(3)], [32, 256]);
    let last = 1 << (BITS_SHARED - 1);
    let first = u16::try_from(BITS_SHARED).unwrap();
    assert_eq!(Numbers::default().port_bits(first - 2), last >> 1);
    assert_eq!(Numbers::default().port_bits(first - 1), last);
    assert_eq!(Numbers::default().port_bits(first + 40), last);
    assert_eq!([BIT_TIMER, BIT_CONTROL], [1 << 62, 1 << 63]);
}

#[test]
fn the_record_of_a_wire_keeps_its_memory() {
    for grantable in [false, true] {
        let shape = WireShape { up: 3, down: 4, grantable };
        let record = Record::wire(RecordKind::Needs, shape);
        assert_eq!((record.kind, record.shape()), (RecordKind::Needs, shape));
        let noisy = Record { flags: record.flags | USED | WAIT, ..record };
        assert_eq!(noisy.shape(), shape);
    }
    assert_eq!(Record::wire(RecordKind::Needs, WireShape::NONE).flags & GRANTABLE, 0);
}

mod contract {
    abi::interface! {
        /// For the records.
        interface "numbers";
        /// Why not.
        error Error {
            /// It is.
            No = 1,
        }
        /// Answers at once.
        1 now fn first(a: u64) -> u64;
        /// May wait.
        7 wait fn second(a: bool) -> bool;
    }
}

use contract::METHODS;

#[test]
fn the_records_of_methods_say_what_the_interface_says() {
    let [first, second] = [&METHODS[0], &METHODS[1]];
    let one = method_record(second, "numbers", 5, true);
    let record = Record::decode(&one).unwrap();
    assert_eq!((record.kind, record.index, record.a), (RecordKind::Method, 7, 5));
    assert_eq!((record.name, record.interface, record.hash), ("second", "numbers", second.hash));
    assert_eq!(record.flags & (WAIT | USED), WAIT | USED);
    let [a, b]: [[u8; RECORD]; 2] = method_records(METHODS, "numbers", 5, false);
    let flags = |bytes| Record::decode(bytes).unwrap().flags & (WAIT | USED);
    assert_eq!((flags(&a), flags(&b)), (0, WAIT));
    assert_eq!(a, method_record(first, "numbers", 5, false));
    let abi = abi_record();
    let abi = Record::decode(&abi).unwrap();
    assert_eq!((abi.kind, abi.hash), (RecordKind::Abi, ABI_HASH));
}

#[test]
fn the_hash_of_methods_is_of_each_of_them() {
    assert!(!matches!(ABI_HASH, 0 | 1));
    assert_ne!(METHODS[0].hash, METHODS[1].hash);
}

#[test]
fn limits_are_of_a_budget_within_a_period_or_none() {
    for good in
        [(0, 0), (MIN_BUDGET, MIN_BUDGET), (MIN_BUDGET, MAX_PERIOD), (MAX_PERIOD, MAX_PERIOD)]
    {
        assert!(is_limit(good.0, good.1), "{good:?}");
    }
    for bad in [
        (0, 1),
        (0, MIN_BUDGET),
        (1, 0),
        (MIN_BUDGET, 0),
        (MIN_BUDGET - 1, MAX_PERIOD),
        (MIN_BUDGET + 1, MIN_BUDGET),
        (MIN_BUDGET, MAX_PERIOD + 1),
        (u64::MAX, u64::MAX),
    ] {
        assert!(!is_limit(bad.0, bad.1), "{bad:?}");
    }
}

#[test]
fn status_kind_and_truth_keep_their_numbers() {
    let all = [Status::Ok, Status::Reset, Status::Restarted, Status::Cancelled, Status::Gone];
    for (word, status) in (0..).zip(all) {
        assert_eq!((Status::from_word(word), status as u64), (status, word));
    }
    assert_eq!(Status::from_word(77), Status::Gone);
    for kind in [Kind::Call, Kind::Fault] {
        assert_eq!(Token::new(kind, 5, 9).kind(), kind);
    }
    assert_eq!(Token::NONE.kind(), Kind::None);
    assert_eq!([false, true].map(Word::to_word), [0, 1]);
    assert_eq!([0, 1, 2].map(bool::from_word), [Some(false), Some(true), None]);
}

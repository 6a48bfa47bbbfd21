//! Tests of state that is written and read.

use std::string::String;
use std::vec;
use std::vec::Vec;

use super::{Damaged, Full, Reader, Record, Schema, Writer, digest};

mod old {
    crate::state! {
        /// Before a field was added.
        pub struct Counter: "test.counter" {
            /// What was counted.
            pub count: u32,
        }
    }
}

crate::state! {
    /// A part.
    pub struct Item {
        /// A number.
        pub number: u32,
        /// A choice.
        pub choice: Choice,
    }
    /// One of three.
    pub enum Choice {
        /// No more.
        Nothing,
        /// A text.
        Text(String),
        /// Bytes.
        Bytes(Vec<u8>),
    }
    /// A record.
    pub struct Items: "test.items" {
        /// All of them.
        pub all: Vec<Item>,
    }
    /// Another one.
    pub struct Counter: "test.counter" {
        /// What was counted.
        pub count: u32,
        /// Since when.
        pub since: u64,
    }
}

fn items() -> Items {
    let choices = [Choice::Nothing, Choice::Text("text".into()), Choice::Bytes(vec![1, 2, 3])];
    let item = |(number, choice)| Item { number, choice };
    Items { all: (7..).zip(choices).map(item).collect() }
}

fn written() -> Writer {
    let mut writer = Writer::new(1000);
    writer.put(&items()).unwrap();
    writer.put(&Counter { count: 1, since: 2 }).unwrap();
    writer
}

#[test]
fn what_was_written_is_read() {
    let writer = written();
    let reader = Reader::new(writer.bytes()).unwrap();
    assert_eq!(reader.one::<Items>(), Ok(Some(items())));
    assert_eq!(reader.one::<Counter>(), Ok(Some(Counter { count: 1, since: 2 })));
    assert_eq!(reader.all::<Items>().count(), 1);
}

#[test]
fn an_older_layout_is_another_record() {
    assert_ne!(old::Counter::HASH, Counter::HASH);
    let mut writer = Writer::new(1000);
    writer.put(&old::Counter { count: 7 }).unwrap();
    let reader = Reader::new(writer.bytes()).unwrap();
    assert_eq!(reader.one::<Counter>(), Ok(None));
    assert_eq!(reader.one::<old::Counter>().unwrap().unwrap().count, 7);
}

#[test]
fn layouts_that_differ_have_other_hashes() {
    let all = [
        u32::HASH,
        u64::HASH,
        <Vec<u32>>::HASH,
        <Option<u32>>::HASH,
        <[u32; 4]>::HASH,
        <[u32; 5]>::HASH,
        <(u32, u64)>::HASH,
        <(u64, u32)>::HASH,
        Choice::HASH,
        Item::HASH,
        Items::HASH,
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[..at].contains(one), "{at}");
    }
    assert_eq!(Items::NAME, "test.items");
}

#[test]
fn state_that_does_not_fit_is_refused_whole() {
    let length = written().bytes().len();
    let mut writer = Writer::new(length - 1);
    writer.put(&items()).unwrap();
    let before = writer.bytes().len();
    assert_eq!(writer.put(&Counter { count: 1, since: 2 }), Err(Full { needed: length }));
    assert_eq!(writer.bytes().len(), before);
}

#[test]
fn two_where_one_is_meant_are_damage() {
    let mut writer = written();
    writer.put(&items()).unwrap();
    let reader = Reader::new(writer.bytes()).unwrap();
    assert_eq!(reader.one::<Items>(), Err(Damaged));
    assert_eq!(reader.all::<Items>().count(), 2);
}

#[test]
fn truncated_state_is_damaged_or_ends_between_records() {
    let writer = written();
    let whole = writer.bytes();
    let ends: Vec<usize> =
        (0..=whole.len()).filter(|end| Reader::new(&whole[..*end]).is_ok()).collect();
    assert_eq!(ends.len(), 3, "before, between and behind the two records");
}

#[test]
fn no_byte_can_be_changed_unnoticed() {
    let writer = written();
    for at in 0..writer.bytes().len() {
        let mut bytes = writer.bytes().to_vec();
        bytes[at] ^= 1;
        assert_ne!(digest(&bytes), digest(writer.bytes()), "byte {at}");
        if let Ok(reader) = Reader::new(&bytes) {
            let _ = (reader.one::<Items>(), reader.one::<Counter>());
        }
    }
}

#[test]
fn what_is_read_and_written_again_has_the_same_digest() {
    let writer = written();
    let reader = Reader::new(writer.bytes()).unwrap();
    let mut again = Writer::new(1000);
    again.put(&reader.one::<Items>().unwrap().unwrap()).unwrap();
    again.put(&reader.one::<Counter>().unwrap().unwrap()).unwrap();
    assert_eq!(digest(again.bytes()), digest(writer.bytes()));
}

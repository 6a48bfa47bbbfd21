//! Records that outlive their writer.
#![cfg(not(loom))]

use shared::record::Record;
use shared::{HostMemory, Memory, with_stores};

const SCHEMA: u64 = 0x1234_5678_9abc_def0;

fn read(memory: Memory) -> Option<Vec<u8>> {
    let record = Record::open(memory, SCHEMA);
    let mut bytes = vec![0; record.length()?];
    record.read(&mut bytes)?;
    Some(bytes)
}

fn text(n: u8) -> Vec<u8> {
    (0..100 + n % 7).map(|at| at.wrapping_mul(n)).collect()
}

#[test]
fn fresh_memory_holds_no_record() {
    let memory = HostMemory::new(4096);
    assert_eq!(read(memory.memory()), None);
    assert_eq!(Record::open(memory.memory(), SCHEMA).sequence(), 0);
}

#[test]
fn the_last_record_is_found_again() {
    let memory = HostMemory::new(4096);
    let mut record = Record::open(memory.memory(), SCHEMA);
    for n in 0..20 {
        record.write(&text(n)).unwrap();
        assert_eq!(read(memory.memory()), Some(text(n)));
        record = Record::open(memory.memory(), SCHEMA);
        assert_eq!(record.sequence(), u64::from(n) + 1);
    }
}

#[test]
fn a_writer_that_dies_at_any_store_leaves_the_old_record_or_the_new() {
    for before in 0..3 {
        let mut stores = 0;
        loop {
            let memory = HostMemory::new(4096);
            let mut record = Record::open(memory.memory(), SCHEMA);
            (1..=before).for_each(|n| record.write(&text(n)).unwrap());
            let done = with_stores(stores, || record.write(&text(99)).unwrap());
            let old = (before > 0).then(|| text(before));
            let expected = if done.is_some() { Some(text(99)) } else { old };
            assert_eq!(read(memory.memory()), expected, "after {stores} stores");
            if done.is_some() {
                break;
            }
            stores += 1;
        }
        assert!(stores > 4);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let memory = HostMemory::new(4096);
    let mut record = Record::open(memory.memory(), SCHEMA);
    record.write(&text(3)).unwrap();
    let length = 32 + text(3).len();
    for at in 0..length {
        for bit in 0..8 {
            let byte: u8 = memory.memory().read(at);
            memory.memory().write(at, &(byte ^ 1 << bit));
            assert_eq!(read(memory.memory()), None, "bit {bit} of byte {at}");
            memory.memory().write(at, &byte);
        }
    }
    assert_eq!(read(memory.memory()), Some(text(3)));
}

#[test]
fn a_record_of_another_schema_is_none() {
    let memory = HostMemory::new(4096);
    Record::open(memory.memory(), SCHEMA + 1).write(&text(3)).unwrap();
    assert_eq!(read(memory.memory()), None);
}

#[test]
fn what_does_not_fit_leaves_the_old_record() {
    let memory = HostMemory::new(4096);
    let mut record = Record::open(memory.memory(), SCHEMA);
    record.write(&text(3)).unwrap();
    assert_eq!(record.write(&vec![0; record.capacity() + 1]), None);
    assert_eq!(record.write(&vec![7; record.capacity()]), Some(()));
    assert_eq!(read(memory.memory()), Some(vec![7; record.capacity()]));
}

#[test]
fn any_bytes_are_judged_without_harm() {
    for length in [0, 8, 63, 64, 65, 200] {
        let memory = HostMemory::new(4096);
        let part = memory.memory().part(0, length).unwrap();
        for seed in 0..200u64 {
            for at in 0..length {
                let byte = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at % 57)) as u8;
                part.write(at, &byte);
            }
            let mut record = Record::open(part, SCHEMA);
            let _ = record.write(b"x");
        }
    }
}

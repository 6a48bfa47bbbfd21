//! The rings against a plain queue, across restarts, and with the wrap of their indices.
#![cfg(not(loom))]

use std::collections::VecDeque;

use proptest::prelude::*;
use shared::ring::{Consumer, Error, Parts, Producer};
use shared::{HEADER, HostMemory, Memory, PAGE, bytes, precedes, queue};

/// One page for each side; `len` bytes of entries.
struct Pages {
    up: HostMemory,
    down: HostMemory,
    len: usize,
}

impl Pages {
    fn new(len: usize) -> Self {
        Self { up: HostMemory::new(PAGE), down: HostMemory::new(PAGE), len }
    }

    fn parts(&self) -> Parts {
        let up = self.up.memory();
        Parts {
            producer: up.part(0, HEADER).unwrap(),
            entries: up.part(HEADER, self.len).unwrap(),
            consumer: self.down.memory().part(0, HEADER).unwrap(),
        }
    }

    /// Starts both indices at `index`, so that they wrap soon.
    fn begin_at(&self, index: u32) {
        self.up.memory().store_u64_release(0, u64::from(index));
        self.down.memory().store_u64_release(0, u64::from(index));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32),
    Pop,
    ShowProducer,
    ShowConsumer,
    RestartProducer,
    RestartConsumer,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u32>().prop_map(Step::Push),
        6 => Just(Step::Pop),
        4 => Just(Step::ShowProducer),
        4 => Just(Step::ShowConsumer),
        1 => Just(Step::RestartProducer),
        1 => Just(Step::RestartConsumer),
    ]
}

/// A ring of four entries and what it should hold: staged, visible, and taken but not given back.
struct Model {
    pages: Pages,
    producer: Producer<u32>,
    consumer: Consumer<u32>,
    staged: VecDeque<u32>,
    visible: VecDeque<u32>,
    held: VecDeque<u32>,
}

impl Model {
    const CAPACITY: usize = 4;

    fn new(begin: u32) -> Self {
        let pages = Pages::new(Self::CAPACITY * 4);
        pages.begin_at(begin);
        Self {
            producer: Producer::open(pages.parts()).unwrap(),
            consumer: Consumer::open(pages.parts()).unwrap(),
            pages,
            staged: VecDeque::new(),
            visible: VecDeque::new(),
            held: VecDeque::new(),
        }
    }

    fn len(&self) -> usize {
        self.staged.len() + self.visible.len() + self.held.len()
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(value) => self.push(value),
            Step::Pop => self.pop(),
            Step::ShowProducer => {
                let _ = self.producer.publish();
                self.visible.append(&mut self.staged);
            }
            Step::ShowConsumer => {
                let _ = self.consumer.publish();
                self.held.clear();
            }
            Step::RestartProducer => {
                self.producer = Producer::open(self.pages.parts()).unwrap();
                self.staged.clear();
            }
            Step::RestartConsumer => {
                self.consumer = Consumer::open(self.pages.parts()).unwrap();
                self.held.append(&mut self.visible);
                std::mem::swap(&mut self.held, &mut self.visible);
            }
        }
    }

    fn push(&mut self, value: u32) {
        let pushed = self.producer.push(&value);
        if self.len() == Self::CAPACITY {
            assert_eq!(pushed, Err(Error::Full));
        } else {
            assert!(pushed.is_ok());
            self.staged.push_back(value);
        }
    }

    fn pop(&mut self) {
        let popped = self.consumer.pop().unwrap();
        let expected = self.visible.pop_front();
        assert_eq!(popped, expected);
        self.held.extend(expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 512 }, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_is_a_queue(
        begin in prop_oneof![Just(0), Just(u32::MAX - 5), any::<u32>()],
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut model = Model::new(begin);
        for step in steps {
            model.run(step);
        }
    }

    #[test]
    fn a_stream_keeps_its_bytes(
        begin in prop_oneof![Just(0), Just(u32::MAX - 100), any::<u32>()],
        sizes in prop::collection::vec((0usize..100, 0usize..100), 0..60),
    ) {
        let pages = Pages::new(64);
        pages.begin_at(begin);
        let mut producer = bytes::Producer::open(pages.parts()).unwrap();
        let mut consumer = bytes::Consumer::open(pages.parts()).unwrap();
        let mut expected = VecDeque::new();
        let mut next = 0u8;
        for (write, read) in sizes {
            let from: Vec<u8> = (0..write).map(|i| next.wrapping_add(i as u8)).collect();
            let written = producer.write(&from).unwrap();
            prop_assert_eq!(written, write.min(64 - expected.len()));
            next = next.wrapping_add(written as u8);
            expected.extend(&from[..written]);
            let _ = producer.publish();
            prop_assert_eq!(consumer.waiting().unwrap(), expected.len());
            let mut to = vec![0; read];
            let got = consumer.read(&mut to).unwrap();
            prop_assert_eq!(got, read.min(expected.len()));
            prop_assert!(to[..got].iter().copied().eq(expected.drain(..got)));
            let _ = consumer.publish();
            prop_assert_eq!(producer.free().unwrap(), 64 - expected.len());
        }
    }

    #[test]
    fn copies_are_exact_at_every_alignment(offset in 0usize..40, len in 0usize..200, seed: u8) {
        let host = HostMemory::new(PAGE);
        let memory = host.memory();
        let from: Vec<u8> = (0..len).map(|i| seed.wrapping_add(i as u8) | 1).collect();
        memory.copy_to(offset, &from);
        let mut to = vec![0; len];
        memory.copy_from(offset, &mut to);
        prop_assert_eq!(&to, &from);
        let mut around = vec![0; len + 2];
        memory.copy_from(offset + 1, &mut around[..len]);
        prop_assert!(around[len.saturating_sub(1)..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn positions_are_ordered_across_the_wrap() {
    assert!(precedes(u32::MAX, 0));
    assert!(precedes(3, 4));
    assert!(!precedes(4, 4));
    assert!(!precedes(0, u32::MAX));
}

#[test]
fn a_consumer_that_sleeps_is_rung_once() {
    let pages = Pages::new(16);
    let mut producer = Producer::<u32>::open(pages.parts()).unwrap();
    let mut consumer = Consumer::<u32>::open(pages.parts()).unwrap();
    assert_eq!(consumer.arm(1), Ok(false));
    producer.push(&7).unwrap();
    assert!(producer.publish());
    producer.push(&8).unwrap();
    assert!(!producer.publish());
    assert_eq!(consumer.arm(2), Ok(true));
}

#[test]
fn a_producer_that_waits_for_room_is_rung_when_there_is_enough() {
    let pages = Pages::new(16);
    let mut producer = Producer::<u32>::open(pages.parts()).unwrap();
    let mut consumer = Consumer::<u32>::open(pages.parts()).unwrap();
    for value in 0..4 {
        producer.push(&value).unwrap();
    }
    let _ = producer.publish();
    assert_eq!(producer.arm(2), Ok(false));
    consumer.pop().unwrap();
    assert!(!consumer.publish());
    consumer.pop().unwrap();
    assert!(consumer.publish());
    assert_eq!(producer.arm(2), Ok(true));
}

#[test]
fn parts_of_a_wrong_size_are_refused() {
    let host = HostMemory::new(PAGE);
    let memory = host.memory();
    let of = |len| Parts {
        producer: memory.part(0, HEADER).unwrap(),
        entries: memory.part(128, len).unwrap(),
        consumer: memory.part(64, HEADER).unwrap(),
    };
    assert_eq!(Producer::<u32>::open(of(12)).unwrap_err(), Error::Shape);
    assert_eq!(Producer::<u32>::open(of(0)).unwrap_err(), Error::Shape);
    assert_eq!(bytes::Consumer::open(Parts::default()).unwrap_err(), Error::Shape);
    let layout = queue::Layout::new(1024);
    assert_eq!(queue::Client::<u32, u32>::open(layout, memory, memory).unwrap_err(), Error::Shape);
}

#[test]
fn a_handle_is_narrowed_but_never_widened() {
    let host = HostMemory::new(PAGE);
    let part = host.memory().part(8, 16).unwrap();
    assert_eq!(part.len(), 16);
    assert!(part.part(16, 0).is_some());
    assert!(part.part(0, 17).is_none());
    assert!(part.part(usize::MAX, 2).is_none());
    part.write(0, &0x1122_3344_u32);
    assert_eq!(host.memory().read::<u32>(8), 0x1122_3344);
    host.memory().fill(0, 100, 5);
    assert_eq!(host.memory().read::<[u8; 102]>(0)[98..], [5, 5, 0, 0]);
    assert!(Memory::empty().is_empty());
}

#[test]
#[cfg(not(debug_assertions))]
fn access_outside_reads_zeros_and_writes_nothing() {
    let host = HostMemory::new(PAGE);
    host.memory().fill(0, PAGE, 9);
    let part = host.memory().part(0, 8).unwrap();
    assert_eq!(part.read::<u32>(6), 0);
    assert_eq!(part.load_u32_acquire(8), 0);
    assert_eq!(part.load_u32_acquire(1), 0);
    assert_eq!(part.load_u64_acquire(8), 0);
    part.write(6, &0u32);
    part.store_u32_release(8, 0);
    part.store_u64_release(8, 0);
    part.fill(4, 5, 0);
    assert_eq!(host.memory().read::<[u8; 16]>(0), [9; 16]);
}

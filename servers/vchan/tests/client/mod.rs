//! A client as libxenvchan has it: it reads its own indices from the page, and asks and tells by bits.
#![allow(dead_code)]

use shared::{Memory, PAGE};

pub struct Client {
    memory: Memory,
    left: (Memory, u32),
    right: (Memory, u32),
}

impl Client {
    /// Connects as a client does that found `reference` in XenStore: the other pages must have the references after it.
    pub fn connect(memory: Memory, reference: u32) -> Self {
        let left_order = memory.read::<u16>(16);
        let right_order = memory.read::<u16>(18);
        let mut next = 0;
        let mut ring = |order: u16| {
            let bytes = 1usize << order;
            if order < 12 {
                return (memory.part(bytes, bytes).unwrap(), bytes as u32);
            }
            let first = memory.load_u32_relaxed(24 + next * 4) - reference;
            for page in 0..bytes / PAGE {
                assert_eq!(memory.load_u32_relaxed(24 + next * 4) - reference, first + page as u32);
                next += 1;
            }
            (memory.part(first as usize * PAGE, bytes).unwrap(), bytes as u32)
        };
        let (left, right) = (ring(left_order), ring(right_order));
        memory.write(20, &1u8);
        memory.write(23, &1u8);
        Self { memory, left, right }
    }

    /// As [`Self::connect`], after a client that overwrote what is constant.
    pub fn restore(memory: Memory, reference: u32, left: u16, right: u16) -> Self {
        memory.write(16, &left.to_le_bytes());
        memory.write(18, &right.to_le_bytes());
        for at in 0..(memory.len() / PAGE - 1) {
            memory.store_u32_relaxed(24 + at * 4, reference + 1 + at as u32);
        }
        Self::connect(memory, reference)
    }

    pub fn again(&self) -> Self {
        self.memory.write(20, &1u8);
        self.memory.write(23, &1u8);
        Self { memory: self.memory, left: self.left, right: self.right }
    }

    pub fn leave(&mut self) {
        self.memory.write(20, &0u8);
    }

    pub fn orders(&self) -> (u16, u16) {
        (self.left.1.trailing_zeros() as u16, self.right.1.trailing_zeros() as u16)
    }

    pub fn is_served(&self) -> bool {
        self.memory.read::<u8>(21) == 1
    }

    pub fn ask_for_room(&self) {
        let bits: u8 = self.memory.read(23);
        self.memory.write(23, &(bits | 2));
    }

    pub fn set_produced(&self, value: u32) {
        self.memory.store_u32_relaxed(4, value);
    }

    pub fn set_consumed(&self, value: u32) {
        self.memory.store_u32_relaxed(8, value);
    }

    pub fn room(&self) -> usize {
        let (consumed, produced) =
            (self.memory.load_u32_acquire(0), self.memory.load_u32_acquire(4));
        (self.left.1 as usize).saturating_sub(produced.wrapping_sub(consumed) as usize)
    }

    pub fn write(&mut self, from: &[u8]) -> usize {
        let (bytes, size) = self.left;
        let produced = self.memory.load_u32_acquire(4);
        let from = &from[..from.len().min(self.room())];
        for (at, byte) in (0..).zip(from) {
            bytes.write((produced.wrapping_add(at) & (size - 1)) as usize, byte);
        }
        self.memory.store_u32_release(4, produced.wrapping_add(from.len() as u32));
        from.len()
    }

    /// All that the server wrote.
    pub fn read(&mut self) -> Vec<u8> {
        let (bytes, size) = self.right;
        let (consumed, produced) =
            (self.memory.load_u32_acquire(8), self.memory.load_u32_acquire(12));
        let waiting = produced.wrapping_sub(consumed);
        assert!(waiting <= size);
        let read =
            (0..waiting).map(|at| bytes.read((consumed.wrapping_add(at) & (size - 1)) as usize));
        let read = read.collect();
        self.memory.store_u32_release(8, produced);
        read
    }
}

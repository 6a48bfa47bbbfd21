//! Random traps: every trap number and every handle, with random words.

use crate::raw::{Registers, trap};

/// SplitMix64: enough to be different each time, and the same for the same seed.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A word that looks like something: small, a power of two, an address, or anything.
    fn word(&mut self) -> u64 {
        match self.next() % 6 {
            0 => self.next() % 16,
            1 => 1 << (self.next() % 64),
            2 => 0x8000_0000_0000_0000 | self.next(),
            3 => 0x40_0000 + self.next() % 0x10_0000,
            4 => u64::MAX - self.next() % 16,
            _ => self.next(),
        }
    }

    fn registers(&mut self, rax: u64) -> Registers {
        let mut registers = Registers::default();
        for value in &mut registers.values {
            *value = self.word();
        }
        registers.values[0] = rax;
        registers
    }
}

const REPLY: u64 = 2;
const NOTIFY: u64 = 3;
/// The wire to the supervisor.
const SUPERVISOR: u64 = 1;

/// Random traps that a server may make: replies with made-up tokens, notifications, calls with random words to the supervisor.
pub fn allowed(random: &mut Random, rounds: u32) {
    for _ in 0..rounds {
        let rax = match random.next() % 3 {
            0 => random.next() & !0xff | REPLY,
            1 => SUPERVISOR << 8 | NOTIFY,
            _ => SUPERVISOR << 8,
        };
        trap(&random.registers(rax));
    }
}

/// One trap with everything random; most are forbidden and end the server.
pub fn anything(random: &mut Random) {
    let number = random.next() % 8;
    let handle = match random.next() % 3 {
        0 => random.next() % 16,
        1 => random.word() >> 8,
        _ => 1 << (random.next() % 56),
    };
    trap(&random.registers(handle << 8 | number));
}

//! Random steps that come out the same for a seed, quick enough for millions of them.

use abi::kernel::control::SlotState;

use super::steps::Step;

/// Random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn slot(&mut self) -> u16 {
        self.below(7) as u16
    }

    /// A step where nobody runs: somebody comes to life.
    pub fn wake(&mut self) -> Step {
        let (slot, thread) = (self.slot(), 1 + self.below(7) as u16);
        match self.below(8) {
            0..4 => Step::Raise { slot, bits: 1 + self.below(3) },
            4 | 5 => Step::Start { thread },
            6 => Step::Restart { slot: 1 + slot % 6 },
            _ => Step::Cancel { thread },
        }
    }

    /// A step: mostly calls, answers and waits.
    pub fn step(&mut self) -> Step {
        let (slot, thread) = (self.slot(), 1 + self.below(7) as u16);
        let label = self.below(1000);
        match self.below(256) {
            0..88 => Step::Call { to: slot, label },
            88..160 => {
                Step::Answer { back: self.below(4) as usize, label, wait: self.below(4) != 0 }
            }
            160..204 => Step::Wait,
            204..232 => Step::Notify { to: self.below(9) as u16 },
            232..236 => Step::Trap { number: self.below(6) as u8, above: self.above(), label },
            236..240 => Step::Kernel { label: [2, 3, 5, 5, 5, 77, 1, 2][self.below(8) as usize] },
            240 => Step::Exception,
            241..244 => Step::Interrupt,
            244..247 => Step::Raise { slot, bits: self.below(4) },
            247 => Step::Stop { thread },
            248..251 => Step::Start { thread },
            251 => Step::Cancel { thread },
            252 => Step::Set { slot: 1 + slot % 6, state: self.state() },
            253 if self.below(4) == 0 => Step::Destroy { slot: 1 + slot % 6 },
            254 => Step::Create { slot: 1 + slot % 6 },
            _ => Step::Restart { slot: 1 + slot % 6 },
        }
    }

    fn above(&mut self) -> u64 {
        if self.below(2) == 0 { self.below(16) } else { self.next() }
    }

    fn state(&mut self) -> SlotState {
        match self.below(8) {
            0 => SlotState::Off,
            1 => SlotState::Down,
            _ => SlotState::Up,
        }
    }
}

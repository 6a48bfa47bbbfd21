//! [`Marks`]: a set of small numbers, as plain data.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A set of numbers below 256, such as the buffers that a backend has at the moment.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Marks([u64; 4]);

impl Marks {
    /// How many numbers there are: 0 to 255.
    pub const SIZE: u16 = 256;

    /// Whether `number` is in the set; false when it is too large to be.
    #[must_use]
    pub fn has(&self, number: u16) -> bool {
        self.0.get(usize::from(number / 64)).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// Adds `number`. False, and nothing is changed, if it was there or is too large.
    pub fn add(&mut self, number: u16) -> bool {
        self.flip(number, false)
    }

    /// Removes `number`. False, and nothing is changed, if it was not there.
    pub fn remove(&mut self, number: u16) -> bool {
        self.flip(number, true)
    }

    /// How many numbers are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The numbers in the set, rising.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        let set = *self;
        (0..Self::SIZE).filter(move |number| set.has(*number))
    }

    fn flip(&mut self, number: u16, from: bool) -> bool {
        if self.has(number) != from {
            return false;
        }
        let word = self.0.get_mut(usize::from(number / 64));
        word.map(|word| *word ^= 1 << (number % 64)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_number_is_there_once() {
        let mut marks = Marks::default();
        assert!(marks.add(0) && marks.add(255) && marks.add(64));
        assert!(!marks.add(255));
        assert!(!marks.add(256));
        assert_eq!(marks.iter().collect::<Vec<_>>(), [0, 64, 255]);
        assert!(marks.remove(64));
        assert!(!marks.remove(64));
        assert!(!marks.remove(256));
        assert_eq!(marks.count(), 2);
    }
}

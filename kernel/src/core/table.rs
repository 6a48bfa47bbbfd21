//! Numbers of objects and the fixed tables that hold them.
//!
//! A number from outside becomes a typed one by [`Table::check`] alone, so a typed number other than `NONE` is in range. If a
//! bug breaks that, the table hands out its spare element: such a bug damages nothing else, and the kernel does not panic
//! (test builds do).

use core::marker::PhantomData;
use core::ops::{Index, IndexMut};

/// A typed number of an object.
pub trait Number: Copy + PartialEq {
    /// From a plain number.
    fn from_raw(raw: u16) -> Self;
    /// As a plain number.
    fn raw(self) -> u16;
}

macro_rules! numbers {
    ($($(#[$about:meta])* $name:ident)*) => { $(
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(transparent)]
        pub struct $name(pub u16);

        impl $name {
            /// No object.
            pub const NONE: Self = Self(u16::MAX);

            /// The number, unless it is that of no object.
            pub fn some(self) -> Option<Self> {
                (self != Self::NONE).then_some(self)
            }
        }

        impl Number for $name {
            fn from_raw(raw: u16) -> Self {
                Self(raw)
            }
            fn raw(self) -> u16 {
                self.0
            }
        }
    )* };
}
numbers! {
    /// Number of a thread, and of the server that it belongs to.
    ThreadId
    /// Number of a slot, its inbox and its account.
    SlotId
    /// Number of a region.
    RegionId
    /// Number of a port.
    PortId
    /// Number of a window.
    WindowId
    /// Number of a vCPU.
    VcpuId
}

/// The index, and 0 if it is not below `count`: by arithmetic, so that a processor which guesses that a check before it will
/// pass does not read beyond a table meanwhile.
pub fn clamp(index: u16, count: u16) -> u16 {
    let below = (i32::from(index) - i32::from(count)) >> 31;
    // -1 keeps all bits of the index, 0 none; the compiler must not make a branch of it.
    let [low, high, ..] = core::hint::black_box(below).to_le_bytes();
    index & u16::from_le_bytes([low, high])
}

/// A table of objects of one kind.
#[derive(Debug)]
pub struct Table<'a, N, T> {
    items: &'a mut [T],
    spare: T,
    number: PhantomData<N>,
}

impl<'a, N: Number, T: Default> Table<'a, N, T> {
    /// A table over some memory; what exceeds the room for numbers is not used.
    pub fn new(items: &'a mut [T]) -> Self {
        let usable = items.len().min(usize::from(u16::MAX));
        let items = items.get_mut(..usable).unwrap_or_default();
        Self { items, spare: T::default(), number: PhantomData }
    }

    /// The typed number, if there is such an object.
    pub fn check(&self, raw: u16) -> Option<N> {
        let count = u16::try_from(self.items.len()).unwrap_or(u16::MAX);
        (raw < count).then(|| N::from_raw(clamp(raw, count)))
    }

    /// Whether there is such an object, for a number that does not come from a server.
    pub fn has(&self, number: N) -> bool {
        usize::from(number.raw()) < self.items.len()
    }

    /// All numbers.
    pub fn numbers(&self) -> impl Iterator<Item = N> + use<N, T> {
        // The length was cut to the room for numbers.
        (0..u16::try_from(self.items.len()).unwrap_or(u16::MAX)).map(N::from_raw)
    }

    /// Address of the first object.
    pub fn address(&mut self) -> u64 {
        self.items.as_mut_ptr().expose_provenance() as u64
    }

    /// All objects.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.items.iter()
    }
}

impl<N: Number, T> Index<N> for Table<'_, N, T> {
    type Output = T;
    fn index(&self, number: N) -> &T {
        debug_assert!(usize::from(number.raw()) < self.items.len(), "number {}", number.raw());
        self.items.get(usize::from(number.raw())).unwrap_or(&self.spare)
    }
}

impl<N: Number, T> IndexMut<N> for Table<'_, N, T> {
    fn index_mut(&mut self, number: N) -> &mut T {
        debug_assert!(usize::from(number.raw()) < self.items.len(), "number {}", number.raw());
        self.items.get_mut(usize::from(number.raw())).unwrap_or(&mut self.spare)
    }
}

#[cfg(test)]
mod tests {
    use super::clamp;

    #[test]
    fn indexes_below_the_count_stay_and_others_become_zero() {
        for count in [0, 1, 7, 256, u16::MAX] {
            for index in [0, 1, 6, 7, 255, 256, u16::MAX - 1, u16::MAX] {
                let expected = if index < count { index } else { 0 };
                assert_eq!(clamp(index, count), expected, "{index} of {count}");
            }
        }
    }
}

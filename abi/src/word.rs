//! What fits a message: one word each, decoded once at the boundary.

use crate::hash;
use crate::message::WORDS;

/// A type that travels in one word.
pub trait Word: Sized {
    /// Its name in the canonical text of a contract.
    const NAME: &'static str;
    /// Encodes.
    fn to_word(self) -> u64;
    /// Decodes; `None` if the word is no value of the type.
    fn from_word(word: u64) -> Option<Self>;
}

macro_rules! integers {
    ($($type:ident)*) => { $(
        impl Word for $type {
            const NAME: &'static str = stringify!($type);
            fn to_word(self) -> u64 {
                u64::from(self)
            }
            fn from_word(word: u64) -> Option<Self> {
                Self::try_from(word).ok()
            }
        }
    )* };
}
integers!(u8 u16 u32 u64);

impl Word for bool {
    const NAME: &'static str = "bool";
    fn to_word(self) -> u64 {
        u64::from(self)
    }
    fn from_word(word: u64) -> Option<Self> {
        match word {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// An enumeration that travels in one word, by its declared numbers.
///
/// ```
/// abi::word_enum! {
///     /// Which way.
///     pub enum Way {
///         /// Towards.
///         In = 1,
///         /// Away.
///         Out = 2,
///     }
/// }
/// use abi::Word;
/// assert_eq!(Way::from_word(2), Some(Way::Out));
/// assert_eq!(Way::from_word(3), None);
/// ```
#[macro_export]
macro_rules! word_enum {
    ($(#[$outer:meta])* pub enum $name:ident { $($(#[$inner:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        pub enum $name { $($(#[$inner])* $variant = $number,)+ }

        impl $crate::Word for $name {
            const NAME: &'static str =
                concat!(stringify!($name), "{", $(stringify!($variant), "=", stringify!($number), ","),+, "}");
            fn to_word(self) -> u64 {
                self as u64
            }
            fn from_word(word: u64) -> Option<Self> {
                match word {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

/// What a method returns: nothing, one word, or a tuple of up to five.
pub trait Words: Sized {
    /// Hash of the types, in order.
    const HASH: u64;
    /// Encodes.
    fn to_words(self) -> [u64; WORDS];
    /// Decodes; `None` if a word is no value of its type.
    fn from_words(words: [u64; WORDS]) -> Option<Self>;
}

impl Words for () {
    const HASH: u64 = hash::combine(&[]);
    fn to_words(self) -> [u64; WORDS] {
        [0; WORDS]
    }
    fn from_words(_: [u64; WORDS]) -> Option<Self> {
        Some(())
    }
}

impl<A: Word> Words for A {
    const HASH: u64 = hash::combine(&[hash::text(A::NAME)]);
    fn to_words(self) -> [u64; WORDS] {
        [self.to_word(), 0, 0, 0, 0]
    }
    fn from_words([a, ..]: [u64; WORDS]) -> Option<Self> {
        A::from_word(a)
    }
}

macro_rules! tuples {
    ($(($($type:ident $value:ident),+; $($zero:literal)*);)+) => { $(
        impl<$($type: Word),+> Words for ($($type,)+) {
            const HASH: u64 = hash::combine(&[$(hash::text($type::NAME)),+]);
            fn to_words(self) -> [u64; WORDS] {
                let ($($value,)+) = self;
                [$($value.to_word(),)+ $($zero),*]
            }
            fn from_words([$($value,)+ ..]: [u64; WORDS]) -> Option<Self> {
                Some(($($type::from_word($value)?,)+))
            }
        }
    )+ };
}
tuples! {
    (A a, B b; 0 0 0);
    (A a, B b, C c; 0 0);
    (A a, B b, C c, D d; 0);
    (A a, B b, C c, D d, E e;);
}

#[cfg(test)]
mod tests {
    use super::{Word, Words};

    #[test]
    fn narrow_integers_refuse_wide_words() {
        assert_eq!(u8::from_word(256), None);
        assert_eq!(u16::from_word(65_535), Some(65_535));
        assert_eq!(bool::from_word(2), None);
    }

    #[test]
    fn tuples_keep_their_order() {
        let words = (1u8, 2u16, 3u32, 4u64, true).to_words();
        assert_eq!(words, [1, 2, 3, 4, 1]);
        assert_eq!(<(u8, u16, u32, u64, bool)>::from_words(words), Some((1, 2, 3, 4, true)));
    }

    #[test]
    fn return_types_have_different_hashes() {
        assert_ne!(<(u8, u16)>::HASH, <(u16, u8)>::HASH);
        assert_ne!(u8::HASH, <()>::HASH);
    }
}

//! The layout of state as a hash, made by the compiler from the declaration of the types.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use abi::hash::{combine, text};

/// A type whose layout in a record is known by a hash: equal for equal layouts, whatever compiler made them.
pub trait Schema {
    /// The hash.
    const HASH: u64;
}

macro_rules! plain {
    ($($type:ty = $name:literal),+ $(,)?) => {
        $(impl Schema for $type { const HASH: u64 = text($name); })+
    };
}

plain! {
    bool = "bool", u8 = "u8", u16 = "u16", u32 = "u32", u64 = "u64", u128 = "u128", usize = "usize",
    i8 = "i8", i16 = "i16", i32 = "i32", i64 = "i64", String = "string", () = "nothing",
}

impl<T: Schema> Schema for Vec<T> {
    const HASH: u64 = combine(&[text("sequence"), T::HASH]);
}

impl<T: Schema> Schema for VecDeque<T> {
    const HASH: u64 = <Vec<T>>::HASH;
}

impl<T: Schema> Schema for Option<T> {
    const HASH: u64 = combine(&[text("option"), T::HASH]);
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    const HASH: u64 = combine(&[text("array"), N as u64, T::HASH]);
}

impl<K: Schema, V: Schema> Schema for BTreeMap<K, V> {
    const HASH: u64 = combine(&[text("map"), K::HASH, V::HASH]);
}

impl<A: Schema, B: Schema> Schema for (A, B) {
    const HASH: u64 = combine(&[text("tuple"), A::HASH, B::HASH]);
}

impl<A: Schema, B: Schema, C: Schema> Schema for (A, B, C) {
    const HASH: u64 = combine(&[text("tuple"), A::HASH, B::HASH, C::HASH]);
}

/// Declares types that state is made of. A struct with a name after the colon is a [`Record`](crate::state::Record) of its
/// own; one without, and an `enum`, is a part of others. Variants of an enumeration carry nothing or values without names.
///
/// ```
/// ipc::state! {
///     /// A connection.
///     pub struct Connection {
///         /// Bytes sent.
///         pub sent: u64,
///         /// How far its request has come.
///         pub progress: Progress,
///     }
///     /// How far a request has come.
///     pub enum Progress {
///         /// Nothing came yet.
///         Idle,
///         /// These bytes of it.
///         Head(Vec<u8>),
///     }
///     /// All connections.
///     pub struct Connections: "httpd.connections" {
///         /// By their number.
///         pub open: Vec<(u32, Connection)>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! state {
    () => {};
    (
        $(#[$about:meta])*
        pub struct $name:ident $(: $record:literal)? {
            $($(#[$about_field:meta])* pub $field:ident: $type:ty,)*
        }
        $($rest:tt)*
    ) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Debug, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "::ipc::serde")]
        pub struct $name {
            $($(#[$about_field])* pub $field: $type,)*
        }
        impl $crate::state::Schema for $name {
            const HASH: u64 = $crate::abi::hash::combine(&[
                $crate::abi::hash::text("struct"),
                $($crate::abi::hash::text(stringify!($field)), <$type as $crate::state::Schema>::HASH,)*
            ]);
        }
        $(impl $crate::state::Record for $name {
            const NAME: &'static str = $record;
        })?
        $crate::state! { $($rest)* }
    };
    (
        $(#[$about:meta])*
        pub enum $name:ident {
            $($(#[$about_variant:meta])* $variant:ident $(($($type:ty),+))?,)+
        }
        $($rest:tt)*
    ) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Debug, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "::ipc::serde")]
        pub enum $name {
            $($(#[$about_variant])* $variant $(($($type),+))?,)+
        }
        impl $crate::state::Schema for $name {
            const HASH: u64 = $crate::abi::hash::combine(&[
                $crate::abi::hash::text("enum"),
                $($crate::abi::hash::text(stringify!($variant)), $($(<$type as $crate::state::Schema>::HASH,)+)?)+
            ]);
        }
        $crate::state! { $($rest)* }
    };
}

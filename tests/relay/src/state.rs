//! The state of a relay.

ipc::state! {
    /// Everything that is counted.
    pub struct Counters: "relay.counters" {
        /// Calls of each client, by its number.
        pub counts: Vec<(u16, u64)>,
        /// Right answers.
        pub right: u64,
        /// Wrong ones.
        pub wrong: u64,
        /// How a bad successor misbehaves.
        pub act: u32,
        /// How often it was taken over.
        pub successions: u32,
    }
    /// The same in another layout.
    pub struct CountersTwo: "relay.counters" {
        /// How often it was taken over.
        pub successions: u32,
        /// Calls of each client, by its number.
        pub counts: BTreeMap<u16, u64>,
        /// Right answers, and wrong ones.
        pub judged: (u64, u64),
        /// How a bad successor misbehaves.
        pub act: u32,
    }
    /// A call that is held.
    pub struct Held: "relay.held" {
        /// Its token.
        pub token: u64,
        /// Its word.
        pub word: u64,
    }
}

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

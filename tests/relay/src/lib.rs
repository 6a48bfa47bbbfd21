//! A server that holds calls and counts others, and hands all of that to its successor.
//!
//! Invariant: what it holds is answered once, by whoever serves when it is released, with words that only the caller's own
//! call gives. It exists to be swapped.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod protocol;
mod relay;
pub mod state;

pub use relay::{Layout, Relay};

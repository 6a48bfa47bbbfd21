//! The operator's link: a vchan that domain 0 alone can open, and what may be asked over it.
//!
//! Invariant: one client at a time, one request at a time. Nothing is read while an answer waits to be taken, so a client that
//! does not read holds up itself; what a client can make this server keep is bounded by constants. A client that breaks the
//! protocol is hung up on, and the next one begins clean. Whatever it does, no other server waits for this one: log lines that
//! find it busy are dropped in their ring and counted.
//!
//! It hands to a successor who is at the link, requests and answers of which a part went over it, lines that are waited for and
//! those that are kept.
//!
//! It decides nothing about servers: it asks the supervisor, by the interfaces that the console has too.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod door;
mod keeper;
mod manage;
mod notice;
mod serve;
mod session;
pub mod state;

pub use door::Setup;
pub use keeper::{BYTES, Keeper};
pub use manage::Manage;
pub use serve::Operator;

//! Memory that another server or another domain may write at any time: the only way to touch it, and rings over it.
//!
//! Invariant: no Rust reference to such memory ever exists; every access is volatile or atomic and is checked against
//! the bounds of its handle. Whatever a peer writes there is a value to judge, never a cause of undefined behaviour,
//! of a panic or of an access outside the handle.
//!
//! - [`Memory`]: a handle on the bytes; copies in and out.
//! - [`ring`]: entries of a fixed size from one producer to one consumer.
//! - [`bytes`]: the same for a stream of bytes.
//! - [`record`]: a record that outlives its writer, in memory that survives a crash.
//! - [`queue`]: a pair of rings, submit and complete, with room for data: what drivers and their clients speak.
//!
//! Every page has one writer. A producer's header and entries lie in pages that only the producer writes, a consumer's
//! header in pages that only the consumer writes; a restarted side goes on from its own page.
//!
//! This crate does not map memory, does not ring a peer (its calls *say* when to), and knows no protocol.

#![no_std]

#[cfg(not(xylem_user))]
extern crate std;

pub mod bytes;
mod header;
#[cfg(not(any(xylem_user, loom)))]
mod host;
mod memory;
#[cfg(loom)]
mod model;
pub mod queue;
#[cfg(not(loom))]
mod raw;
pub mod record;
pub mod ring;

pub use header::{Error, HEADER, precedes};
#[cfg(not(any(xylem_user, loom)))]
pub use host::{HostMemory, Stopped, with_peer, with_stores};
pub use memory::{Memory, full_fence};
#[cfg(loom)]
pub use model::leaked;

/// Bytes in a page: the unit in which memory is mapped, granted and given one writer.
pub const PAGE: usize = 4096;

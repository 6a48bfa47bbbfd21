//! The kernel's own interfaces, each behind a handle, declared like those of servers.
//!
//! Every call is bounded: work that grows with memory does at most [`PAGES_PER_CALL`] pages and says how far it came; the
//! caller loops. All of them answer at once.

pub mod control;
pub mod own;
pub mod port;
pub mod window;

/// The most pages that one kernel call maps, unmaps, zeroes, frees or grants.
pub const PAGES_PER_CALL: u32 = 32;

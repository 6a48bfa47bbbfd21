//! The driver of a Xen disk: takes its client's requests (`ipc::block`), shows them to the backend, and answers them.
//!
//! Data lies in the wire's memory, which is granted to the backend while the device is connected; nothing is copied here.
//! Invariant: each request that a client submitted gets one answer, and `OK` only if the backend said so. While the backend is
//! away requests wait; when it is back those that it had are done again first, in their order. When the device is removed
//! or broken they fail, and so does all that the session asks from then on. A new session does not begin before the
//! backend is done with the old one's memory.
//!
//! It has one client and one device, and keeps no state over its own restart: the device is closed and connected anew, the
//! client begins a new session and asks again.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod drive;
mod judge;
mod pool;
mod server;
mod session;

pub use drive::Drive;
pub use pool::Pool;
pub use server::Blkfront;

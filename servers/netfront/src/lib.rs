//! The driver of a Xen network device: takes its client's buffers (`ipc::nic`), shows them to the backend, and gives
//! them back filled or sent.
//!
//! Buffers lie in the wire's memory, which is granted to the backend while the device is connected; nothing is copied
//! here. Invariant: each buffer that a client submitted comes back once, whatever the backend does: a frame that could
//! not be sent with length 0, a page to be filled stays until it is filled, over a reconnect too. A buffer that the
//! backend still has from an earlier session of the client is never shown to it a second time.
//!
//! It does not look into frames. It has one client and one device, and keeps no state over its own restart: the device is
//! closed and connected anew, the client begins a new session.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod card;
mod pool;
mod rings;
mod server;
mod session;

pub use card::Card;
pub use pool::Pool;
pub use server::Netfront;

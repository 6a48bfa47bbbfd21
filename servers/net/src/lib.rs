//! The TCP/IP stack: smoltcp between a network interface and sockets in shared memory.
//!
//! It speaks ARP, IPv4 (fragments too, up to 16 KiB), ICMP (it answers pings), DHCP, UDP and TCP. A byte that is received is
//! copied from the device's memory to a private frame, by smoltcp to the connection's buffer, and to the client's ring; one
//! that is sent goes the same way back. The stack works on private memory alone.
//!
//! Invariant: no frame and no client can make it panic or use more memory than was planned; a client that misuses its
//! session loses it, and nobody else notices.
//!
//! It does not route, has no IPv6, and keeps nothing when it is started again: connections are reset then.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(xylem_user))]
extern crate std;

mod config;
mod device;
mod echo;
mod flow;
mod frame;
mod listener;
#[cfg(not(xylem_user))]
pub mod peer;
mod pump;
mod request;
mod server;
mod session;
mod stack;
mod udp;

pub use config::{Config, Source};
pub use server::Net;

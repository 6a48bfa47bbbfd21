//! The supervisor: started by the kernel, starts every other server from the boot image, watches them, starts them again.
//!
//! Invariant: it calls nobody but the kernel, so nothing that a server does can hold it up. Others call it ([`ipc::supervisor`],
//! [`ipc::status`], [`ipc::operator`], [`ipc::history`]); what it has to tell them waits in a queue for which it sets bit 63. Boot and restart
//! are the same code, and a server is built from a sealed image whose digest was checked.
//!
//! It looks nothing up by name: `pack` has decided which handles, pages and wires there are ([`ipc::system`]). It exchanges the
//! servers of a running system for others of the boot image; it does not exchange itself, and does not survive its own death.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod backoff;
pub mod boot;
pub mod check;
mod chronicle;
pub mod ending;
pub mod events;
pub mod fault;
pub mod host;
mod keep;
pub mod kernel;
pub mod links;
pub mod load;
mod managers;
pub mod overrides;
mod serve;
pub mod supervisor;
mod swap;
mod trace;
mod vcpus;

pub use boot::boot;
pub use host::Host;
pub use supervisor::Supervisor;

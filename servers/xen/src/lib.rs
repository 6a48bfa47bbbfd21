//! The protocols of Xen's split devices, as a front end speaks them: console, xenstore, xenbus, network and block.
//!
//! Invariant: whatever a backend or xenstored writes into a shared page or answers is read once, copied, checked, and
//! at worst makes the device [`Broken`]; it never causes a panic, an endless loop, or an access outside the memory that
//! was handed in. All of it is pure: memory comes in as [`shared::Memory`], and a call that wants the peer rung says so.
//! Sizes and numbers are those of Xen's public headers, named at each file.
//!
//! This crate does not map, grant, bind event channels or make calls to other servers; the drivers do.
//!
//! On the host, [`fake`] has back ends to test against, honest ones.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(not(xylem_user))]
extern crate std;

pub mod blkif;
pub mod console;
#[cfg(not(xylem_user))]
pub mod fake;
mod marks;
pub mod netif;
pub mod number;
pub mod ring;
pub mod store;
pub mod xenbus;

pub use marks::Marks;

/// The peer did what the protocol forbids; nothing of the device is to be trusted until it is connected anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// Why a front end does not take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The ring is full, or requests from before a reconnect are still being done; try again after an answer.
    Full,
    /// The request is malformed, or its buffer is in use already: the caller's mistake.
    Invalid,
    /// The device is broken.
    Broken,
}

impl From<Broken> for Refused {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

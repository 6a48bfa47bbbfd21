//! How the kernel is entered, and what it is told on entry.
//!
//! [`start_info`] reads the records that a PVH loader hands over (pure: it takes a function that reads memory), [`memory`]
//! keeps track of free memory until the core does, `entry` is the way from the loader's 32-bit state to 64-bit Rust.
//!
//! Nothing here keeps a reference into the loader's memory: all is copied out before anything is allocated.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(not(target_os = "none"), forbid(unsafe_code))]

#[cfg(target_os = "none")]
pub mod entry;
pub mod memory;
pub mod start_info;

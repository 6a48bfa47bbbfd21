//! The kernel: [`core`] decides (pure, tested on the host), `machine` does (all of the kernel's unsafe code).
#![no_std]

#[cfg(test)]
extern crate std;

pub mod core;
#[cfg(target_os = "none")]
pub mod machine;

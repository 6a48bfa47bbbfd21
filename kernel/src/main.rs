//! The kernel's program: everything is in the library; the entry point is `boot`'s.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

// Linked for its entry point and its panic handler.
#[cfg(target_os = "none")]
use kernel as _;

/// On a host there is nothing to run: the kernel is built for `x86_64-unknown-none`.
#[cfg(not(target_os = "none"))]
fn main() {}

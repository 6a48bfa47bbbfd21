//! The kernel: [`core`] decides (pure, tested on the host), `machine` does (all of the kernel's unsafe code).
#![no_std]

#[cfg(any(test, fuzzing))]
extern crate std;

pub mod core;
#[cfg(target_os = "none")]
pub mod machine;
/// On the host, the quick path alone: it is tested against the core.
#[cfg(all(test, not(target_os = "none")))]
mod machine {
    pub mod quick;
    pub mod quick_host;
}

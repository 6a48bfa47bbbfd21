//! The machine layer: all of the kernel's unsafe code. It does what the core decides, and decides nothing itself.
//!
//! [`start`] brings the domain up, [`entry`] and [`quick`] are the assembly, [`exceptions`] what it calls; [`xen`] speaks to the
//! hypervisor; [`paging`] and [`pool`] keep the kernel's memory.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod audit;
pub mod command;
pub mod cpu;
pub mod debug;
pub mod descriptors;
pub mod entry;
pub mod exceptions;
pub mod frame;
pub mod hardware;
pub mod layout;
pub mod local_apic;
pub mod lock;
pub mod others;
pub mod paging;
pub mod panic;
pub mod pool;
pub mod processors;
pub mod quick;
pub mod run;
pub mod space;
pub mod start;
pub mod timer;
pub mod vcpu;
pub mod xen;

/// The kernel's wiring note: the ABI that it was built for, read by `pack`.
// SAFETY: the section is never loaded; nothing but `pack` reads it.
#[unsafe(link_section = ".wiring")]
#[used]
static ABI: [u8; abi::wiring::RECORD] = abi::wiring::abi_record();

//! The contract between the kernel and its servers.
//!
//! Everything here is plain data and pure functions: trap numbers and registers ([`trap`]), messages and what they
//! carry ([`message`], [`word`]), who calls ([`badge`]), what may be answered ([`token`]), the kernel's own interfaces
//! ([`kernel`]), the layout of an address space ([`layout`]), and the format of the boot image ([`image`]).
//!
//! One declaration, [`interface!`], describes a call; the trait, the client, the dispatcher and the hash of each method
//! come from it. The same macro declares the interfaces between servers (crate `ipc`).
//!
//! It does not trap: the four traps are the trait [`trap::Traps`], implemented by the run-time of the servers and by the
//! loopback of the host tests.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod badge;
pub mod fault;
pub mod hash;
pub mod image;
pub mod interface;
pub mod kernel;
pub mod layout;
pub mod message;
pub mod start;
pub mod status;
pub mod token;
pub mod trap;
pub mod wiring;
pub mod word;

pub use badge::Badge;
pub use interface::{Answer, Call, CallError, Caller, Method, Waiting};
pub use message::Message;
pub use status::Status;
pub use token::Token;
pub use trap::{Event, Handle, Traps};
pub use word::{Word, Words};

/// Hash of all that a server and the kernel must agree on; `pack` refuses a server or a kernel built for another one.
pub const ABI_HASH: u64 = hash::combine(&[
    hash::text("xylem trap abi 1"),
    hash::methods(kernel::own::METHODS),
    hash::methods(kernel::port::METHODS),
    hash::methods(kernel::window::METHODS),
    hash::methods(kernel::control::METHODS),
    image::VERSION as u64,
    layout::VERSION as u64,
]);

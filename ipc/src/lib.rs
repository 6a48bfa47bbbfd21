//! The contracts between servers: one interface, one file, and what is needed to speak them.
//!
//! An interface's module has the names that `abi::interface!` gives it (`NAME`, `METHODS`, `Error`, `Server`, `Client`,
//! `dispatch`) and [`WIRE`](abi::wiring::WireShape), the memory that client and server share. [`wiring!`] declares what a
//! server serves and needs; [`serve`] is its main loop; [`loopback`] runs servers and clients on the host, for tests.
//!
//! Nothing here traps or touches shared memory by itself: that is the run-time (`rt`) and the crate `shared`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
extern crate self as ipc;
#[cfg(not(xylem_user))]
extern crate std;

pub mod block;
pub mod console;
pub mod files;
pub mod history;
pub mod host;
pub mod log;
#[cfg(not(xylem_user))]
pub mod loopback;
pub mod manage;
pub mod nic;
pub mod operator;
pub mod scheduler;
pub mod serve;
pub mod socket;
pub mod state;
pub mod status;
pub mod supervisor;
pub mod swap;
pub mod system;
pub mod vchan;
pub mod wire;
mod wiring;
pub mod xenstore;

#[doc(hidden)]
pub use abi;
pub use host::Host;
#[doc(hidden)]
pub use serde;
pub use wire::Wire;

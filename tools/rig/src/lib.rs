//! The real Xen with a real Debian dom0 in one QEMU process, and the way to any other dom0.
//!
//! Invariant: no root, nothing installed, all in one cache folder. It knows nothing of systems and servers.
#![forbid(unsafe_code)]

mod apt;
mod cache;
mod channel;
mod command;
mod cpio;
pub mod direct;
mod disk;
pub mod dom0;
pub mod domain;
mod error;
mod hash;
mod image;
mod instance;
mod lock;
mod mend;
mod modules;
mod monitor;
mod packages;
mod ports;
mod process;
mod progress;
mod run;
mod setup;
mod shell;
mod snapshot;
mod sources;
mod spec;
mod stand_in;
mod target;
mod tool;
mod tree;
mod unpack;

pub use cache::Cache;
pub use channel::Channel;
pub use command::Machine;
pub use cpio::Archive;
pub use dom0::{Dom0, Output, Pipe, Stop, Stream};
pub use error::{Error, Result};
pub use instance::{Instance, WARM, boot};
pub use lock::Lock;
pub use monitor::Monitor;
pub use ports::check_free as check_free_port;
pub use process::{Guard, Identity};
pub use progress::{Lines, Progress, Silent, phase};
pub use run::Record;
pub use setup::{is_mended, setup, setup_stamp};
pub use shell::Shell;
pub use spec::{Disk, Restart, Spec};
pub use target::Target;

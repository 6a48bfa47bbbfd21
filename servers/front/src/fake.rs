//! A xenstore and a kernel for tests of drivers on the host, around an [`ipc::loopback`].
//!
//! Invariant: the driver runs only inside [`Rig::run`], in the test's own thread, so a test sees every step; time stands
//! still but for [`Rig::sleep`]. They are for tests alone.

mod kernel;
mod rig;
mod tree;

pub use kernel::Machine;
pub use rig::{PORT, Rig, STORE, WINDOW};
pub use tree::Tree;

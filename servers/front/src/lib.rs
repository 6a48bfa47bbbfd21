//! What the drivers of Xen's split devices have in common: they find their device in xenstore, connect it, follow the
//! backend's state, grant pages, open the port, and start over when either side was restarted.
//!
//! A driver implements [`Driver`] and owns a [`Front`], which it hands the bits of each wait. What takes many answers
//! of xenstore is one task, written as a sequence; it runs inside [`Front::bits`] and never waits in a call.
//!
//! Invariant: the rings exist in the driver from [`Driver::offer`] to [`Driver::release`] and are used only between
//! [`Driver::online`] and [`Driver::offline`]; no page is offered anew while a backend still has an old grant of it.
//! What a backend or xenstore says is judged by `xen`; at worst the device is closed, with a line in
//! `error/…` for domain 0 and one in the log.
//!
//! It knows no ring and no client: those are the driver's. It does not resume rings of an earlier incarnation; what
//! that left behind is closed as the protocol has it.
//!
//! On the host, [`fake`] has a xenstore and a kernel to test drivers with.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(xylem_user))]
extern crate std;

mod desk;
mod device;
mod driver;
#[cfg(not(xylem_user))]
pub mod fake;
mod front;
mod kernel;
mod store;

pub use desk::Stop;
pub use driver::{Driver, Node, Offer, Place, Span, Texts};
pub use front::{Front, Setup, Turn};

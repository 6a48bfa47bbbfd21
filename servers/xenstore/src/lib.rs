//! XenStore for servers: one connection to xenstored, shared by clients that trust neither each other nor this domain's
//! fate to one another.
//!
//! Invariant: a client reads and writes only what its manifest names (and its backend's directory, to read), sees only its own
//! watches and transactions, and has a bounded number of requests, watches, transactions and answers here; whatever it does,
//! others get their turn. Nobody waits inside a call: requests are posted, answers collected. What xenstored says is
//! checked before it is believed.
//!
//! The domain's own affairs in XenStore are here as well: `control/shutdown` is answered and handed to the supervisor.
//! It caches nothing, and keeps nothing across its own death: clients learn of that by the status of their next call and
//! begin anew.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod broker;
mod client;
mod control;
mod grant;
mod link;
mod request;
mod serve;
mod session;

pub use broker::{Broker, Domain};
pub use grant::Grant;
pub use session::{TRANSACTIONS, WATCHES};

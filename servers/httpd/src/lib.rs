//! The web server: HTTP/1.1 over the sockets of `net`, files from `fs`.
//!
//! One thread serves all connections: each is a state machine that goes on when there is something for it, and none ever
//! waits inside a call. A file is read only as far as its client has room for it, so a slow client holds no buffer, and
//! one that waits for the disk holds up nobody.
//!
//! Invariant: memory per connection is bounded (a head of 8 KiB, a page of a directory), every phase of a connection has a
//! time limit, and whatever a client sends gets an answer or an end. Paths cannot leave the volume: names `.` and `..`
//! are refused in whatever spelling, here and by `fs`.
//!
//! It hands all of that to a successor: connections, requests of which a part has come, answers of which a part was sent, files
//! that are open and questions that are not answered. What it does not hand over are pages that nobody is being sent.
//!
//! It knows GET and HEAD. It has no TLS, compresses nothing, and sends no dates, because it has none.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(xylem_user))]
extern crate std;

mod body;
mod connection;
pub mod page;
mod request;
mod respond;
mod response;
mod send;
mod server;
mod settings;
mod site;
pub mod state;
mod store;
pub mod text;

pub use server::{Httpd, Wires};
pub use settings::Settings;

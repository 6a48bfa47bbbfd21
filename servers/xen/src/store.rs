//! XenStore's wire: requests and replies on a ring page shared with xenstored (Xen docs/misc/xenstore.txt,
//! public/io/xs_wire.h).
//!
//! [`Connection`] frames requests, matches replies to them and tells watch events apart. Invariant: an index or a
//! message that cannot be breaks the connection for good, since the two ends do not agree any more on where messages
//! begin; a reply that nobody asked for is dropped. The payload is not judged beyond its framing.
//!
//! It knows no clients: sharing the connection, watch tokens and quotas of clients are the server's.

mod connection;
mod message;
mod path;
mod transport;

pub use connection::{Connection, Error, Received, Reply};
pub use message::{Failure, Header, Operation};
pub use path::is_path;
pub use transport::Rest;

/// The most bytes of a message after its header.
pub const PAYLOAD: usize = 4096;
/// The most bytes of a path that starts with `/`, for a domain that is not privileged.
pub const PATH: usize = 2048;
/// The most bytes of a node's value.
pub const VALUE: usize = 2048;
/// The most requests in flight (xenstored's quota).
pub const REQUESTS: usize = 20;
/// The most watches of a domain (xenstored's quota).
pub const WATCHES: usize = 128;
/// The most transactions of a domain at a time (xenstored's quota).
pub const TRANSACTIONS: usize = 10;
/// The most nodes of a domain (xenstored's quota).
pub const NODES: usize = 1000;

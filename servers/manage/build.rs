//! Links with the servers' layout.
include!("../rt/link.rs");

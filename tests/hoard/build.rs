//! Links with the servers' layout.
include!("../../servers/rt/link.rs");

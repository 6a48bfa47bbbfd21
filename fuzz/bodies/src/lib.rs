//! What the fuzz targets do with their bytes, as functions: the fuzzer calls them, and so do tests that need no fuzzer.
//!
//! Invariant: a body takes any bytes, and panics only if something is wrong with what it tries. The body that drives the
//! kernel's core by traps is in the kernel's own tests, whose model of a machine it uses.

#![allow(clippy::module_inception, reason = "what a body tries may have the name of its target")]
#![allow(clippy::duplicate_mod, reason = "two bodies use the same hand-made files")]

extern crate alloc;

pub mod elf;
pub mod image;
pub mod manifest;
#[allow(unused_qualifications)]
pub mod request;
pub mod rings;
pub mod start_info;
pub mod table;
pub mod wiring;

/// A target and what it does.
pub type Body = (&'static str, fn(&[u8]));

/// All of them, by name.
pub const BODIES: &[Body] = &[
    ("elf", elf::body),
    ("image", image::body),
    ("manifest", manifest::body),
    ("request", request::body),
    ("rings", rings::body),
    ("start_info", start_info::body),
    ("table", table::body),
    ("wiring", wiring::body),
];

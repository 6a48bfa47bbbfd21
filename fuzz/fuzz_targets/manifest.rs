//! See `bodies::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::manifest::body(bytes));

//! See `bodies::rings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::rings::body(bytes));

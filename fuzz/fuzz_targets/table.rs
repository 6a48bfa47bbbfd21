//! See `bodies::table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::table::body(bytes));

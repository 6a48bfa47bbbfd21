//! See `bodies::wiring`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::wiring::body(bytes));

//! See `bodies::start_info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::start_info::body(bytes));

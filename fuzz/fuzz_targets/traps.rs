//! See `kernel::core::tests::bytes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    kernel::core::tests::bytes::body(bytes);
});

//! The functions of C that compiled code calls by name: copying, filling and comparing memory.
//!
//! They are assembly because in Rust the compiler may make a call to `memcpy` out of the body of `memcpy`. SSE2 is part of
//! every x86-64; short lengths, by far the most common, are done with moves that may overlap.

#[cfg(xylem_user)]
core::arch::global_asm!(
    ".macro function name, also",
    ".section .text.\\name,\"ax\",@progbits",
    ".balign 16",
    ".globl \\name",
    "\\name:",
    ".ifnb \\also",
    ".globl \\also",
    "\\also:",
    ".endif",
    ".endm",
    include_str!("memory.s"),
    ".purgem function",
    ".text",
);

#[cfg(test)]
mod tests {
    //! The same code under other names, since the host has its own.

    use std::vec::Vec;

    core::arch::global_asm!(
        ".macro function name, also",
        ".section .text.xylem_\\name,\"ax\",@progbits",
        ".balign 16",
        ".globl xylem_\\name",
        "xylem_\\name:",
        ".endm",
        include_str!("memory.s"),
        ".purgem function",
        ".text",
    );

    unsafe extern "C" {
        fn xylem_memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8;
        fn xylem_memset(to: *mut u8, byte: i32, length: usize) -> *mut u8;
        fn xylem_memcmp(a: *const u8, b: *const u8, length: usize) -> i32;
        fn xylem_strlen(text: *const u8) -> usize;
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
    }

    fn move_within(bytes: &mut [u8], from: usize, to: usize, length: usize) {
        assert!(from + length <= bytes.len() && to + length <= bytes.len());
        let base = bytes.as_mut_ptr();
        // SAFETY: both ranges are inside `bytes`.
        let returned =
            unsafe { xylem_memmove(base.wrapping_add(to), base.wrapping_add(from), length) };
        assert_eq!(returned, bytes[to..].as_mut_ptr());
    }

    #[test]
    fn copies_of_every_length_and_distance_are_exact() {
        for length in (0..300).chain([1459, 1460, 4096]) {
            for (from, to) in [
                (0, 5000),
                (3, 5007),
                (64, 63),
                (64, 60),
                (64, 1),
                (1, 2),
                (0, 17),
                (0, 63),
                (5, 70),
                (9, 9),
            ] {
                let mut bytes = pattern(10_000);
                let mut expected = bytes.clone();
                expected.copy_within(from..from + length, to);
                move_within(&mut bytes, from, to, length);
                assert!(bytes == expected, "{length} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn fills_touch_nothing_else() {
        for length in 0..300 {
            for at in 0..20 {
                let mut bytes = pattern(400);
                let mut expected = bytes.clone();
                expected[at..at + length].fill(0xe7);
                // SAFETY: `at + length` is below 400.
                unsafe { xylem_memset(bytes.as_mut_ptr().wrapping_add(at), 0x1e7, length) };
                assert!(bytes == expected, "{length} bytes at {at}");
            }
        }
    }

    fn compare(a: &[u8], b: &[u8]) -> i32 {
        assert_eq!(a.len(), b.len());
        // SAFETY: both are that long.
        unsafe { xylem_memcmp(a.as_ptr(), b.as_ptr(), a.len()) }
    }

    #[test]
    fn the_first_difference_decides() {
        for length in 0..120 {
            let a = pattern(length);
            assert_eq!(compare(&a, &a), 0);
            for at in 0..length {
                let mut b = a.clone();
                b[at] = b[at].wrapping_add(100);
                if let Some(last) = b.get_mut(at + 1..).and_then(<[u8]>::last_mut) {
                    *last ^= 0x80;
                }
                assert_eq!(compare(&a, &b).signum(), a.cmp(&b) as i32, "{at} of {length}");
                assert_eq!(compare(&b, &a).signum(), b.cmp(&a) as i32, "{at} of {length}");
            }
        }
    }

    #[test]
    fn texts_end_at_the_first_zero() {
        for text in [c"", c"a", c"some words"] {
            // SAFETY: it ends in a zero.
            assert_eq!(unsafe { xylem_strlen(text.as_ptr().cast()) }, text.count_bytes());
        }
    }
}

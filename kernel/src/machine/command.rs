//! The words of the kernel's command line that are meant for the kernel itself. All others are the supervisor's.
//!
//! | word | |
//! |---|---|
//! | `upcall-twice` | a test: every upcall raises its vector once more in ring 0 |
//! | `slow-path` | every trap goes to the core: the quick path is off |
//! | `audit` | checks all page tables on every way out of the kernel (slow) |
//! | `test-panic` | a test: panics at the end of the boot |
//! | `test-fault` | a test: reads an unmapped address in ring 0 at the end of the boot |

/// Whether a word stands in the command line.
pub fn has(line: &[u8], word: &str) -> bool {
    line.split(u8::is_ascii_whitespace).any(|part| part == word.as_bytes())
}

//! What a log hands to its successor. Where it stopped reading is in the rings themselves.

use alloc::string::String;
use alloc::vec::Vec;

ipc::state! {
    /// How far the log has told of its sources what is not in their rings.
    pub struct Told: "log.told" {
        /// The source that is next.
        pub next: u32,
        /// Names, lines that were told as lost, and whether a ring was told as broken.
        pub sources: Vec<(String, u32, bool)>,
    }
}

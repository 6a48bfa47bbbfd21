//! [`Body`]: what follows a response's head, a piece at a time.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;

use ipc::files::Entry;

use crate::page::{LISTING_END, listing_begin, listing_entry};

/// Least bytes of a directory's page that are made at once.
const PIECE: usize = 2048;

/// A body, as far as it was not sent.
#[derive(Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// The bytes from the number on.
    Bytes(Rc<[u8]>, usize),
    /// The bytes of a file from the second number up to the third.
    File(u32, u64, u64),
    /// The page of a directory.
    Listing(Listing),
}

ipc::state! {
    /// The page of a directory, as far as it was not made.
    pub struct Listing {
        /// The directory.
        pub file: u32,
        /// Where to go on; `None` when all entries are there.
        pub next: Option<u64>,
        /// Entries that wait.
        pub entries: VecDeque<Entry>,
        /// Whether pieces are chunks (RFC 9112, 7.1).
        pub is_chunked: bool,
        /// Whether all of it was made.
        pub is_over: bool,
        /// What was made and is no whole piece yet.
        pub text: String,
    }
}

impl Listing {
    /// The page of the directory at `path`.
    pub fn new(file: u32, path: &str, is_chunked: bool) -> Self {
        let text = listing_begin(path);
        Self { file, next: Some(0), entries: VecDeque::new(), is_chunked, is_over: false, text }
    }

    /// The next piece, if enough is known; an empty one never comes.
    pub fn piece(&mut self) -> Option<String> {
        while self.text.len() < PIECE
            && let Some(entry) = self.entries.pop_front()
        {
            self.text.push_str(&listing_entry(&entry));
        }
        let is_last = self.entries.is_empty() && self.next.is_none();
        if self.is_over || (self.text.len() < PIECE && !is_last) {
            return None;
        }
        if is_last {
            self.is_over = true;
            self.text.push_str(LISTING_END);
        }
        let text = core::mem::take(&mut self.text);
        Some(if self.is_chunked { chunk(&text, is_last) } else { text })
    }
}

fn chunk(text: &str, is_last: bool) -> String {
    let end = if is_last { "0\r\n\r\n" } else { "" };
    format!("{:x}\r\n{text}\r\n{end}", text.len())
}

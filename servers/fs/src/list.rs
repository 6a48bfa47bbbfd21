//! [`Listing`]: lists a directory, a buffer at a time.

use alloc::vec::Vec;

use hadris_fat::sync::FileEntry;
use ipc::files::{BUFFER_BYTES, Entry};

use crate::lookup::{MOST_ENTRIES, MOST_PAUSES, next};
use crate::step::Stop;
use crate::volume::{Entries, Volume};

/// Entries that one step reads.
const ENTRIES: usize = 256;
/// Bytes of an entry besides its name, and of the list besides its entries, at most.
const OVERHEAD: usize = 16;

/// How far a directory was listed.
pub struct Listing {
    entries: Entries,
    /// Number of the next entry.
    number: u64,
    /// An entry that had no room.
    held: Option<Entry>,
    /// What will be given.
    page: Vec<Entry>,
    bytes: usize,
    pauses: u32,
}

impl Listing {
    /// From the first entry on.
    pub fn new(entries: Entries) -> Self {
        Self { entries, number: 0, held: None, page: Vec::new(), bytes: OVERHEAD, pauses: 0 }
    }

    /// Whether entry `number` comes next, or later.
    pub const fn can_reach(&self, number: u64) -> bool {
        self.number <= number
    }

    /// Collects entries from number `from` on until a buffer is full. At the end: the entries, and the number to go on
    /// with, or 0 if that was all.
    pub fn step(&mut self, volume: &Volume, from: u64) -> Result<(Vec<Entry>, u64), Stop> {
        for _ in 0..ENTRIES {
            let entry = match self.held.take() {
                Some(entry) => Some(entry),
                None => self.read(volume)?,
            };
            let Some(entry) = entry else { return Ok((self.take_page(), 0)) };
            if self.number < from {
                self.number += 1;
                continue;
            }
            let bytes = entry.name.len() + OVERHEAD;
            if self.bytes + bytes > BUFFER_BYTES {
                self.held = Some(entry);
                return Ok((self.take_page(), self.number));
            }
            self.page.push(entry);
            self.bytes += bytes;
            self.number += 1;
            if self.number > MOST_ENTRIES {
                return Err(Stop::Corrupt);
            }
        }
        Err(Stop::Again)
    }

    fn read(&mut self, volume: &Volume) -> Result<Option<Entry>, Stop> {
        loop {
            let entry = next(&mut self.entries, volume).map_err(|stop| self.pause(stop))?;
            match entry {
                Some(entry) if is_dot(&entry) => {}
                other => return Ok(other.as_ref().map(describe)),
            }
        }
    }

    fn take_page(&mut self) -> Vec<Entry> {
        self.bytes = OVERHEAD;
        core::mem::take(&mut self.page)
    }

    fn pause(&mut self, stop: Stop) -> Stop {
        self.pauses += u32::from(stop == Stop::Again);
        if self.pauses > MOST_PAUSES { Stop::Corrupt } else { stop }
    }
}

fn is_dot(entry: &FileEntry) -> bool {
    let name = entry.name();
    name == "." || name == ".."
}

fn describe(entry: &FileEntry) -> Entry {
    let is_directory = entry.is_directory();
    let size = if is_directory { 0 } else { entry.len() };
    Entry { name: entry.name().into_owned(), size, is_directory }
}

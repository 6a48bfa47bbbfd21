//! [`Lookup`]: finds the file at a path.
//!
//! Invariant: a step reads a bounded number of entries and can be repeated; a directory that has more of them than any may
//! have is nonsense, so a chain that bites its tail ends.

use alloc::collections::VecDeque;
use alloc::string::String;

use hadris_fat::Error;
use hadris_fat::sync::{DirectoryEntry, FileEntry};
use ipc::files::NOT_FOUND;

use crate::step::Stop;
use crate::volume::{Entries, Volume};

/// Entries that one step reads.
const ENTRIES: usize = 256;
/// Most entries of a directory (2 MiB of 32 bytes), and most steps for one, which is more than they take.
pub const MOST_ENTRIES: u64 = 65_536;
/// Most steps that end before the next entry, for one directory: each has read as much as it may.
pub const MOST_PAUSES: u32 = 64;

/// A search.
pub struct Lookup {
    /// What is looked for.
    pub path: String,
    names: VecDeque<String>,
    entries: Option<Entries>,
    /// The one that is the same but for case.
    similar: Option<FileEntry>,
    seen: u64,
    pauses: u32,
}

impl Lookup {
    /// A search for `path`.
    pub fn new(path: &str) -> Self {
        let names = path.split('/').filter(|name| !name.is_empty()).map(String::from).collect();
        let path = String::from(path);
        Self { path, names, entries: None, similar: None, seen: 0, pauses: 0 }
    }

    /// Goes on; the end is the entry, or `None` for the root.
    pub fn step(&mut self, volume: &Volume) -> Result<Option<FileEntry>, Stop> {
        for _ in 0..ENTRIES {
            let Some(name) = self.names.front() else { return Ok(None) };
            if name == "." || name == ".." {
                return Err(Stop::Refused(NOT_FOUND));
            }
            let entries = match &mut self.entries {
                Some(entries) => entries,
                None => self.entries.insert(volume.entries(None)?),
            };
            let found = match next(entries, volume) {
                Err(Stop::Again) => return Err(self.pause()),
                Err(stop) => return Err(stop),
                Ok(Some(entry)) if entry.name() == name.as_str() => entry,
                Ok(Some(entry)) => {
                    self.seen += 1;
                    if self.seen > MOST_ENTRIES {
                        return Err(Stop::Corrupt);
                    }
                    if self.similar.is_none() && is_similar(&entry, name) {
                        self.similar = Some(entry);
                    }
                    continue;
                }
                Ok(None) => self.similar.take().ok_or(Stop::Refused(NOT_FOUND))?,
            };
            if self.names.len() == 1 {
                return Ok(Some(found));
            }
            self.descend(&found, volume)?;
        }
        Err(Stop::Again)
    }

    fn descend(&mut self, directory: &FileEntry, volume: &Volume) -> Result<(), Stop> {
        if !directory.is_directory() {
            return Err(Stop::Refused(NOT_FOUND));
        }
        self.entries = Some(volume.entries(Some(directory))?);
        self.names.pop_front();
        (self.similar, self.seen, self.pauses) = (None, 0, 0);
        Ok(())
    }

    /// A step ended without an entry.
    fn pause(&mut self) -> Stop {
        self.pauses += 1;
        if self.pauses > MOST_PAUSES { Stop::Corrupt } else { Stop::Again }
    }
}

/// The next entry that has a name; those without a valid one are passed over.
pub fn next(entries: &mut Entries, volume: &Volume) -> Result<Option<FileEntry>, Stop> {
    loop {
        return match entries.next() {
            Some(Ok(DirectoryEntry::Entry(entry))) => Ok(Some(entry)),
            Some(Err(Error::InvalidShortFilename)) => continue,
            Some(Err(_)) => Err(volume.medium().why()),
            None => Ok(None),
        };
    }
}

fn is_similar(entry: &FileEntry, name: &str) -> bool {
    let upper = |text: &str| text.chars().flat_map(char::to_uppercase).collect::<String>();
    entry.short_name().matches(name) || upper(&entry.name()) == upper(name)
}

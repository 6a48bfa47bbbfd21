//! [`OpenFile`]: a file that a client has found.

use alloc::boxed::Box;
use alloc::string::String;

use hadris_fat::sync::FileEntry;

use crate::step::Stop;
use crate::volume::Volume;

/// Clusters that one step may follow.
const HOPS: u32 = 4096;

/// What an open file is.
pub enum Place {
    /// The root.
    Root,
    /// A directory: its entry, unless a predecessor found it, and its path.
    Directory(Option<Box<FileEntry>>, String),
    /// A file: its first cluster, and its size in bytes.
    File(u32, u64),
}

/// A file or a directory.
pub struct OpenFile {
    /// What it is.
    pub place: Place,
    /// Where a chain was followed to.
    pub cursor: Option<Cursor>,
    /// Where the last read ended.
    pub end: u64,
    /// Where a reader in sequence will go on, if it was one; 0 when that was seen to.
    pub next: u64,
}

ipc::state! {
    /// A place in a file's chain.
    #[derive(Copy)]
    pub struct Cursor {
        /// Which cluster of the file, from 0.
        pub index: u64,
        /// Its number.
        pub cluster: u32,
    }
}

impl OpenFile {
    /// The file of an entry, which was found at `path`, or the root.
    pub fn new(entry: Option<FileEntry>, path: &str) -> Result<Self, Stop> {
        let place = match entry {
            None => Place::Root,
            Some(entry) if entry.is_directory() => {
                Place::Directory(Some(Box::new(entry)), String::from(path))
            }
            Some(entry) => {
                let first = u32::try_from(entry.cluster().0).map_err(|_| Stop::Corrupt)?;
                Place::File(first, entry.len())
            }
        };
        Ok(Self { place, cursor: None, end: 0, next: 0 })
    }

    /// Whether it is a directory.
    pub const fn is_directory(&self) -> bool {
        !matches!(self.place, Place::File(..))
    }

    /// Its size in bytes; 0 for a directory.
    pub const fn size(&self) -> u64 {
        match self.place {
            Place::File(_, size) => size,
            Place::Root | Place::Directory(..) => 0,
        }
    }

    /// Follows the chain to the cluster that holds byte `position`, and stays there.
    pub fn follow(&mut self, volume: &Volume, position: u64) -> Result<Cursor, Stop> {
        let index = position / volume.geometry().cluster;
        let mut cursor = match self.cursor {
            Some(cursor) if cursor.index <= index => cursor,
            _ => Cursor { index: 0, cluster: self.first()? },
        };
        for _ in 0..HOPS {
            self.cursor = Some(cursor);
            if cursor.index == index {
                return Ok(cursor);
            }
            cursor = cursor.next(volume)?;
        }
        Err(Stop::Again)
    }

    const fn first(&self) -> Result<u32, Stop> {
        match self.place {
            Place::File(first, _) => Ok(first),
            Place::Root | Place::Directory(..) => Err(Stop::Corrupt),
        }
    }
}

impl Cursor {
    /// The next cluster; that the chain ends before the file does is nonsense.
    pub fn next(self, volume: &Volume) -> Result<Self, Stop> {
        let cluster = volume.next(self.cluster)?.ok_or(Stop::Corrupt)?;
        Ok(Self { index: self.index + 1, cluster })
    }
}

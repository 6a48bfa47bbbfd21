//! [`OpenFile`]: a file that a client has found.

use hadris_fat::sync::FileEntry;

use crate::step::Stop;
use crate::volume::Volume;

/// Clusters that one step may follow.
const HOPS: u32 = 4096;

/// A file or a directory.
pub struct OpenFile {
    /// Its entry; the root has none.
    pub entry: Option<FileEntry>,
    /// Where a chain was followed to.
    pub cursor: Option<Cursor>,
    /// Where the last read ended.
    pub end: u64,
    /// Where a reader in sequence will go on, if it was one; 0 when that was seen to.
    pub next: u64,
}

/// A place in a file's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Which cluster of the file, from 0.
    pub index: u64,
    /// Its number.
    pub cluster: u32,
}

impl OpenFile {
    /// The file of an entry, or the root.
    pub const fn new(entry: Option<FileEntry>) -> Self {
        Self { entry, cursor: None, end: 0, next: 0 }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.entry.as_ref().is_none_or(FileEntry::is_directory)
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.entry.as_ref().map_or(0, FileEntry::len)
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

    fn first(&self) -> Result<u32, Stop> {
        let cluster = self.entry.as_ref().map_or(0, |entry| entry.cluster().0);
        u32::try_from(cluster).map_err(|_| Stop::Corrupt)
    }
}

impl Cursor {
    /// The next cluster; that the chain ends before the file does is nonsense.
    pub fn next(self, volume: &Volume) -> Result<Self, Stop> {
        let cluster = volume.next(self.cluster)?.ok_or(Stop::Corrupt)?;
        Ok(Self { index: self.index + 1, cluster })
    }
}

//! [`Volume`]: a mounted volume: its directories and its chains of clusters.
//!
//! The crate lends its iterators from the volume, and they have to outlive a step; so a volume lives as long as the server:
//! it is leaked, a few hundred bytes each time another disk appears, which is when a device was exchanged under us.
//!
//! Invariant: a cluster that is given out lies on the disk.

use alloc::boxed::Box;

use hadris_fat::sync::dir::FatDirIter;
use hadris_fat::sync::{FatVolume, FileEntry, Read, Seek, SeekFrom};

use crate::medium::Medium;
use crate::step::Stop;

/// An iteration over a directory.
pub type Entries = FatDirIter<'static, Medium>;

/// The sizes of a volume (Microsoft FAT specification, "Boot Sector and BPB").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    /// Bytes of a cluster.
    pub cluster: u64,
    /// Where the first cluster, number 2, begins.
    pub data: u64,
}

/// A mounted volume.
#[derive(Clone)]
pub struct Volume {
    fat: &'static FatVolume<Medium>,
    medium: Medium,
    geometry: Geometry,
}

impl Volume {
    /// Mounts the volume on a disk.
    pub fn mount(medium: &Medium) -> Result<Self, Stop> {
        let mut sector = [0; 512];
        let mut reader = medium.clone();
        reader.seek(SeekFrom::Start(0)).map_err(|_| Stop::Corrupt)?;
        reader.read_exact(&mut sector).map_err(|_| medium.why())?;
        let geometry = Geometry::read(&sector).ok_or(Stop::Corrupt)?;
        reader.seek(SeekFrom::Start(0)).map_err(|_| Stop::Corrupt)?;
        let fat = FatVolume::open(reader).map_err(|_| medium.why())?;
        Ok(Self { fat: Box::leak(Box::new(fat)), medium: medium.clone(), geometry })
    }

    /// The sizes.
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// What it lies on.
    pub const fn medium(&self) -> &Medium {
        &self.medium
    }

    /// The kind of the volume, for people.
    pub fn kind(&self) -> impl core::fmt::Display {
        self.fat.fat_type()
    }

    /// The entries of a directory; `None` is the root.
    pub fn entries(&self, directory: Option<&FileEntry>) -> Result<Entries, Stop> {
        match directory {
            // The parent of a directory in the root is cluster 0 on the disk.
            Some(entry) if entry.cluster().0 >= 2 => {
                let directory = self.fat.open_dir_entry(entry).map_err(|_| Stop::Corrupt)?;
                Ok(directory.entries())
            }
            Some(_) => Err(Stop::Corrupt),
            None => Ok(self.fat.root_dir().entries()),
        }
    }

    /// The cluster that follows `cluster`; `None` at the end of the chain.
    pub fn next(&self, cluster: u32) -> Result<Option<u32>, Stop> {
        let mut reader = self.medium.clone();
        let next = self.fat.fat().next_cluster(&mut reader, cluster as usize);
        next.map_err(|_| self.medium.why())
    }

    /// Where a cluster begins on the disk.
    pub fn place(&self, cluster: u32) -> Result<u64, Stop> {
        let Geometry { cluster: size, data } = self.geometry;
        let number = u64::from(cluster).checked_sub(2).ok_or(Stop::Corrupt)?;
        let place = number.checked_mul(size).and_then(|offset| offset.checked_add(data));
        place
            .filter(|&place| place.saturating_add(size) <= self.medium.size())
            .filter(|_| cluster <= self.fat.fat().max_cluster())
            .ok_or(Stop::Corrupt)
    }
}

impl Geometry {
    /// Reads it from the first sector; `None` if that holds none.
    fn read(sector: &[u8; 512]) -> Option<Self> {
        let word = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let (bytes, sectors) = (word(11), u64::from(sector[13]));
        let (reserved, copies, roots) = (word(14), u64::from(sector[16]), word(17));
        let long = u64::from(u32::from_le_bytes([sector[36], sector[37], sector[38], sector[39]]));
        let table = if word(22) != 0 { word(22) } else { long };
        let is_sane = [512, 1024, 2048, 4096].contains(&bytes) && sectors.is_power_of_two();
        let root = (roots * 32).checked_next_multiple_of(bytes)?;
        let data = (reserved + copies * table) * bytes + root;
        is_sane.then_some(Self { cluster: sectors * bytes, data })
    }
}

//! [`Disk`]: what the backend says of the disk, and which requests make sense on it.
//!
//! Invariant: the size in bytes fits a `u64`, and the sector size is a power of two of 512 bytes or more.

use super::{FLUSH, PAGE_SECTORS, READ, SECTOR, SEGMENTS, WRITE};
use crate::number;

/// The bit of `info` that says read only.
const READ_ONLY: u64 = 4;
/// The largest sector size that is believed: a page.
const LARGEST_SECTOR: u64 = 4096;

/// A disk, as its backend describes it once connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    /// Its size in units of 512 bytes.
    pub sectors: u64,
    /// Bytes that requests must be aligned to.
    pub sector_size: u32,
    /// Whether writes are refused.
    pub is_read_only: bool,
    /// Whether it can flush; if not, an answered write is durable as far as the backend can tell.
    pub can_flush: bool,
}

impl Disk {
    /// From the texts of the backend's nodes `sectors`, `sector-size`, `info` and `feature-flush-cache`; `None` if they
    /// make no sense.
    #[must_use]
    pub fn parse(
        sectors: &[u8],
        sector_size: Option<&[u8]>,
        info: Option<&[u8]>,
        flush: Option<&[u8]>,
    ) -> Option<Self> {
        let sectors = number::decimal(sectors, u64::MAX / u64::from(SECTOR))?;
        let sector_size = match sector_size {
            Some(text) => u32::try_from(number::decimal(text, LARGEST_SECTOR)?).ok()?,
            None => SECTOR,
        };
        let info = info.map_or(Some(0), |text| number::decimal(text, u64::from(u32::MAX)))?;
        if sector_size < SECTOR || !sector_size.is_power_of_two() {
            return None;
        }
        let (is_read_only, can_flush) = (info & READ_ONLY != 0, number::flag(flush));
        Some(Self { sectors, sector_size, is_read_only, can_flush })
    }

    /// Whether the operation on `sectors` units of 512 bytes from `sector` on is one that this disk can be asked.
    #[must_use]
    pub fn allows(&self, operation: u8, sector: u64, sectors: u32) -> bool {
        match operation {
            FLUSH => self.can_flush && sectors == 0,
            READ => self.holds(sector, sectors),
            WRITE => !self.is_read_only && self.holds(sector, sectors),
            _ => false,
        }
    }

    fn holds(&self, sector: u64, sectors: u32) -> bool {
        let unit = self.sector_size / SECTOR;
        let is_aligned = sector.is_multiple_of(u64::from(unit)) && sectors.is_multiple_of(unit);
        let is_inside =
            sector.checked_add(u64::from(sectors)).is_some_and(|end| end <= self.sectors);
        is_aligned && is_inside && sectors > 0 && sectors <= SEGMENTS as u32 * PAGE_SECTORS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(sector_size: Option<&[u8]>) -> Disk {
        Disk::parse(b"100", sector_size, Some(b"0"), Some(b"1")).unwrap()
    }

    #[test]
    fn what_a_backend_says_must_make_sense() {
        assert_eq!(disk(None).sector_size, 512);
        assert!(Disk::parse(b"36028797018963967", None, None, None).is_some());
        assert!(Disk::parse(b"36028797018963968", None, None, None).is_none());
        assert!(Disk::parse(b"-1", None, None, None).is_none());
        for size in ["0", "256", "513", "1536", "8192", "x"] {
            assert_eq!(Disk::parse(b"100", Some(size.as_bytes()), None, None), None, "{size}");
        }
        assert!(Disk::parse(b"100", None, Some(b"4"), None).unwrap().is_read_only);
    }

    #[test]
    fn requests_beyond_the_end_are_refused() {
        let disk = disk(None);
        assert!(disk.allows(READ, 99, 1));
        assert!(!disk.allows(READ, 99, 2));
        assert!(!disk.allows(READ, u64::MAX, 2));
        assert!(!disk.allows(READ, 0, 0));
        assert!(!disk.allows(WRITE, 0, 89));
        assert!(disk.allows(WRITE, 0, 88));
    }

    #[test]
    fn requests_that_are_not_aligned_to_the_disks_sectors_are_refused() {
        let disk = disk(Some(b"4096"));
        assert!(disk.allows(READ, 8, 16));
        assert!(!disk.allows(READ, 4, 8));
        assert!(!disk.allows(READ, 8, 4));
    }

    #[test]
    fn a_disk_is_asked_only_for_what_it_can() {
        let read_only = Disk::parse(b"100", None, Some(b"4"), None).unwrap();
        assert!(!read_only.allows(WRITE, 0, 1));
        assert!(!read_only.allows(FLUSH, 0, 0));
        assert!(disk(None).allows(FLUSH, 0, 0));
        assert!(!disk(None).allows(FLUSH, 0, 1));
        assert!(!disk(None).allows(2, 0, 1));
    }
}

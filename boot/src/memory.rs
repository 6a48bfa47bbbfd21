//! Which pages are free, from the memory map on until the core takes over.
//!
//! A list of page ranges, sorted, disjoint and never empty. Memory is only ever taken out; where the list has no room for
//! the two halves of a split range, the smaller half is given up, never a page that is in use handed out.

use core::ops::Range;

use abi::layout::PAGE;
use heapless::Vec;

use crate::start_info::{KIND_RAM, MEMORY_ENTRIES, MemoryEntry};

/// Most ranges that are kept.
const RANGES: usize = MEMORY_ENTRIES;

/// Free memory, in numbers of pages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FreeMemory {
    ranges: Vec<Range<u64>, RANGES>,
}

impl FreeMemory {
    /// All RAM of a map, less everything else that the map names, and less page 0.
    pub fn from_map(map: &[MemoryEntry]) -> Self {
        let mut free = Self::default();
        for entry in map.iter().filter(|entry| entry.kind == KIND_RAM) {
            free.add(entry.address.div_ceil(PAGE)..entry.end() / PAGE);
        }
        for entry in map.iter().filter(|entry| entry.kind != KIND_RAM) {
            free.remove_bytes(entry.address, entry.size);
        }
        free.remove(0..1);
        free
    }

    /// Number of free pages.
    pub fn pages(&self) -> u64 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }

    /// The free ranges, in order.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Takes out every page that `size` bytes from `address` on touch.
    pub fn remove_bytes(&mut self, address: u64, size: u64) {
        if size != 0 {
            self.remove(address / PAGE..address.saturating_add(size).div_ceil(PAGE));
        }
    }

    /// Takes out some pages, free or not.
    pub fn remove(&mut self, gone: Range<u64>) {
        let mut i = 0;
        while let Some(range) = self.ranges.get(i).cloned() {
            let below = range.start..range.end.min(gone.start);
            let above = range.start.max(gone.end)..range.end;
            if below == range || above == range {
                i += 1;
                continue;
            }
            self.ranges.remove(i);
            for left in Self::larger_first(below, above) {
                // Full: the half that does not fit is given up.
                let _ = self.insert(left);
            }
        }
    }

    /// Takes `pages` pages in a row that end at or below page `limit`: from the last range that has them, so that the low
    /// pages stay in one piece. Returns the first.
    pub fn take(&mut self, pages: u64, limit: u64) -> Option<u64> {
        let range = self
            .ranges
            .iter()
            .rev()
            .map(|range| range.start..range.end.min(limit))
            .find(|range| range.end.saturating_sub(range.start) >= pages)?;
        let first = range.end - pages;
        self.remove(first..range.end);
        Some(first)
    }

    fn larger_first(a: Range<u64>, b: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let length = |range: &Range<u64>| range.end.saturating_sub(range.start);
        let pair = if length(&a) > length(&b) { [a, b] } else { [b, a] };
        pair.into_iter().filter(|range| !range.is_empty())
    }

    /// Puts pages in that are free.
    pub fn add(&mut self, range: Range<u64>) {
        self.remove(range.clone());
        if !range.is_empty() {
            // Full: memory that cannot be listed is not used.
            let _ = self.insert(range);
        }
    }

    fn insert(&mut self, range: Range<u64>) -> Result<(), Range<u64>> {
        let at = self.ranges.partition_point(|other| other.start < range.start);
        self.ranges.insert(at, range)
    }
}

/// An address for `size` bytes that the map does not name, at or above `floor` and below `limit`, a multiple of `align`
/// (a power of two): above everything in the map if there is room, else in its lowest gap that is wide enough.
pub fn gap(map: &[MemoryEntry], size: u64, align: u64, floor: u64, limit: u64) -> Option<u64> {
    let fits = |at: u64| at.checked_add(size).is_some_and(|end| end <= limit);
    let end = map.iter().map(MemoryEntry::end).fold(floor, u64::max);
    let above = end.checked_next_multiple_of(align).filter(|&at| fits(at));
    above.or_else(|| {
        let starts = map.iter().map(MemoryEntry::end).chain([floor]).filter(|&at| at >= floor);
        starts
            .filter_map(|at| at.checked_next_multiple_of(align))
            .filter(|&at| fits(at))
            .filter(|&at| map.iter().all(|entry| at + size <= entry.address || entry.end() <= at))
            .min()
    })
}

#[cfg(test)]
mod tests {
    use super::{FreeMemory, RANGES, gap};
    use crate::start_info::MemoryEntry;

    const RAM: u32 = 1;
    const RESERVED: u32 = 2;

    fn map(entries: &[(u64, u64, u32)]) -> FreeMemory {
        let entries: Vec<_> = entries
            .iter()
            .map(|&(address, size, kind)| MemoryEntry { address, size, kind })
            .collect();
        FreeMemory::from_map(&entries)
    }

    fn only(free: &FreeMemory) -> (u64, u64) {
        assert_eq!(free.ranges().len(), 1);
        (free.ranges()[0].start, free.ranges()[0].end)
    }

    #[test]
    fn ram_is_rounded_inwards_and_the_rest_outwards() {
        let free = map(&[(0x1800, 0x4000, RAM), (0x3fff, 2, RESERVED)]);
        assert_eq!(only(&free), (2, 3));
    }

    #[test]
    fn overlapping_entries_are_counted_once() {
        let free = map(&[(0x1000, 0x4000, RAM), (0x3000, 0x4000, RAM)]);
        assert_eq!(free.pages(), 6);
    }

    #[test]
    fn page_0_is_never_free() {
        assert_eq!(only(&map(&[(0, 0x3000, RAM)])), (1, 3));
    }

    #[test]
    fn entries_beyond_the_end_of_the_world_are_cut() {
        let free = map(&[(0x1000, 0x1000, RAM), (u64::MAX - 0xfff, 0x2000, RAM)]);
        assert_eq!(free.ranges()[0], 1..2);
    }

    #[test]
    fn pages_are_taken_from_the_top_below_the_limit() {
        let mut free = map(&[(0x1000, 0x8000, RAM), (0x10_0000, 0x1_0000, RAM)]);
        assert_eq!(free.take(4, 0x1000), Some(0x10c));
        assert_eq!(free.take(4, 0x80), Some(5));
        assert_eq!(free.take(5, 0x80), None);
        assert_eq!(free.pages(), 8 + 16 - 8);
    }

    #[test]
    fn a_full_list_loses_the_smaller_half_only() {
        let entries: Vec<_> =
            (0..RANGES as u64).map(|i| (0x10_0000 + i * 0x10_0000, 0x1_0000, RAM)).collect();
        let mut free = map(&entries);
        assert_eq!(free.ranges().len(), RANGES);
        free.remove(0x10c..0x10d);
        assert_eq!(free.ranges()[0], 0x100..0x10c);
        assert_eq!(free.pages(), RANGES as u64 * 16 - 4);
    }

    #[test]
    fn a_gap_is_above_everything_if_there_is_room() {
        let entry = |address, size| MemoryEntry { address, size, kind: RAM };
        let map = [entry(0, 0x10_0000), entry(0x1_2000_0000, 0x1000)];
        assert_eq!(gap(&map, 0x20_0000, 0x20_0000, 1 << 32, 1 << 40), Some(0x1_2020_0000));
        assert_eq!(gap(&map[..1], 0x20_0000, 0x20_0000, 1 << 32, 1 << 40), Some(1 << 32));
    }

    #[test]
    fn without_room_above_a_gap_between_entries_is_taken() {
        let entry = |address, size| MemoryEntry { address, size, kind: RAM };
        let top = entry(0xfd_0000_0000, 0x3_0000_0000);
        let map = [entry(0, 0x10_0000), top, entry(1 << 32, 0x1000)];
        assert_eq!(gap(&map, 0x20_0000, 0x20_0000, 1 << 32, 1 << 40), Some(0x1_0020_0000));
        assert_eq!(gap(&[entry(0, 1 << 40)], 1, 1, 1 << 32, 1 << 40), None);
    }

    #[test]
    fn taken_pages_are_never_offered_again() {
        let mut free = map(&[(0x1000, 0x3_0000, RAM)]);
        let mut seen = std::collections::BTreeSet::new();
        while let Some(first) = free.take(3, u64::MAX) {
            (first..first + 3).for_each(|page| assert!(seen.insert(page), "page {page} twice"));
        }
        assert_eq!(seen.len() as u64 + free.pages(), 0x30);
    }
}

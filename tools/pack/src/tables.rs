//! How many page-table pages an address space takes.

use std::collections::BTreeSet;

use abi::layout::PAGE;

/// Bytes that a table of each level below the top covers: 2 MiB, 1 GiB, 512 GiB.
const LEVELS: [u64; 3] = [1 << 21, 1 << 30, 1 << 39];

/// The mappings of a space.
#[derive(Debug, Clone, Default)]
pub struct Space {
    spans: Vec<(u64, u64)>,
}

impl Space {
    /// Adds a mapping.
    pub fn add(&mut self, address: u64, pages: u64) {
        if pages > 0 {
            self.spans.push((address, address + pages * PAGE - 1));
        }
    }

    /// Pages of tables, the top one included.
    pub fn tables(&self) -> u64 {
        let of_level = |size: u64| {
            let covered = self.spans.iter().flat_map(|(first, last)| first / size..=last / size);
            covered.collect::<BTreeSet<u64>>().len() as u64
        };
        1 + LEVELS.into_iter().map(of_level).sum::<u64>()
    }
}

/// Index pages that a region takes: none for one page, one up to 1024, above that one for each 1024 and one for those.
pub const fn index_pages(pages: u64) -> u64 {
    match pages {
        0 | 1 => 0,
        2..=1024 => 1,
        _ => 1 + pages.div_ceil(1024),
    }
}

#[cfg(test)]
mod tests {
    use super::{Space, index_pages};

    #[test]
    fn one_page_takes_one_table_of_each_level() {
        let mut space = Space::default();
        space.add(0x40_0000, 1);
        assert_eq!(space.tables(), 4);
    }

    #[test]
    fn neighbours_share_tables() {
        let mut space = Space::default();
        space.add(0x40_0000, 512);
        space.add(0x60_0000, 1);
        assert_eq!(space.tables(), 5);
        space.add(0x80_0000_0000, 1);
        assert_eq!(space.tables(), 8);
    }

    #[test]
    fn only_single_pages_take_no_index() {
        assert_eq!((index_pages(1), index_pages(2), index_pages(1025)), (0, 1, 3));
    }
}

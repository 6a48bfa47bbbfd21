//! [`Cache`]: blocks of the disk.
//!
//! Invariant: at most as many blocks as planned; the one that was used longest ago makes room. A block is as it was when it
//! was fetched: nobody else writes the disk.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashMap;

/// Bytes of a block: a page, so that one page of a transfer is one block.
pub const BLOCK: usize = 4096;

/// The bytes of a block.
pub type Block = [u8; BLOCK];

#[derive(Debug)]
struct Entry {
    number: u64,
    used: u64,
    bytes: Box<Block>,
}

/// A number of blocks.
#[derive(Debug)]
pub struct Cache {
    entries: Vec<Entry>,
    by_number: HashMap<u64, usize>,
    most: usize,
    clock: u64,
}

impl Cache {
    /// An empty one for `most` blocks, at least one.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        let entries = Vec::with_capacity(most);
        Self { entries, by_number: HashMap::with_capacity(most), most, clock: 0 }
    }

    /// A block, if it is there.
    pub fn get(&mut self, number: u64) -> Option<&Block> {
        let entry = self.entries.get_mut(*self.by_number.get(&number)?)?;
        self.clock += 1;
        entry.used = self.clock;
        Some(&entry.bytes)
    }

    /// Whether a block is there.
    pub fn has(&self, number: u64) -> bool {
        self.by_number.contains_key(&number)
    }

    /// Keeps a block; `fill` gets its bytes, to set all of them.
    pub fn insert(&mut self, number: u64, fill: impl FnOnce(&mut Block)) {
        self.clock += 1;
        let index = self.place(number);
        if let Some(entry) = self.entries.get_mut(index) {
            (entry.number, entry.used) = (number, self.clock);
            fill(&mut entry.bytes);
            self.by_number.insert(number, index);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.by_number.clear();
    }

    /// The index at which a block is, or may be put.
    fn place(&mut self, number: u64) -> usize {
        if let Some(&index) = self.by_number.get(&number) {
            return index;
        }
        if self.entries.len() < self.most {
            self.entries.push(Entry { number, used: 0, bytes: Box::new([0; BLOCK]) });
            return self.entries.len() - 1;
        }
        let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.used);
        let (index, evicted) = oldest.map_or((0, number), |(index, entry)| (index, entry.number));
        self.by_number.remove(&evicted);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    fn insert(cache: &mut Cache, number: u64) {
        cache.insert(number, |bytes| bytes.fill(number as u8));
    }

    #[test]
    fn the_block_that_was_used_longest_ago_makes_room() {
        let mut cache = Cache::new(3);
        (1..=3).for_each(|number| insert(&mut cache, number));
        assert_eq!(cache.get(1).unwrap()[0], 1);
        insert(&mut cache, 4);
        assert!(cache.has(1) && !cache.has(2) && cache.has(3) && cache.has(4));
        assert_eq!(cache.get(4).unwrap()[4095], 4);
    }

    #[test]
    fn a_block_that_is_fetched_again_is_replaced() {
        let mut cache = Cache::new(2);
        insert(&mut cache, 7);
        cache.insert(7, |bytes| bytes.fill(9));
        insert(&mut cache, 8);
        assert_eq!(cache.get(7).unwrap()[1], 9);
        cache.clear();
        assert!(!cache.has(7) && cache.get(8).is_none());
    }
}

//! The two rings, as the server has them.
//!
//! Invariant: the own index is a private number that is stored to the page after the bytes were copied, and never loaded from
//! there; the client's index is loaded once for each look, and believed only if it is within a ring's length of the own one.

use shared::Memory;

use crate::Broken;

/// Offsets within a ring's pair of indices (`struct ring_shared`).
const CONSUMED: usize = 0;
const PRODUCED: usize = 4;

/// The ring that the client writes.
#[derive(Debug)]
pub(crate) struct Reader {
    page: Memory,
    indices: usize,
    bytes: Memory,
    consumed: u32,
}

/// The ring that the client reads.
#[derive(Debug)]
pub(crate) struct Writer {
    page: Memory,
    indices: usize,
    bytes: Memory,
    produced: u32,
}

/// A ring's length, a power of two of at most 2^20.
fn length(bytes: Memory) -> u32 {
    bytes.len() as u32
}

/// Where `len` bytes from `index` on begin, and how many of them lie before the ring's end.
fn pieces(bytes: Memory, index: u32, len: usize) -> (usize, usize) {
    let start = index as usize & (bytes.len() - 1);
    (start, len.min(bytes.len() - start))
}

impl Reader {
    pub(crate) const fn at(page: Memory, indices: usize, bytes: Memory, consumed: u32) -> Self {
        Self { page, indices, bytes, consumed }
    }

    pub(crate) const fn index(&self) -> u32 {
        self.consumed
    }

    pub(crate) fn read(&mut self, to: &mut [u8]) -> Result<usize, Broken> {
        let produced = self.page.load_u32_acquire(self.indices + PRODUCED);
        let waiting = produced.wrapping_sub(self.consumed);
        if waiting > length(self.bytes) {
            return Err(Broken);
        }
        let count = to.len().min(waiting as usize);
        let (start, first) = pieces(self.bytes, self.consumed, count);
        let (head, tail) = to.get_mut(..count).unwrap_or_default().split_at_mut(first);
        self.bytes.copy_from(start, head);
        self.bytes.copy_from(0, tail);
        self.store(self.consumed.wrapping_add(count as u32));
        Ok(count)
    }

    pub(crate) fn forget(&mut self) {
        self.store(self.page.load_u32_acquire(self.indices + PRODUCED));
    }

    pub(crate) fn restate(&self) {
        self.page.store_u32_release(self.indices + CONSUMED, self.consumed);
    }

    fn store(&mut self, consumed: u32) {
        self.consumed = consumed;
        self.restate();
    }
}

impl Writer {
    pub(crate) const fn at(page: Memory, indices: usize, bytes: Memory, produced: u32) -> Self {
        Self { page, indices, bytes, produced }
    }

    pub(crate) const fn index(&self) -> u32 {
        self.produced
    }

    /// How many bytes the client has not read.
    pub(crate) fn unread(&self) -> Result<u32, Broken> {
        let consumed = self.page.load_u32_acquire(self.indices + CONSUMED);
        let unread = self.produced.wrapping_sub(consumed);
        if unread > length(self.bytes) { Err(Broken) } else { Ok(unread) }
    }

    pub(crate) fn write(&mut self, from: &[u8]) -> Result<usize, Broken> {
        let room = length(self.bytes) - self.unread()?;
        let from = from.get(..room as usize).unwrap_or(from);
        let (start, first) = pieces(self.bytes, self.produced, from.len());
        let (head, tail) = from.split_at(first);
        self.bytes.copy_to(start, head);
        self.bytes.copy_to(0, tail);
        self.store(self.produced.wrapping_add(from.len() as u32));
        Ok(from.len())
    }

    pub(crate) fn forget(&mut self) {
        self.store(self.page.load_u32_acquire(self.indices + CONSUMED));
    }

    fn store(&mut self, produced: u32) {
        self.produced = produced;
        self.page.store_u32_release(self.indices + PRODUCED, produced);
    }
}

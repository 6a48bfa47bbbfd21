//! A record in memory that outlives its writer: after a crash at any point, a reader finds the last record that was written
//! whole, or the one before.
//!
//! There are two copies, written in turn. Each has a header: sequence number, schema, length, checksum over all three and the
//! bytes; the sequence number, which is what makes it the newer one, is stored last.
//!
//! Invariant: the newer sound copy is never touched while the other is written. It judges whole records only: what the bytes
//! mean, and whether they are still true, is the owner's to check.

use crate::Memory;

/// Bytes of a copy's header.
const HEAD: usize = 32;
/// Offsets in a header.
const SCHEMA: usize = 8;
const LENGTH: usize = 16;
const CHECKSUM: usize = 24;

/// A record; one writer.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    copies: [Memory; 2],
    schema: u64,
    /// The copy that holds the record, its sequence number and its length.
    current: Option<(usize, u64, usize)>,
}

impl Record {
    /// Looks for a record of `schema` in memory, of which each copy takes a half.
    #[must_use]
    pub fn open(memory: Memory, schema: u64) -> Self {
        let half = memory.len() / 2 / 8 * 8;
        let copies = [0, half].map(|at| memory.part(at, half).unwrap_or_default());
        let mut record = Self { copies, schema, current: None };
        record.current = match [0, 1].map(|copy| record.judge(copy)) {
            [Some(a), Some(b)] => Some(if a.0 > b.0 { (0, a.0, a.1) } else { (1, b.0, b.1) }),
            [Some((sequence, length)), None] => Some((0, sequence, length)),
            [None, Some((sequence, length))] => Some((1, sequence, length)),
            [None, None] => None,
        };
        record
    }

    /// Most bytes of a record.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.copies[0].len().saturating_sub(HEAD)
    }

    /// Bytes of the record that is there; `None` if there is none.
    #[must_use]
    pub fn length(&self) -> Option<usize> {
        self.current.map(|(.., length)| length)
    }

    /// How many records were written before this one and with it; 0 if there is none.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.current.map_or(0, |(_, sequence, _)| sequence)
    }

    /// Copies the record, as long as `to`; `None` if there is none of that length.
    #[must_use]
    pub fn read(&self, to: &mut [u8]) -> Option<()> {
        let (copy, _, length) = self.current?;
        let memory = self.copies.get(copy)?;
        if length != to.len() {
            return None;
        }
        memory.copy_from(HEAD, to);
        Some(())
    }

    /// Writes a record; `None`, and the old one is still there, if it is longer than the capacity.
    pub fn write(&mut self, bytes: &[u8]) -> Option<()> {
        if bytes.len() > self.capacity() {
            return None;
        }
        let (last, sequence, _) = self.current.unwrap_or((1, 0, 0));
        let (copy, sequence) = (1 - last, sequence + 1);
        let memory = *self.copies.get(copy)?;
        memory.store_u64_release(0, 0);
        memory.copy_to(HEAD, bytes);
        memory.store_u64_release(SCHEMA, self.schema);
        memory.store_u64_release(LENGTH, bytes.len() as u64);
        memory.store_u64_release(CHECKSUM, checksum(self.schema, sequence, bytes));
        memory.store_u64_release(0, sequence);
        self.current = Some((copy, sequence, bytes.len()));
        Some(())
    }

    /// Sequence number and length of a copy that is sound.
    fn judge(&self, copy: usize) -> Option<(u64, usize)> {
        let memory = *self.copies.get(copy).filter(|copy| copy.len() > HEAD)?;
        let word = |at| memory.load_u64_acquire(at);
        let (sequence, length) = (word(0), usize::try_from(word(LENGTH)).ok()?);
        if sequence == 0 || word(SCHEMA) != self.schema || length > self.capacity() {
            return None;
        }
        let sum = Sum::new(self.schema, sequence, length).memory(memory, HEAD, length);
        (sum.0 == word(CHECKSUM)).then_some((sequence, length))
    }
}

/// A checksum against torn writes and stray stores: FNV-1a over words of eight bytes, the last filled with zeros.
struct Sum(u64);

impl Sum {
    const fn new(schema: u64, sequence: u64, length: usize) -> Self {
        Self(0xcbf2_9ce4_8422_2325).word(schema).word(sequence).word(length as u64)
    }

    const fn word(self, word: u64) -> Self {
        // The high half comes down, so that a flipped high bit is not lost by the next multiplication.
        let mixed = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        Self(mixed ^ mixed >> 32)
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        bytes.chunks(8).fold(self, |sum, chunk| {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            sum.word(u64::from_le_bytes(word))
        })
    }

    fn memory(mut self, memory: Memory, offset: usize, length: usize) -> Self {
        let mut block = [0; 64];
        for done in (0..length).step_by(block.len()) {
            let part = block.len().min(length - done);
            let part = block.get_mut(..part).unwrap_or_default();
            memory.copy_from(offset + done, part);
            self = self.bytes(part);
        }
        self
    }
}

fn checksum(schema: u64, sequence: u64, bytes: &[u8]) -> u64 {
    Sum::new(schema, sequence, bytes.len()).bytes(bytes).0
}

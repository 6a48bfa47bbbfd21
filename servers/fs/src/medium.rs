//! [`Medium`]: the disk as the FAT crate reads it: from the cache alone, and never past an allowance.
//!
//! Invariant: a read that cannot be served leaves a note of why, and changes nothing else; so the step that made it can be
//! taken again later.

use alloc::rc::Rc;
use core::cell::RefCell;

use hadris_fat::sync::{Error, ErrorKind, IoResult, Read, Seek, SeekFrom};

use crate::cache::{BLOCK, Cache};
use crate::step::{Kind, Need, Stop};

/// Blocks that are kept: the FAT's and directories'.
const BLOCKS: usize = 64;
/// How many blocks are fetched when one is missing: chains and directories go on behind it.
const AHEAD: u32 = 8;
/// Bytes that one step may read.
const ALLOWANCE: u64 = 256 * 1024;

#[derive(Debug)]
struct Store {
    cache: Cache,
    /// Bytes of the disk.
    size: u64,
    /// Bytes that may still be read in this step.
    left: u64,
    /// Why the last read could not be served.
    stop: Option<Stop>,
}

/// A position on the disk; all clones read the same blocks.
#[derive(Clone, Debug)]
pub struct Medium {
    store: Rc<RefCell<Store>>,
    position: u64,
}

impl Medium {
    /// The beginning of a disk of `size` bytes.
    pub fn new(size: u64) -> Self {
        let store = Store { cache: Cache::new(BLOCKS), size, left: 0, stop: None };
        Self { store: Rc::new(RefCell::new(store)), position: 0 }
    }

    /// Begins a step.
    pub fn begin(&self) {
        let mut store = self.store.borrow_mut();
        (store.left, store.stop) = (ALLOWANCE, None);
    }

    /// Why the crate could not do something: because of the last read, or because of what it read.
    pub fn why(&self) -> Stop {
        self.store.borrow_mut().stop.take().unwrap_or(Stop::Corrupt)
    }

    /// Keeps a block that was fetched.
    pub fn insert(&self, number: u64, fill: impl FnOnce(&mut [u8; BLOCK])) {
        self.store.borrow_mut().cache.insert(number, fill);
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.store.borrow().size
    }
}

impl Store {
    /// The blocks of a range that are missing, and what lies behind them.
    fn missing(&self, first: u64, last: u64) -> Option<Need> {
        let from = (first..=last).find(|&number| !self.cache.has(number))?;
        let wanted = u32::try_from(last - from + 1).unwrap_or(AHEAD);
        let rest = self.size.div_ceil(BLOCK as u64) - from;
        let count = wanted.max(AHEAD).min(u32::try_from(rest).unwrap_or(u32::MAX));
        Some(Need { kind: Kind::Meta, first: from, count })
    }

    fn read(&mut self, position: u64, to: &mut [u8]) -> Result<usize, Stop> {
        let length = to.len().min(usize::try_from(self.size.saturating_sub(position)).unwrap_or(0));
        if length == 0 {
            return Ok(0);
        }
        self.left = self.left.checked_sub(length as u64).ok_or(Stop::Again)?;
        let (first, last) =
            (position / BLOCK as u64, (position + length as u64 - 1) / BLOCK as u64);
        if let Some(need) = self.missing(first, last) {
            return Err(Stop::Wait(need));
        }
        let mut done = 0;
        while done < length {
            let at = position + done as u64;
            let offset = (at % BLOCK as u64) as usize;
            let step = (length - done).min(BLOCK - offset);
            let block = self.cache.get(at / BLOCK as u64).ok_or(Stop::Again)?;
            if let (Some(to), Some(from)) =
                (to.get_mut(done..done + step), block.get(offset..offset + step))
            {
                to.copy_from_slice(from);
            }
            done += step;
        }
        Ok(length)
    }
}

impl Read for Medium {
    type Error = ErrorKind;

    fn read(&mut self, to: &mut [u8]) -> IoResult<usize, ErrorKind> {
        let mut store = self.store.borrow_mut();
        match store.read(self.position, to) {
            Ok(length) => {
                self.position += length as u64;
                Ok(length)
            }
            Err(stop) => {
                store.stop = Some(stop);
                Err(Error::from_kind(ErrorKind::WouldBlock))
            }
        }
    }
}

impl Seek for Medium {
    type Error = ErrorKind;

    fn seek(&mut self, to: SeekFrom) -> IoResult<u64, ErrorKind> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.size().checked_add_signed(offset),
        };
        self.position = target.ok_or(Error::from_kind(ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

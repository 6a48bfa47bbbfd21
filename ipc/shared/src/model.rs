//! The same accesses over loom's model of memory, to try every order in which two threads can meet.
//!
//! Invariant: an offset is used either as an atomic word of one width or as plain bytes, as the rings do; plain bytes
//! that two threads touch without order are a failure that loom reports. Only for `--cfg loom`.

use std::boxed::Box;
use std::vec::Vec;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(crate) use loom::sync::atomic::fence;

use crate::Memory;

struct Model {
    bytes: Vec<UnsafeCell<u8>>,
    words: Vec<AtomicU32>,
    doubles: Vec<AtomicU64>,
}

/// A position in a model; `None` for the empty handle.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    model: Option<&'static Model>,
    at: usize,
}

// SAFETY: plain bytes are only touched through loom's cells, which find unordered accesses.
unsafe impl Send for Model {}
// SAFETY: as above.
unsafe impl Sync for Model {}

/// A model of `len` bytes of zeros. It is leaked, so make it small; only inside `loom::model`.
#[must_use]
pub fn leaked(len: usize) -> Memory {
    let model = Model {
        bytes: (0..len).map(|_| UnsafeCell::new(0)).collect(),
        words: (0..len / 4).map(|_| AtomicU32::new(0)).collect(),
        doubles: (0..len / 8).map(|_| AtomicU64::new(0)).collect(),
    };
    Memory::from_model(Raw { model: Some(Box::leak(Box::new(model))), at: 0 }, len)
}

impl Raw {
    pub(crate) const DANGLING: Self = Self { model: None, at: 0 };

    pub(crate) const fn offset(self, offset: usize) -> Self {
        Self { model: self.model, at: self.at + offset }
    }

    pub(crate) fn is_aligned(self, offset: usize, unit: usize) -> bool {
        (self.at + offset) & (unit - 1) == 0
    }

    fn model(self) -> &'static Model {
        self.model.expect("the empty handle holds no bytes")
    }

    pub(crate) unsafe fn load_u32(self, offset: usize, order: Ordering) -> u32 {
        self.model().words[(self.at + offset) / 4].load(order)
    }

    pub(crate) unsafe fn store_u32(self, offset: usize, value: u32, order: Ordering) {
        self.model().words[(self.at + offset) / 4].store(value, order);
    }

    pub(crate) unsafe fn load_u64(self, offset: usize, order: Ordering) -> u64 {
        self.model().doubles[(self.at + offset) / 8].load(order)
    }

    pub(crate) unsafe fn store_u64(self, offset: usize, value: u64, order: Ordering) {
        self.model().doubles[(self.at + offset) / 8].store(value, order);
    }

    pub(crate) unsafe fn copy_out(self, offset: usize, to: &mut [u8]) {
        let cells = &self.model().bytes[self.at + offset..];
        for (to, cell) in to.iter_mut().zip(cells) {
            // SAFETY: loom checks that nobody writes the byte meanwhile.
            *to = cell.with(|byte| unsafe { *byte });
        }
    }

    pub(crate) unsafe fn read_out(self, offset: usize, to: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { self.copy_out(offset, to) };
    }

    pub(crate) unsafe fn write_in(self, offset: usize, from: &[u8]) {
        // SAFETY: the caller's.
        unsafe { self.copy_in(offset, from) };
    }

    pub(crate) unsafe fn copy_in(self, offset: usize, from: &[u8]) {
        let cells = &self.model().bytes[self.at + offset..];
        for (from, cell) in from.iter().zip(cells) {
            // SAFETY: loom checks that nobody else touches the byte meanwhile.
            cell.with_mut(|byte| unsafe { *byte = *from });
        }
    }
}

//! The console ring's output with what waits for room in it, and the decision when nobody reads.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use abi::{Handle, Traps};
use xen::console::Console as Ring;

use crate::Next;
use crate::editor::Editor;
use crate::state::Screen;

/// How long the backend may take nothing while output waits, in nanoseconds; after that output is dropped.
pub const PATIENCE: u64 = 1_000_000_000;
/// Output that waits beyond the ring; lines come only when there is none, so more is the shell's.
const WAITING: usize = 64 * 1024;

/// The terminal at the other end of the ring.
#[derive(Debug)]
pub struct Terminal<T> {
    traps: T,
    port: Handle,
    /// `None` if there is no ring, or its backend contradicted itself.
    ring: Option<Ring>,
    waiting: VecDeque<u8>,
    /// Free bytes of the ring when last seen, and since when it did not grow.
    room: usize,
    full_since: Option<u64>,
    is_unread: bool,
    /// Lines dropped since nobody reads.
    dropped: u64,
    is_touched: bool,
}

impl<T: Traps> Terminal<T> {
    /// A terminal on `ring`, whose backend is rung through `port`.
    pub fn new(traps: T, port: Handle, ring: Option<Ring>) -> Self {
        Self {
            traps,
            port,
            ring,
            waiting: VecDeque::new(),
            room: 0,
            full_since: None,
            is_unread: false,
            dropped: 0,
            is_touched: false,
        }
    }

    /// Begins a turn: sees whether somebody reads, and writes what waited.
    pub(crate) fn begin(&mut self, now: u64) {
        let Some(ring) = &self.ring else { return };
        let Ok(room) = ring.room() else { return self.give_up() };
        let moved = room > self.room;
        let is_late = self.full_since.is_some_and(|since| now.saturating_sub(since) >= PATIENCE);
        if self.is_unread && moved {
            self.is_unread = false;
            let dropped = core::mem::take(&mut self.dropped);
            self.push(&format!("({dropped} lines lost: nobody read the console)\n"));
        } else if is_late && !moved {
            self.is_unread = true;
            self.waiting.clear();
        }
        if moved {
            self.full_since = None;
        }
        self.drain();
    }

    /// What a successor has to know, and what waits for room.
    pub(crate) fn save(&self, screen: &mut Screen) -> (&[u8], &[u8]) {
        screen.has_ring = self.ring.is_some();
        screen.room = self.room as u32;
        screen.full_since = self.full_since;
        screen.is_unread = self.is_unread;
        screen.dropped = self.dropped;
        self.waiting.as_slices()
    }

    /// Goes on where another stopped.
    pub(crate) fn resume(&mut self, screen: &Screen, waiting: Vec<u8>) {
        if !screen.has_ring {
            self.ring = None;
        }
        self.room = screen.room as usize;
        self.full_since = screen.full_since;
        self.is_unread = screen.is_unread;
        self.dropped = screen.dropped;
        self.waiting = waiting.into();
    }

    /// Ends a turn: rings the backend, and notes since when the ring is full.
    pub(crate) fn finish(&mut self, now: u64) {
        self.drain();
        if core::mem::take(&mut self.is_touched) {
            self.traps.notify(self.port);
        }
        self.room = self.ring.as_ref().and_then(|ring| ring.room().ok()).unwrap_or(0);
        if self.waiting.is_empty() || self.is_unread {
            self.full_since = None;
        } else {
            self.full_since.get_or_insert(now);
        }
    }

    /// When to look again.
    pub(crate) const fn next(&self) -> Next {
        match self.full_since {
            Some(since) => Next::At(since.saturating_add(PATIENCE)),
            None => Next::Bit,
        }
    }

    /// Whether it takes another line now. One that is dropped is taken.
    pub(crate) fn takes(&mut self) -> bool {
        self.drain();
        self.waiting.is_empty()
    }

    /// Writes a line, in the place of what is being typed.
    pub(crate) fn push_line(&mut self, line: &str, editor: &Editor) {
        if self.is_unread || self.ring.is_none() {
            self.dropped += 1;
        } else {
            self.push(&editor.shown(line));
        }
    }

    /// Writes, as far as the ring has room; the rest waits.
    pub(crate) fn push(&mut self, text: &str) {
        if !self.is_unread && self.ring.is_some() && self.waiting.len() + text.len() <= WAITING {
            self.waiting.extend(text.as_bytes());
            self.drain();
        }
    }

    /// Reads keys; gives how many.
    pub(crate) fn read(&mut self, keys: &mut [u8]) -> usize {
        let Some(ring) = &mut self.ring else { return 0 };
        match ring.read(keys) {
            Ok(count) => {
                self.is_touched |= count > 0;
                count
            }
            Err(_) => {
                self.give_up();
                0
            }
        }
    }

    /// Moves what waits into the ring.
    fn drain(&mut self) {
        while !self.waiting.is_empty() {
            let Some(ring) = &mut self.ring else { return };
            let (front, _) = self.waiting.as_slices();
            match ring.write(front) {
                Ok(0) => return,
                Ok(written) => {
                    self.waiting.drain(..written);
                    self.is_touched = true;
                }
                Err(_) => return self.give_up(),
            }
        }
    }

    /// The backend contradicts itself: it is not used any more.
    fn give_up(&mut self) {
        self.ring = None;
        self.waiting.clear();
        self.full_since = None;
    }
}

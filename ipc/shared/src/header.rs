//! One side's header: what it tells its peer, and what it believes of the peer's.
//!
//! A header is 64 bytes in a page that only its owner writes:
//!
//! | offset | what |
//! |---|---|
//! | 0 | `u64`: epoch in the upper half, index in the lower, always stored together |
//! | 8 | `u32`: ring me when your index reaches this |
//! | 12 | `u32`: the index with which the present epoch began |
//!
//! Indices count entries (or bytes) from the first one on and wrap at 2^32. The epoch rises by one each time a side is
//! opened, so a peer learns of a restart, and where it happened, from the word it reads anyway.
//!
//! Invariant: a side keeps its own index privately and never reads it back from the page while it is open; an index of
//! the peer is taken only if it lies in the window that the last one allows, else the side is broken for good. A side
//! never moves its index back, restarts included. A successor in a swap stays in its predecessor's epoch; it can do so only
//! if that one had published all that it did.

use crate::Memory;
use crate::memory::full_fence;

/// Bytes of a header: a cache line, so that two sides do not share one.
pub const HEADER: usize = 64;

const WORD: usize = 0;
const EVENT: usize = 8;
const BEGUN: usize = 12;

/// The largest capacity: indices that far apart can still be told from indices gone wrong.
const LARGEST: u32 = 1 << 30;

/// Why a ring refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer's index cannot be: it, or the page, is not to be trusted. Stays so until the ring is opened anew.
    Broken,
    /// No entry is free; `arm` asks to be rung when one is.
    Full,
    /// The parts do not have the sizes or the alignment that the ring needs.
    Shape,
}

/// Whether position `a` comes before position `b`; positions wrap, and lie less than 2^31 apart.
#[must_use]
pub const fn precedes(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// Which end a side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Consumer,
}

/// One end of a ring: its own index, and the peer's as last seen.
#[derive(Debug)]
pub(crate) struct Side {
    own: Memory,
    peer: Memory,
    role: Role,
    capacity: u32,
    epoch: u32,
    /// The next position to fill or to take.
    index: u32,
    /// What the peer was told of `index`.
    published: u32,
    /// The peer's index as last seen.
    seen: u32,
    peer_epoch: u32,
    /// Where the peer began anew, until somebody asks.
    restarted: Option<u32>,
    is_broken: bool,
}

impl Side {
    /// Goes on from the index in the own page, in a new epoch.
    pub(crate) fn open(
        role: Role,
        own: Memory,
        peer: Memory,
        capacity: u32,
    ) -> Result<Self, Error> {
        let fits = own.holds(0, HEADER) && peer.holds(0, HEADER);
        if !fits || !capacity.is_power_of_two() || capacity > LARGEST {
            return Err(Error::Shape);
        }
        let (epoch, index) = split(own.load_u64_acquire(WORD));
        let (peer_epoch, seen) = split(peer.load_u64_acquire(WORD));
        let epoch = epoch.wrapping_add(1).max(1);
        let side = Self {
            own,
            peer,
            role,
            capacity,
            epoch,
            index,
            published: index,
            seen,
            peer_epoch,
            restarted: None,
            is_broken: false,
        };
        if side.ahead() > capacity {
            return Err(Error::Broken);
        }
        own.store_u32_release(EVENT, 0);
        own.store_u32_release(BEGUN, index);
        own.store_u64_release(WORD, join(epoch, index));
        Ok(side)
    }

    /// The side of a predecessor, which knew the peer by `peer_epoch`. Nothing is read or written, and the side is broken,
    /// until [`Self::resume`].
    pub(crate) fn adopted(
        role: Role,
        own: Memory,
        peer: Memory,
        capacity: u32,
        peer_epoch: u32,
    ) -> Result<Self, Error> {
        let fits = own.holds(0, HEADER) && peer.holds(0, HEADER);
        if !fits || !capacity.is_power_of_two() || capacity > LARGEST {
            return Err(Error::Shape);
        }
        Ok(Self {
            own,
            peer,
            role,
            capacity,
            epoch: 0,
            index: 0,
            published: 0,
            seen: 0,
            peer_epoch,
            restarted: None,
            is_broken: true,
        })
    }

    /// Goes on from the index in the own page, in the epoch of that page: the peer learns nothing, and what it was asked to
    /// ring for stays asked.
    pub(crate) fn resume(&mut self) -> Result<(), Error> {
        let (epoch, index) = split(self.own.load_u64_acquire(WORD));
        let (peer_epoch, seen) = split(self.peer.load_u64_acquire(WORD));
        (self.epoch, self.index, self.published, self.seen) = (epoch, index, index, seen);
        if self.ahead() > self.capacity {
            return Err(Error::Broken);
        }
        if peer_epoch != self.peer_epoch {
            self.peer_epoch = peer_epoch;
            self.restarted = Some(self.peer.load_u32_acquire(BEGUN));
        }
        self.is_broken = false;
        Ok(())
    }

    /// The epoch of the peer as its owner knows it: another one, if the peer began anew and nobody asked yet.
    pub(crate) const fn peer_epoch(&self) -> u32 {
        self.peer_epoch.wrapping_sub(self.restarted.is_some() as u32)
    }

    pub(crate) const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The next position to fill or to take.
    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    /// How far the producer is ahead of the consumer, in this side's view.
    const fn ahead(&self) -> u32 {
        match self.role {
            Role::Producer => self.index.wrapping_sub(self.seen),
            Role::Consumer => self.seen.wrapping_sub(self.index),
        }
    }

    /// How far this side may go on without another look: free entries of a producer, waiting ones of a consumer.
    const fn room(&self) -> u32 {
        match self.role {
            Role::Producer => self.capacity - self.ahead(),
            Role::Consumer => self.ahead(),
        }
    }

    /// At least `wanted` if there is that much; looks at the peer's index only when the last view does not do.
    pub(crate) fn room_for(&mut self, wanted: u32) -> Result<u32, Error> {
        if self.is_broken {
            return Err(Error::Broken);
        }
        if self.room() < wanted {
            self.look()?;
        }
        Ok(self.room())
    }

    /// Takes the peer's index, if it can be.
    pub(crate) fn look(&mut self) -> Result<(), Error> {
        let (epoch, index) = split(self.peer.load_u64_acquire(WORD));
        if self.is_broken || index.wrapping_sub(self.seen) > self.most_the_peer_may_move() {
            self.is_broken = true;
            return Err(Error::Broken);
        }
        self.seen = index;
        if epoch != self.peer_epoch {
            self.peer_epoch = epoch;
            self.restarted = Some(self.peer.load_u32_acquire(BEGUN));
        }
        Ok(())
    }

    /// The peer knows only what was published to it.
    const fn most_the_peer_may_move(&self) -> u32 {
        match self.role {
            Role::Producer => self.published.wrapping_sub(self.seen),
            Role::Consumer => self.capacity - self.seen.wrapping_sub(self.published),
        }
    }

    /// Moves the own index by `count`, which must be within the room; the peer sees it at the next `publish`.
    pub(crate) fn advance(&mut self, count: u32) {
        debug_assert!(count <= self.room());
        self.index = self.index.wrapping_add(count);
    }

    /// Shows the peer how far this side got. Says whether to ring it.
    pub(crate) fn publish(&mut self) -> bool {
        let moved = self.index.wrapping_sub(self.published);
        if moved == 0 || self.is_broken {
            return false;
        }
        self.own.store_u64_release(WORD, join(self.epoch, self.index));
        self.published = self.index;
        full_fence();
        let event = self.peer.load_u32_acquire(EVENT);
        self.index.wrapping_sub(event) < moved
    }

    /// Asks to be rung when there is room for `wanted`. Says whether there is already: then nobody rings.
    pub(crate) fn arm(&mut self, wanted: u32) -> Result<bool, Error> {
        let wanted = wanted.clamp(1, self.capacity);
        let target = match self.role {
            Role::Producer => self.index.wrapping_sub(self.capacity).wrapping_add(wanted),
            Role::Consumer => self.index.wrapping_add(wanted),
        };
        self.own.store_u32_release(EVENT, target);
        full_fence();
        self.look()?;
        Ok(self.room() >= wanted)
    }

    /// Where the peer began anew, if it did since the last call.
    pub(crate) fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.look()?;
        Ok(self.restarted.take())
    }
}

const fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

const fn join(epoch: u32, index: u32) -> u64 {
    (epoch as u64) << 32 | index as u64
}

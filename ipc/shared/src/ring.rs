//! A ring of fixed-size entries from one producer to one consumer.
//!
//! Invariant: the producer writes its header and the entries, the consumer only its header. An entry is written before
//! the index that shows it, and copied out before the index that frees it; a crash between the two loses or repeats
//! the unpublished step, never tears an entry. What an entry *means* is for the reader to check: it is a copy, so it
//! cannot change after the check.
//!
//! Both ends work in steps: `push` or `pop` as often as there is room, then `publish` once, then ring the peer if it
//! says so. Before a side sleeps it calls `arm`, and stays awake if that is true. After `open`, ring the peer once: a
//! ring from before a restart may be lost.

use core::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::Memory;
use crate::header::{Role, Side};

pub use crate::header::{Error, HEADER};

/// What can travel in a ring: plain bytes without padding, any bit pattern valid.
pub trait Entry: FromBytes + IntoBytes + Immutable {}

impl<E: FromBytes + IntoBytes + Immutable> Entry for E {}

/// Where a ring lies.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts {
    /// The producer's header: [`HEADER`] bytes that only it writes.
    pub producer: Memory,
    /// The entries, which only the producer writes; as many as fit, and that must be a power of two.
    pub entries: Memory,
    /// The consumer's header: [`HEADER`] bytes that only it writes.
    pub consumer: Memory,
}

/// The end that fills entries.
#[derive(Debug)]
pub struct Producer<E> {
    side: Side,
    entries: Memory,
    entry: PhantomData<E>,
}

/// The end that takes entries.
#[derive(Debug)]
pub struct Consumer<E> {
    side: Side,
    entries: Memory,
    entry: PhantomData<E>,
}

/// How many entries fit.
fn capacity<E>(entries: Memory) -> u32 {
    let fitting = entries.len().checked_div(size_of::<E>());
    fitting.and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

/// Where the entry at `position` lies.
fn offset<E>(side: &Side, position: u32) -> usize {
    (position & (side.capacity() - 1)) as usize * size_of::<E>()
}

impl<E: Entry> Producer<E> {
    /// Opens the producing end where its page says it was; a page of zeros is a new ring.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together, [`Error::Broken`] when the two headers contradict.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        let capacity = capacity::<E>(parts.entries);
        let side = Side::open(Role::Producer, parts.producer, parts.consumer, capacity)?;
        Ok(Self { side, entries: parts.entries, entry: PhantomData })
    }

    /// The producing end of a predecessor, which knew the peer by `peer_epoch`; it is [`Error::Broken`] until [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together; their content is not looked at.
    pub fn adopted(parts: Parts, peer_epoch: u32) -> Result<Self, Error> {
        let capacity = capacity::<E>(parts.entries);
        let (own, peer) = (parts.producer, parts.consumer);
        let side = Side::adopted(Role::Producer, own, peer, capacity, peer_epoch)?;
        Ok(Self { side, entries: parts.entries, entry: PhantomData })
    }

    /// Goes on where the predecessor stopped; the peer learns nothing of it.
    ///
    /// # Errors
    /// [`Error::Broken`] when the two headers contradict.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.side.resume()
    }

    /// The peer's epoch, for a successor.
    #[must_use]
    pub const fn peer_epoch(&self) -> u32 {
        self.side.peer_epoch()
    }

    /// The number of entries in the ring.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.side.capacity()
    }

    /// The position that the next `push` fills.
    #[must_use]
    pub const fn position(&self) -> u32 {
        self.side.index()
    }

    /// How many entries are free at least.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn free(&mut self) -> Result<u32, Error> {
        self.side.room_for(self.capacity())
    }

    /// Fills the next entry and gives its position; the consumer sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Broken`]; nothing was filled.
    pub fn push(&mut self, entry: &E) -> Result<u32, Error> {
        if self.side.room_for(1)? == 0 {
            return Err(Error::Full);
        }
        let position = self.side.index();
        self.entries.write(offset::<E>(&self.side, position), entry);
        self.side.advance(1);
        Ok(position)
    }

    /// Shows the consumer all that was pushed. Says whether to ring it.
    #[must_use = "the consumer sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.side.publish()
    }

    /// Asks to be rung when `wanted` entries are free. Says whether they are already: then nobody rings.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn arm(&mut self, wanted: u32) -> Result<bool, Error> {
        self.side.arm(wanted)
    }

    /// The position at which a restarted consumer went on, if one started since the last call (the first start
    /// included): what precedes it may have been taken by the consumer that died.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.side.restarted()
    }
}

impl<E: Entry> Consumer<E> {
    /// Opens the consuming end where its page says it was; a page of zeros is a new ring.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together, [`Error::Broken`] when the two headers contradict.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        let capacity = capacity::<E>(parts.entries);
        let side = Side::open(Role::Consumer, parts.consumer, parts.producer, capacity)?;
        Ok(Self { side, entries: parts.entries, entry: PhantomData })
    }

    /// The consuming end of a predecessor, which knew the peer by `peer_epoch`; it is [`Error::Broken`] until [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together; their content is not looked at.
    pub fn adopted(parts: Parts, peer_epoch: u32) -> Result<Self, Error> {
        let capacity = capacity::<E>(parts.entries);
        let (own, peer) = (parts.consumer, parts.producer);
        let side = Side::adopted(Role::Consumer, own, peer, capacity, peer_epoch)?;
        Ok(Self { side, entries: parts.entries, entry: PhantomData })
    }

    /// Goes on where the predecessor stopped; the peer learns nothing of it.
    ///
    /// # Errors
    /// [`Error::Broken`] when the two headers contradict.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.side.resume()
    }

    /// The peer's epoch, for a successor.
    #[must_use]
    pub const fn peer_epoch(&self) -> u32 {
        self.side.peer_epoch()
    }

    /// The number of entries in the ring.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.side.capacity()
    }

    /// The position that the next `pop` takes.
    #[must_use]
    pub const fn position(&self) -> u32 {
        self.side.index()
    }

    /// How many entries wait at least.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn waiting(&mut self) -> Result<u32, Error> {
        self.side.room_for(self.capacity())
    }

    /// A copy of the next entry, if one waits; the producer may fill it anew after [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn pop(&mut self) -> Result<Option<E>, Error> {
        if self.side.room_for(1)? == 0 {
            return Ok(None);
        }
        let entry = self.entries.read(offset::<E>(&self.side, self.side.index()));
        self.side.advance(1);
        Ok(Some(entry))
    }

    /// Gives back all entries that were taken. Says whether to ring the producer.
    #[must_use = "the producer sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.side.publish()
    }

    /// Asks to be rung when `wanted` entries wait. Says whether they do already: then nobody rings.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn arm(&mut self, wanted: u32) -> Result<bool, Error> {
        self.side.arm(wanted)
    }

    /// The position at which a restarted producer went on, if one started since the last call (the first start
    /// included): what precedes it came from the producer that died.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.side.restarted()
    }
}

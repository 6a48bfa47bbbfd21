//! A stream of bytes from one producer to one consumer.
//!
//! Invariant: as for [`crate::ring`], with a byte for an entry: bytes are written before the index that shows them and
//! copied out before the index that frees them. It has no messages; framing is for the layer above.

use crate::Memory;
use crate::header::{Role, Side};

pub use crate::header::{Error, HEADER};
pub use crate::ring::Parts;

/// The end that writes.
#[derive(Debug)]
pub struct Producer {
    side: Side,
    data: Memory,
}

/// The end that reads.
#[derive(Debug)]
pub struct Consumer {
    side: Side,
    data: Memory,
}

/// Copies the last bytes that a producer showed into `to`, read or not, and gives their number: for who is no consumer, after the
/// producer's end. What is written meanwhile may be torn; a header that makes no sense gives bytes that make none.
pub fn last(producer: Memory, data: Memory, to: &mut [u8]) -> usize {
    if !data.len().is_power_of_two() || !producer.holds(0, HEADER) {
        return 0;
    }
    let end = producer.load_u64_acquire(0) as u32;
    let len = to.len().min(data.len()).min(end as usize);
    let (start, first) = pieces(data, end.wrapping_sub(count(len)), len);
    let (head, tail) = to.split_at_mut(first);
    data.copy_from(start, head);
    data.copy_from(0, tail.get_mut(..len - first).unwrap_or_default());
    len
}

/// The bytes of `data` for `len` bytes from `position` on: up to the end, and the rest from the start.
fn pieces(data: Memory, position: u32, len: usize) -> (usize, usize) {
    let start = position as usize & (data.len() - 1);
    (start, len.min(data.len() - start))
}

fn capacity(data: Memory) -> u32 {
    u32::try_from(data.len()).unwrap_or(0)
}

/// A number of bytes that is known to be at most the capacity, which is a `u32`.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Producer {
    /// Opens the writing end where its page says it was; a page of zeros is a new stream. `parts.entries` are the
    /// bytes; their number must be a power of two.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together, [`Error::Broken`] when the two headers contradict.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        let capacity = capacity(parts.entries);
        let side = Side::open(Role::Producer, parts.producer, parts.consumer, capacity)?;
        Ok(Self { side, data: parts.entries })
    }

    /// The writing end of a predecessor; it is [`Error::Broken`] until [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together; their content is not looked at.
    pub fn adopted(parts: Parts) -> Result<Self, Error> {
        let capacity = capacity(parts.entries);
        let side = Side::adopted(Role::Producer, parts.producer, parts.consumer, capacity, 0)?;
        Ok(Self { side, data: parts.entries })
    }

    /// Goes on where the predecessor stopped; the peer learns nothing of it.
    ///
    /// # Errors
    /// [`Error::Broken`] when the two headers contradict.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.side.resume()
    }

    /// How many bytes can be written.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn free(&mut self) -> Result<usize, Error> {
        Ok(self.side.room_for(self.side.capacity())? as usize)
    }

    /// Writes as much of `from` as there is room for and gives the number of bytes; the consumer sees them after
    /// [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn write(&mut self, from: &[u8]) -> Result<usize, Error> {
        let room = self.side.room_for(count(from.len()).min(self.side.capacity()))?;
        let from = from.get(..room as usize).unwrap_or(from);
        let (start, first) = pieces(self.data, self.side.index(), from.len());
        let (head, tail) = from.split_at(first);
        self.data.copy_to(start, head);
        self.data.copy_to(0, tail);
        self.side.advance(count(from.len()));
        Ok(from.len())
    }

    /// Shows the consumer all that was written. Says whether to ring it.
    #[must_use = "the consumer sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.side.publish()
    }

    /// Asks to be rung when `wanted` bytes can be written. Says whether they can already: then nobody rings.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn arm(&mut self, wanted: usize) -> Result<bool, Error> {
        self.side.arm(count(wanted))
    }

    /// The position at which a restarted consumer went on, if one started since the last call.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.side.restarted()
    }
}

impl Consumer {
    /// Opens the reading end where its page says it was; a page of zeros is a new stream. `parts.entries` are the
    /// bytes; their number must be a power of two.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together, [`Error::Broken`] when the two headers contradict.
    pub fn open(parts: Parts) -> Result<Self, Error> {
        let capacity = capacity(parts.entries);
        let side = Side::open(Role::Consumer, parts.consumer, parts.producer, capacity)?;
        Ok(Self { side, data: parts.entries })
    }

    /// The reading end of a predecessor; it is [`Error::Broken`] until [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts do not fit together; their content is not looked at.
    pub fn adopted(parts: Parts) -> Result<Self, Error> {
        let capacity = capacity(parts.entries);
        let side = Side::adopted(Role::Consumer, parts.consumer, parts.producer, capacity, 0)?;
        Ok(Self { side, data: parts.entries })
    }

    /// Goes on where the predecessor stopped; the peer learns nothing of it.
    ///
    /// # Errors
    /// [`Error::Broken`] when the two headers contradict.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.side.resume()
    }

    /// How many bytes wait.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn waiting(&mut self) -> Result<usize, Error> {
        Ok(self.side.room_for(self.side.capacity())? as usize)
    }

    /// Copies what waits into `to`, as much as fits, without taking it; gives the number of bytes.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn peek(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let room = self.side.room_for(count(to.len()).min(self.side.capacity()))?;
        let len = to.len().min(room as usize);
        let (start, first) = pieces(self.data, self.side.index(), len);
        let (head, tail) = to.split_at_mut(first);
        self.data.copy_from(start, head);
        self.data.copy_from(0, tail.get_mut(..len - first).unwrap_or_default());
        Ok(len)
    }

    /// Takes up to `len` bytes without copying them and gives their number; the producer may write there again after
    /// [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn consume(&mut self, len: usize) -> Result<usize, Error> {
        let room = self.side.room_for(count(len).min(self.side.capacity()))?;
        let taken = count(len).min(room);
        self.side.advance(taken);
        Ok(taken as usize)
    }

    /// Copies what waits into `to`, as much as fits, and takes it; gives the number of bytes.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Error> {
        let len = self.peek(to)?;
        self.consume(len)
    }

    /// Gives back the bytes that were taken. Says whether to ring the producer.
    #[must_use = "the producer sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.side.publish()
    }

    /// Asks to be rung when `wanted` bytes wait. Says whether they do already: then nobody rings.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn arm(&mut self, wanted: usize) -> Result<bool, Error> {
        self.side.arm(count(wanted))
    }

    /// The position at which a restarted producer went on, if one started since the last call.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.side.restarted()
    }
}

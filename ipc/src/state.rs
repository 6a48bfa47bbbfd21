//! The state that a server hands to its successor in a swap, declared in one place.
//!
//! State is a sequence of records: a name, the hash of the record's layout, and its postcard bytes. A successor asks for the
//! records that it knows; one whose layout has changed asks for the old layout as well and converts it. What `pack` and the
//! supervisor compare before anything is touched are the names and hashes of the wiring note (`state { … }`).
//!
//! Invariant: what was written reads back the same, or not at all: a record with another layout is another record, and bytes
//! that are no records are [`Damaged`]. State is a copy: nothing in it refers to the memory of the old server.

mod schema;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use abi::hash;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use schema::Schema;

/// Bytes before those of each record: hash of the name, hash of the layout, length.
const HEAD: usize = 8 + 8 + 4;

/// A record of a server's state; `state!` makes them.
pub trait Record: Schema + Serialize + DeserializeOwned {
    /// Its name: the server's and its own, as `httpd.connections`. At most [`abi::wiring::NAME`] bytes.
    const NAME: &'static str;
}

/// The state does not fit the room that there is for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full {
    /// Bytes that it would have needed so far.
    pub needed: usize,
}

/// The bytes are no records, or a record is not what its layout says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged;

/// Where a server writes its state.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Writer {
    /// Nothing yet, and room for `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Adds a record. Several of one kind keep their order.
    ///
    /// # Errors
    /// There is no room for it, by the limit or in memory; nothing was added.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), Full> {
        let size = postcard::experimental::serialized_size(record).unwrap_or(usize::MAX);
        let at = self.bytes.len();
        let needed = at.saturating_add(HEAD).saturating_add(size);
        let full = Full { needed };
        let length = u32::try_from(size).map_err(|_| full)?;
        if needed > self.limit || !self.has_room(needed - at) {
            return Err(full);
        }
        self.bytes.extend_from_slice(&hash::text(R::NAME).to_le_bytes());
        self.bytes.extend_from_slice(&R::HASH.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.resize(needed, 0);
        let body = self.bytes.get_mut(at + HEAD..).unwrap_or_default();
        if postcard::to_slice(record, body).is_err() {
            self.bytes.truncate(at);
            return Err(full);
        }
        Ok(())
    }

    /// Makes room: with some to spare if there is memory for it.
    fn has_room(&mut self, more: usize) -> bool {
        self.bytes.try_reserve(more).is_ok() || self.bytes.try_reserve_exact(more).is_ok()
    }

    /// All that was written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The digest by which the supervisor sees that a successor understood all: equal for equal records. It guards against
/// mistakes, not against malice.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    parts(bytes).fold(0, |sum, part| part.add_to(sum))
}

/// The digest of a state as a successor wrote it down again: that of its predecessor's, if nothing was lost. A record that the
/// predecessor wrote in two layouts counts in those that the successor writes too. `None` if one is missing in all layouts, or
/// there is one too many.
#[must_use]
pub fn digest_again(state: &[u8], again: &[u8]) -> Option<u64> {
    let mut kinds: Vec<(Part<'_>, &[u8])> = Vec::new();
    let mut sum = 0;
    for part in parts(state) {
        let at = kinds.iter().position(|(kind, _)| kind.is_like(&part)).unwrap_or_else(|| {
            kinds.push((part, again));
            kinds.len() - 1
        });
        let (_, rest) = kinds.get_mut(at)?;
        sum = match next_like(&part, rest) {
            Some(next) => next.add_to(sum),
            None if is_written_otherwise(&part, again) => part.add_to(sum),
            None => return None,
        };
    }
    kinds.iter_mut().all(|(kind, rest)| next_like(kind, rest).is_none()).then_some(sum)
}

/// The next record of a kind; `rest` is what comes behind it.
fn next_like<'a>(kind: &Part<'_>, rest: &mut &'a [u8]) -> Option<Part<'a>> {
    while let Some((part, behind)) = split(rest) {
        *rest = behind;
        if part.is_like(kind) {
            return Some(part);
        }
    }
    None
}

/// Whether a record is written in other layouts, and not in its own.
fn is_written_otherwise(part: &Part<'_>, again: &[u8]) -> bool {
    let mut same_name = parts(again).filter(|other| other.name == part.name).peekable();
    same_name.peek().is_some() && same_name.all(|other| other.layout != part.layout)
}

fn parts(bytes: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        let (part, behind) = split(rest)?;
        rest = behind;
        Some(part)
    })
}

/// State to be read, checked to be records to its end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// State of these bytes.
    ///
    /// # Errors
    /// They are no records.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split(rest).ok_or(Damaged)?;
        }
        Ok(Self { bytes })
    }

    /// All records of a kind, in the order in which they were written.
    pub fn all<R: Record>(self) -> impl Iterator<Item = Result<R, Damaged>> + use<'a, R> {
        parts(self.bytes).filter(Part::is::<R>).map(|part| decode(part.body))
    }

    /// The one record of a kind; `None` if there is none.
    ///
    /// # Errors
    /// Its bytes are not such a record, or there are two.
    pub fn one<R: Record>(self) -> Result<Option<R>, Damaged> {
        let mut all = self.all();
        let first = all.next().transpose()?;
        if all.next().is_some() { Err(Damaged) } else { Ok(first) }
    }
}

/// One record, not decoded.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    name: u64,
    layout: u64,
    body: &'a [u8],
}

impl Part<'_> {
    fn is<R: Record>(&self) -> bool {
        self.name == hash::text(R::NAME) && self.layout == R::HASH
    }

    const fn is_like(&self, other: &Part<'_>) -> bool {
        self.name == other.name && self.layout == other.layout
    }

    const fn add_to(&self, sum: u64) -> u64 {
        hash::combine(&[sum, self.name, self.layout, hash::data(self.body)])
    }
}

/// The first record, and what is behind it.
fn split(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let (name, rest) = bytes.split_first_chunk()?;
    let (layout, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (name, layout) = (u64::from_le_bytes(*name), u64::from_le_bytes(*layout));
    Some((Part { name, layout, body }, rest))
}

fn decode<R: Record>(body: &[u8]) -> Result<R, Damaged> {
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Ok(record),
        _ => Err(Damaged),
    }
}

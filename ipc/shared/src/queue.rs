//! Requests and their answers: a pair of rings, submit and complete, with room for data on each side.
//!
//! A queue lies in two parts of memory: *up*, which only the client writes, and *down*, which only the server writes.
//! Page 0 of each holds the headers, the entries follow from [`PAGE`] on, then the data, from [`Layout::data`] on.
//!
//! | part | offset 0 | offset 64 | offset 4096 | then |
//! |---|---|---|---|---|
//! | up | producer of requests | consumer of answers | requests | the client's data |
//! | down | consumer of requests | producer of answers | answers | the server's data |
//!
//! Invariant: a client has at most as many requests open as there are entries, and a server takes a request only if
//! there is room for its answer; so neither ever waits for the other to make room, and neither can be made to. Each
//! request gets exactly one answer, in any order; which request it answers is for the entries to say.
//!
//! When one side restarts, the other learns it from `restarted`, with the position that parts the requests taken by
//! the old server (or made by the old client) from the rest. A client then submits again what precedes the position
//! and is still open; a server forgets what precedes it.

use crate::ring::{Consumer, Entry, Parts, Producer};
use crate::{HEADER, Memory, PAGE};

pub use crate::header::{Error, precedes};

/// The sizes of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Entries in each ring: a power of two.
    entries: u32,
}

impl Layout {
    /// A queue with room for `entries` open requests, a power of two.
    #[must_use]
    pub const fn new(entries: u32) -> Self {
        Self { entries }
    }

    /// Where the data starts in the part whose entries are `E`: a page boundary.
    #[must_use]
    pub const fn data<E>(self) -> usize {
        (PAGE + self.entry_bytes::<E>()).next_multiple_of(PAGE)
    }

    const fn entry_bytes<E>(self) -> usize {
        self.entries as usize * size_of::<E>()
    }

    fn header(part: Memory, number: usize) -> Result<Memory, Error> {
        part.part(number * HEADER, HEADER).ok_or(Error::Shape)
    }

    fn entries<E>(self, part: Memory) -> Result<Memory, Error> {
        part.part(PAGE, self.entry_bytes::<E>()).ok_or(Error::Shape)
    }

    fn rest<E>(self, part: Memory) -> Result<Memory, Error> {
        let start = self.data::<E>();
        let len = part.len().checked_sub(start).ok_or(Error::Shape)?;
        part.part(start, len).ok_or(Error::Shape)
    }

    fn requests<S>(self, up: Memory, down: Memory) -> Result<Parts, Error> {
        Ok(Parts {
            producer: Self::header(up, 0)?,
            entries: self.entries::<S>(up)?,
            consumer: Self::header(down, 0)?,
        })
    }

    fn answers<C>(self, up: Memory, down: Memory) -> Result<Parts, Error> {
        Ok(Parts {
            producer: Self::header(down, 1)?,
            entries: self.entries::<C>(down)?,
            consumer: Self::header(up, 1)?,
        })
    }
}

/// What a successor has to know of an end, beside what is in the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Requests without an answer.
    pub open: u32,
    /// By which the other side's restarts are told.
    pub peer_epoch: u32,
}

/// The end that submits requests `S` and takes answers `C`.
#[derive(Debug)]
pub struct Client<S, C> {
    requests: Producer<S>,
    answers: Consumer<C>,
    open: u32,
    up: Memory,
    down: Memory,
}

/// The end that takes requests `S` and gives answers `C`.
#[derive(Debug)]
pub struct Server<S, C> {
    requests: Consumer<S>,
    answers: Producer<C>,
    open: u32,
    up: Memory,
    down: Memory,
}

impl<S: Entry, C: Entry> Client<S, C> {
    /// Opens the client's end where its page says it was.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts are too small, [`Error::Broken`] when their headers contradict.
    pub fn open(layout: Layout, up: Memory, down: Memory) -> Result<Self, Error> {
        Ok(Self {
            requests: Producer::open(layout.requests::<S>(up, down)?)?,
            answers: Consumer::open(layout.answers::<C>(up, down)?)?,
            open: 0,
            up: layout.rest::<S>(up)?,
            down: layout.rest::<C>(down)?,
        })
    }

    /// The client's end of a predecessor that had shown all that it did; it is [`Error::Broken`] until [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts are too small; their content is not looked at.
    pub fn adopted(layout: Layout, up: Memory, down: Memory, kept: Kept) -> Result<Self, Error> {
        let requests = layout.requests::<S>(up, down)?;
        let answers = layout.answers::<C>(up, down)?;
        Ok(Self {
            requests: Producer::adopted(requests, kept.peer_epoch)?,
            answers: Consumer::adopted(answers, kept.peer_epoch)?,
            open: kept.open,
            up: layout.rest::<S>(up)?,
            down: layout.rest::<C>(down)?,
        })
    }

    /// Goes on where the predecessor stopped; the other side learns nothing of it.
    ///
    /// # Errors
    /// [`Error::Broken`] when the headers contradict.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.requests.resume()?;
        self.answers.resume()
    }

    /// What a successor has to know.
    #[must_use]
    pub const fn kept(&self) -> Kept {
        Kept { open: self.open, peer_epoch: self.requests.peer_epoch() }
    }

    /// The data that this side writes.
    #[must_use]
    pub const fn up(&self) -> Memory {
        self.up
    }

    /// The data that the server writes: to be read only.
    #[must_use]
    pub const fn down(&self) -> Memory {
        self.down
    }

    /// The number of requests without an answer, as far as this client made them.
    #[must_use]
    pub const fn open_requests(&self) -> u32 {
        self.open
    }

    /// Adds a request and gives its position; the server sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Full`] when too many are open, [`Error::Broken`].
    pub fn submit(&mut self, request: &S) -> Result<u32, Error> {
        if self.open >= self.requests.capacity() {
            return Err(Error::Full);
        }
        let position = self.requests.push(request)?;
        self.open += 1;
        Ok(position)
    }

    /// The next answer, if there is one.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn complete(&mut self) -> Result<Option<C>, Error> {
        let answer = self.answers.pop()?;
        if answer.is_some() {
            self.open = self.open.saturating_sub(1);
        }
        Ok(answer)
    }

    /// Shows the server what was submitted and taken. Says whether to ring it.
    #[must_use = "the server sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        let for_answers = self.answers.publish();
        self.requests.publish() || for_answers
    }

    /// Asks to be rung at the next answer. Says whether there is one already: then nobody rings.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn arm(&mut self) -> Result<bool, Error> {
        self.answers.arm(1)
    }

    /// The position at which a restarted server went on, if one started since the last call (the first start
    /// included). Take the answers first; the requests then open that precede the position are lost: [`Self::forget`]
    /// them and submit them again.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.requests.restarted()
    }

    /// Counts `count` open requests as lost: they get no answer.
    pub fn forget(&mut self, count: u32) {
        self.open = self.open.saturating_sub(count);
    }
}

impl<S: Entry, C: Entry> Server<S, C> {
    /// Opens the server's end where its page says it was.
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts are too small, [`Error::Broken`] when their headers contradict.
    pub fn open(layout: Layout, up: Memory, down: Memory) -> Result<Self, Error> {
        Ok(Self {
            requests: Consumer::open(layout.requests::<S>(up, down)?)?,
            answers: Producer::open(layout.answers::<C>(up, down)?)?,
            open: 0,
            up: layout.rest::<S>(up)?,
            down: layout.rest::<C>(down)?,
        })
    }

    /// The server's end of a predecessor that had shown all that it did; it is [`Error::Broken`] until [`Self::resume`].
    ///
    /// # Errors
    /// [`Error::Shape`] when the parts are too small; their content is not looked at.
    pub fn adopted(layout: Layout, up: Memory, down: Memory, kept: Kept) -> Result<Self, Error> {
        let requests = layout.requests::<S>(up, down)?;
        let answers = layout.answers::<C>(up, down)?;
        Ok(Self {
            requests: Consumer::adopted(requests, kept.peer_epoch)?,
            answers: Producer::adopted(answers, kept.peer_epoch)?,
            open: kept.open,
            up: layout.rest::<S>(up)?,
            down: layout.rest::<C>(down)?,
        })
    }

    /// Goes on where the predecessor stopped; the other side learns nothing of it.
    ///
    /// # Errors
    /// [`Error::Broken`] when the headers contradict.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.requests.resume()?;
        self.answers.resume()
    }

    /// What a successor has to know.
    #[must_use]
    pub const fn kept(&self) -> Kept {
        Kept { open: self.open, peer_epoch: self.requests.peer_epoch() }
    }

    /// The data that the client writes: to be read only, and to be judged after copying.
    #[must_use]
    pub const fn up(&self) -> Memory {
        self.up
    }

    /// The data that this side writes.
    #[must_use]
    pub const fn down(&self) -> Memory {
        self.down
    }

    /// The number of requests taken and not yet answered.
    #[must_use]
    pub const fn open_requests(&self) -> u32 {
        self.open
    }

    /// The position of the request that [`Self::take`] takes next.
    #[must_use]
    pub const fn position(&self) -> u32 {
        self.requests.position()
    }

    /// The next request, if there is one and room for its answer.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn take(&mut self) -> Result<Option<S>, Error> {
        if self.answers.free()? <= self.open {
            return Ok(None);
        }
        let request = self.requests.pop()?;
        self.open += u32::from(request.is_some());
        Ok(request)
    }

    /// Answers a request that was taken; the client sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Error::Full`] when no request is open, [`Error::Broken`].
    pub fn answer(&mut self, answer: &C) -> Result<(), Error> {
        if self.open == 0 {
            return Err(Error::Full);
        }
        self.answers.push(answer)?;
        self.open -= 1;
        Ok(())
    }

    /// Shows the client what was taken and then what was answered: who sees an answer has room for a request, and a server
    /// that dies between the two leaves a request without an answer, never one with two. Says whether to ring the client.
    #[must_use = "the client sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        let for_requests = self.requests.publish();
        self.answers.publish() || for_requests
    }

    /// Asks to be rung at the next request. Says whether there is one already: then nobody rings.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn arm(&mut self) -> Result<bool, Error> {
        let may_take = self.answers.arm(self.open.saturating_add(1))?;
        Ok(self.requests.arm(1)? && may_take)
    }

    /// The position with which a restarted client began, if one started since the last call (the first start included):
    /// what was taken before it is nobody's any more; [`Self::forget`] it.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub fn restarted(&mut self) -> Result<Option<u32>, Error> {
        self.requests.restarted()
    }

    /// Drops `count` open requests without an answer.
    pub fn forget(&mut self, count: u32) {
        self.open = self.open.saturating_sub(count);
    }
}

//! [`Connection`]: requests with numbers, replies matched to them, watch events.

use heapless::Vec;
use shared::Memory;

use super::message::{Failure, Header, Operation};
use super::transport::{Rest, Transport};
use super::{PAYLOAD, REQUESTS};
use crate::Broken;

/// The most messages that a ring holds at once; looking for one of use ends there, whatever xenstored writes meanwhile.
const MESSAGES: usize = 64;

/// Why a request is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Too many requests are in flight, or earlier ones are still on their way out; try again after a reply.
    Busy,
    /// The request does not fit a message.
    TooLong,
    /// The connection is broken for good.
    Broken,
}

impl From<Broken> for Error {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// The reply to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply<'a> {
    /// The requester's tag.
    pub tag: u32,
    /// What was asked.
    pub operation: Operation,
    /// The transaction in which it was asked.
    pub transaction: u32,
    /// The payload, or why not.
    pub result: Result<&'a [u8], Failure>,
}

/// What came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received<'a> {
    /// A reply.
    Reply(Reply<'a>),
    /// A watch fired.
    Event {
        /// What changed; as absolute or relative as the watch's path was.
        path: &'a [u8],
        /// The token that the watch was made with.
        token: &'a [u8],
    },
}

#[derive(Clone, Copy, Debug)]
struct Request {
    number: u32,
    tag: u32,
    operation: Operation,
    transaction: u32,
}

/// A connection to xenstored.
///
/// After [`Self::request`] and [`Self::receive`], ring xenstored if [`Self::take_ring`] says so.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    requests: Vec<Request, REQUESTS>,
    /// The number of the last request; its upper half is the epoch, so that a reply to a server that died is not taken
    /// for one to this.
    number: u32,
    is_broken: bool,
}

impl Connection {
    /// Takes the ring as it is; `epoch` tells this server from the one before it, and `rest` is that one's
    /// [`Self::rest`]. Unless the domain has just started, reset the watches first.
    ///
    /// # Errors
    /// When the indices in the page contradict each other.
    pub fn open(page: Memory, epoch: u16, rest: Rest) -> Result<Self, Broken> {
        Ok(Self {
            transport: Transport::open(page, rest)?,
            requests: Vec::new(),
            number: u32::from(epoch) << 16,
            is_broken: false,
        })
    }

    /// What is left of messages that are under way: to be kept for the server that comes after a crash.
    #[must_use]
    pub fn rest(&self) -> Rest {
        self.transport.rest()
    }

    /// How many requests have no reply yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Whether xenstored is to be rung for what was done since the last call.
    #[must_use = "xenstored sleeps until it is rung"]
    pub fn take_ring(&mut self) -> bool {
        self.transport.take_ring()
    }

    /// Sends a request whose payload is `parts`, one after the other; `tag` comes back with the reply.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn request(
        &mut self,
        operation: Operation,
        transaction: u32,
        parts: &[&[u8]],
        tag: u32,
    ) -> Result<(), Error> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if self.is_broken {
            return Err(Error::Broken);
        }
        if len > PAYLOAD {
            return Err(Error::TooLong);
        }
        if !self.transport.has_room(len) {
            return Err(Error::Busy);
        }
        let number = self.next_number();
        let request = Request { number, tag, operation, transaction };
        self.requests.push(request).map_err(|_| Error::Busy)?;
        let header =
            Header { kind: operation as u32, request: number, transaction, len: len as u32 };
        Ok(self.check(|connection| connection.transport.send(header, parts))?)
    }

    /// The next reply or event, if one is whole. Sends what waited for room, too.
    ///
    /// # Errors
    /// When the peer does not keep to the protocol.
    pub fn receive(&mut self) -> Result<Option<Received<'_>>, Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        let next = self.check(Self::next)?;
        Ok(match next {
            None => None,
            Some(Next::Event(path)) => Some(event(self.transport.payload(), path)),
            Some(Next::Reply(request, is_error)) => {
                Some(Received::Reply(reply(request, is_error, self.transport.payload())))
            }
        })
    }

    /// Takes messages until one is of use.
    fn next(&mut self) -> Result<Option<Next>, Broken> {
        self.transport.flush()?;
        for _ in 0..MESSAGES {
            let Some(header) = self.transport.receive()? else { break };
            if header.kind == Operation::WatchEvent as u32 {
                return path_of_event(self.transport.payload()).map(|path| Some(Next::Event(path)));
            }
            let number = header.request;
            if let Some(at) = self.requests.iter().position(|request| request.number == number) {
                let request = self.requests.swap_remove(at);
                let is_error = is_error(header.kind, request.operation)?;
                return Ok(Some(Next::Reply(request, is_error)));
            }
        }
        Ok(None)
    }

    /// Numbers wrap within the epoch; no two requests in flight have the same.
    fn next_number(&mut self) -> u32 {
        loop {
            self.number = self.number & 0xffff_0000 | self.number.wrapping_add(1) & 0xffff;
            if self.requests.iter().all(|request| request.number != self.number) {
                return self.number;
            }
        }
    }

    fn check<R>(&mut self, act: impl FnOnce(&mut Self) -> Result<R, Broken>) -> Result<R, Broken> {
        let result = act(self);
        self.is_broken |= result.is_err();
        result
    }
}

/// A message of use, whose payload is in the transport.
enum Next {
    /// A watch event whose path has so many bytes.
    Event(usize),
    /// The reply to a request, and whether it is an error.
    Reply(Request, bool),
}

/// The length of the path of a watch event: path and token, each ended by a zero byte, and maybe more.
fn path_of_event(payload: &[u8]) -> Result<usize, Broken> {
    let end = payload.iter().position(|byte| *byte == 0).ok_or(Broken)?;
    let has_token = payload.get(end + 1..).is_some_and(|rest| rest.contains(&0));
    if end > 0 && has_token { Ok(end) } else { Err(Broken) }
}

fn event(payload: &[u8], path: usize) -> Received<'_> {
    let (path, rest) = payload.split_at(path.min(payload.len()));
    let token = rest.split(|byte| *byte == 0).nth(1).unwrap_or_default();
    Received::Event { path, token }
}

fn is_error(kind: u32, operation: Operation) -> Result<bool, Broken> {
    match kind {
        kind if kind == Operation::Error as u32 => Ok(true),
        kind if kind == operation as u32 => Ok(false),
        _ => Err(Broken),
    }
}

fn reply(request: Request, is_error: bool, payload: &[u8]) -> Reply<'_> {
    let Request { tag, operation, transaction, .. } = request;
    let result = if is_error { Err(Failure::parse(payload)) } else { Ok(payload) };
    Reply { tag, operation, transaction, result }
}

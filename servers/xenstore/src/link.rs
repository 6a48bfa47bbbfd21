//! The connection to xenstored, with the requests that wait for it and those that wait for their replies.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use xen::store::{Connection, Error, Failure, REQUESTS, Received};

use crate::request::{Purpose, Request};

/// What came in, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Incoming {
    Reply(Purpose, Result<Vec<u8>, Failure>),
    Event { path: Vec<u8>, token: Vec<u8> },
}

/// Whether a request went out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    Yes,
    /// No room; try again after a reply.
    NotNow,
    /// It never will: it is too long, or the connection is broken.
    Never,
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// `None` if there is none, or it is broken.
    connection: Option<Box<Connection>>,
    /// Purposes of requests in flight, by their tag.
    flying: [Option<Purpose>; REQUESTS],
    /// This server's own requests, which go before those of clients.
    pub own: VecDeque<Request>,
}

impl Link {
    pub const fn new(connection: Option<Box<Connection>>) -> Self {
        Self { connection, flying: [const { None }; REQUESTS], own: VecDeque::new() }
    }

    pub const fn is_broken(&self) -> bool {
        self.connection.is_none()
    }

    /// Sends a request.
    pub fn send(&mut self, request: &Request) -> Sent {
        let Some(connection) = &mut self.connection else { return Sent::Never };
        let free = self.flying.iter().position(Option::is_none);
        let Some((tag, place)) = free.and_then(|tag| Some((tag, self.flying.get_mut(tag)?))) else {
            return Sent::NotNow;
        };
        let Request { operation, transaction, payload, purpose } = request;
        match connection.request(*operation, *transaction, &[payload], tag as u32) {
            Ok(()) => {
                *place = Some(purpose.clone());
                Sent::Yes
            }
            Err(Error::Busy) => Sent::NotNow,
            Err(Error::TooLong) => Sent::Never,
            Err(Error::Broken) => {
                self.connection = None;
                Sent::Never
            }
        }
    }

    /// Sends this server's own requests; false if some still wait.
    pub fn send_own(&mut self) -> bool {
        while let Some(request) = self.own.pop_front() {
            if self.send(&request) == Sent::NotNow {
                self.own.push_front(request);
                return false;
            }
        }
        true
    }

    /// The next thing that came in.
    pub fn receive(&mut self) -> Option<Incoming> {
        let connection = self.connection.as_mut()?;
        match connection.receive() {
            Ok(None) => None,
            Ok(Some(Received::Event { path, token })) => {
                Some(Incoming::Event { path: Vec::from(path), token: Vec::from(token) })
            }
            Ok(Some(Received::Reply(reply))) => {
                let result = reply.result.map(Vec::from);
                let purpose = self.flying.get_mut(reply.tag as usize).and_then(Option::take);
                Some(Incoming::Reply(purpose.unwrap_or(Purpose::Nobody), result))
            }
            Err(_) => {
                self.connection = None;
                None
            }
        }
    }

    /// The purposes whose replies will never come, if the connection broke.
    pub fn take_lost(&mut self) -> Vec<Purpose> {
        if self.connection.is_some() {
            return Vec::new();
        }
        self.own.clear();
        self.flying.iter_mut().filter_map(Option::take).collect()
    }

    /// Whether xenstored is to be rung.
    pub fn take_ring(&mut self) -> bool {
        self.connection.as_mut().is_some_and(|connection| connection.take_ring())
    }
}

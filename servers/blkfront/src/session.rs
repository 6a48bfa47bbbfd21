//! [`Session`]: the client's queue, and its requests that have no answer.
//!
//! Invariant: a request is remembered from `take` to its one answer. A lost session stays lost. A queue that is broken is
//! not used any more, and ends the session, not the driver.

use alloc::vec::Vec;

use ipc::Wire;
use ipc::block::{Complete, ENTRIES, FAILED, QUEUE, Request};
use shared::queue::{Error, Server};

/// A session of the client.
#[derive(Debug)]
pub(crate) struct Session {
    queue: Server<Request, Complete>,
    /// Numbers of the requests without an answer.
    open: Vec<u32>,
    /// The device it began with is removed or was broken.
    is_lost: bool,
    /// Why the queue cannot be used any more.
    fault: Option<Error>,
}

impl Session {
    /// Begins one; what is left in the queue belongs to an earlier one, and is dropped.
    pub fn open(wire: &Wire) -> Result<Self, Error> {
        let mut queue = Server::open(QUEUE, wire.up, wire.down)?;
        for _ in 0..ENTRIES {
            if queue.take()?.is_none() {
                break;
            }
            queue.forget(1);
        }
        let _ = queue.publish();
        queue.arm()?;
        Ok(Self { queue, open: Vec::new(), is_lost: false, fault: None })
    }

    /// Why the session cannot go on.
    pub const fn fault(&self) -> Option<Error> {
        self.fault
    }

    /// Whether all its requests fail.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The next request; it needs an answer.
    pub fn take(&mut self) -> Option<Request> {
        let taken = self.queue.take();
        let request = self.note(taken).flatten()?;
        self.open.push(request.id);
        Some(request)
    }

    /// Answers a request that was taken.
    pub fn answer(&mut self, id: u32, status: u32) {
        if let Some(at) = self.open.iter().position(|open| *open == id) {
            self.open.swap_remove(at);
            let answered = self.queue.answer(&Complete { id, status });
            self.note(answered);
        }
    }

    /// The device is gone for this session: what is open fails.
    pub fn lose(&mut self) {
        self.is_lost = true;
        while let Some(&id) = self.open.last() {
            self.answer(id, FAILED);
        }
    }

    /// Lets all requests of a lost session fail, at most a queue's worth. Says whether there may be more.
    pub fn fail(&mut self) -> bool {
        for _ in 0..ENTRIES {
            let Some(request) = self.take() else { return false };
            self.answer(request.id, FAILED);
        }
        true
    }

    /// Shows the client what was done. Says whether to ring it.
    #[must_use = "the client sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.queue.publish()
    }

    /// Asks to be rung at the next request. Says whether there is one already.
    pub fn arm(&mut self) -> bool {
        let armed = self.queue.arm();
        self.note(armed).unwrap_or_default()
    }

    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        result.inspect_err(|error| self.fault = Some(*error)).ok()
    }
}

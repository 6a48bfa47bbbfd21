//! A client's end of a file system in a swap of the client: what its successor has to know beside what is in shared memory.
//!
//! Invariant: after [`Files::flush`] all is shown that was done; answers that came meanwhile wait in the queue, and their data
//! in the buffers that are not free.

use alloc::vec::Vec;

use abi::Traps;
use shared::queue::{self, Kept};

use super::super::{BUFFERS, QUEUE};
use super::Files;
use crate::Wire;

crate::state! {
    /// A session.
    pub struct State {
        /// Its number.
        pub session: u32,
        /// Whether it counts as over.
        pub is_broken: bool,
        /// Requests without an answer.
        pub open: u32,
        /// By which restarts of the server are told.
        pub epoch: u32,
        /// Buffers that are free.
        pub free: Vec<u16>,
    }
}

impl<T: Traps> Files<T> {
    /// What a successor has to know. To be asked after [`Self::flush`].
    #[must_use]
    pub fn save(&self) -> State {
        let Kept { open, peer_epoch } = self.queue.kept();
        let (session, is_broken) = (self.session, self.is_broken);
        State { session, is_broken, open, epoch: peer_epoch, free: self.free.clone() }
    }

    /// The session of a predecessor. It is not to be used before [`Self::resume`], which is the first to touch the memory.
    /// `None` if the wire has not enough of it, or there is no such buffer.
    #[must_use]
    pub fn adopted(traps: T, wire: Wire, state: &State) -> Option<Self> {
        let kept = Kept { open: state.open, peer_epoch: state.epoch };
        let queue = queue::Client::adopted(QUEUE, wire.up, wire.down, kept).ok()?;
        let State { session, is_broken, .. } = *state;
        let free = state.free.clone();
        let is_sane = free.iter().all(|buffer| *buffer < BUFFERS);
        is_sane.then_some(Self { traps, wire, session, queue, free, is_broken })
    }

    /// Goes on where the predecessor stopped; the session counts as over if that cannot be.
    pub fn resume(&mut self) {
        let resumed = self.queue.resume();
        self.note(resumed);
    }
}

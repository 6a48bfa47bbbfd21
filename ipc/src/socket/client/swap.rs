//! A client's sockets in a swap of the client: what its successor has to know beside what is in shared memory.
//!
//! Invariant: after [`Sockets::flush`] all is shown that was done, and the indices of all rings are in the own page; so a
//! successor that goes on from there neither loses nor repeats anything, and the server learns nothing of it.

use alloc::vec::Vec;

use abi::Traps;
use shared::Error;
use shared::bytes::{Consumer, Producer};
use shared::queue::{self, Kept};

use super::super::{QUEUE, SOCKETS, receive_parts, send_parts};
use super::{End, Sockets};
use crate::Wire;

crate::state! {
    /// Sockets.
    pub struct State {
        /// Number of the session.
        pub session: u32,
        /// Whether the session counts as over.
        pub is_broken: bool,
        /// Requests without an answer.
        pub open: u32,
        /// By which restarts of the server are told.
        pub epoch: u32,
        /// Those that are used.
        pub used: Vec<Used>,
    }
    /// A socket that is used.
    pub struct Used {
        /// Its number.
        pub socket: u16,
        /// Requests without an answer.
        pub pending: u8,
        /// Whether it is being closed.
        pub is_closing: bool,
    }
}

impl<T: Traps> Sockets<T> {
    /// What a successor has to know. To be asked after [`Self::flush`].
    #[must_use]
    pub fn save(&self) -> State {
        let Kept { open, peer_epoch } = self.queue.kept();
        let used = (0..).zip(&self.ends).filter(|(_, end)| end.is_used);
        let used = used.map(|(socket, end)| {
            let End { pending, is_closing, .. } = *end;
            Used { socket, pending, is_closing }
        });
        let (session, is_broken) = (self.session, self.is_broken);
        State { session, is_broken, open, epoch: peer_epoch, used: used.collect() }
    }

    /// The sockets of a predecessor. They are not to be used before [`Self::resume`], which is the first to touch the memory.
    /// `None` if the wire has not enough of it, or there is no such socket.
    #[must_use]
    pub fn adopted(traps: T, wire: Wire, state: &State) -> Option<Self> {
        let kept = Kept { open: state.open, peer_epoch: state.epoch };
        let queue = queue::Client::adopted(QUEUE, wire.up, wire.down, kept).ok()?;
        let ends: Option<Vec<End>> =
            (0..SOCKETS).map(|socket| End::adopted(&wire, socket)).collect();
        let mut ends = ends?;
        for used in &state.used {
            let end = ends.get_mut(usize::from(used.socket))?;
            (end.is_used, end.pending, end.is_closing) = (true, used.pending, used.is_closing);
        }
        let State { session, is_broken, .. } = *state;
        Some(Self { traps, wire, session, queue, ends, touched: Vec::new(), is_broken })
    }

    /// Goes on where the predecessor stopped; the session counts as over if that cannot be.
    pub fn resume(&mut self) {
        let resumed = self.queue.resume();
        self.note(resumed);
        for socket in 0..SOCKETS {
            let Some(end) = self.ends.get_mut(usize::from(socket)) else { break };
            let (resumed, is_used) = (end.resume(), end.is_used);
            self.note(resumed);
            if is_used {
                self.hunger(socket);
            }
        }
    }
}

impl End {
    fn adopted(wire: &Wire, socket: u16) -> Option<Self> {
        Some(Self {
            send: Producer::adopted(send_parts(wire.up, wire.down, socket)?).ok()?,
            receive: Consumer::adopted(receive_parts(wire.up, wire.down, socket)?).ok()?,
            pending: 0,
            is_used: false,
            is_closing: false,
            is_touched: false,
            is_hungry: false,
            wanted: 0,
        })
    }

    fn resume(&mut self) -> Result<(), Error> {
        self.send.resume()?;
        self.receive.resume()
    }
}

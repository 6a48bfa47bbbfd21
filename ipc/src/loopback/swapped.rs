//! Swaps on the host, for the tests of a server's state: what its predecessor wrote, adopted and written down again.
//!
//! It swaps between two turns, where a server is asked for its state.

use std::vec::Vec;

use abi::trap::{BIT_CONTROL, BIT_WORLD};
use abi::{Answer, Badge, Call};

use crate::serve::Serve;
use crate::state::{Damaged, Full, Reader, Writer};
use crate::swap::Successor;

/// What a server writes for a successor.
///
/// # Panics
/// It cannot be written.
#[must_use]
pub fn saved(server: &impl Serve) -> Vec<u8> {
    let mut to = Writer::new(1 << 22);
    let written = server.save(&mut to);
    assert_eq!(written, Ok(()), "the state is written");
    to.bytes().to_vec()
}

/// The successor of a server: it has adopted its state, and has had the turn that a successor gets at once.
///
/// # Panics
/// The state is not adopted whole: then the supervisor would give the swap up.
pub fn swapped<S: Serve>(server: &S, adopt: impl FnOnce(Reader<'_>) -> Result<S, Damaged>) -> S {
    let state = saved(server);
    let next = Successor::adopt(&state, adopt).ok().map(Successor::into_server);
    let Some(mut next) = next else { panic!("the state was not adopted") };
    assert!(saved(&next) == state, "what was adopted is what was written");
    next.bits(!(BIT_CONTROL | BIT_WORLD));
    next
}

/// A server that is swapped behind its turns.
pub struct Swapping<S, A> {
    server: S,
    adopt: A,
    every: u64,
    turns: u64,
}

impl<S: Serve, A: Fn(Reader<'_>) -> Result<S, Damaged>> Swapping<S, A> {
    /// Swaps `server` behind each turn whose number `every` divides; 0: never.
    pub const fn new(server: S, every: u64, adopt: A) -> Self {
        Self { server, adopt, every, turns: 0 }
    }

    /// How often it was swapped.
    pub fn swaps(&self) -> u64 {
        self.turns.checked_div(self.every).unwrap_or(0)
    }

    fn turned(&mut self) {
        self.turns += 1;
        if self.turns.checked_rem(self.every) == Some(0) {
            self.server = swapped(&self.server, &self.adopt);
        }
    }
}

impl<S: Serve, A: Fn(Reader<'_>) -> Result<S, Damaged>> Serve for Swapping<S, A> {
    fn bits(&mut self, bits: u64) {
        self.server.bits(bits);
        self.turned();
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        let answer = self.server.call(call);
        self.turned();
        answer
    }

    fn fault(&mut self, fault: &Call) -> Option<Answer> {
        let answer = self.server.fault(fault);
        self.turned();
        answer
    }

    fn opened(&mut self, client: Badge) {
        self.server.opened(client);
    }

    fn closed(&mut self, client: Badge) {
        self.server.closed(client);
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        self.server.save(to)
    }
}

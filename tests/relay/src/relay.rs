//! The relay.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::{Answer, Badge, Call, Caller, Message, Token, Traps};
use ipc::serve::Serve;
use ipc::state::{Damaged, Full, Reader, Writer};

use crate::protocol::{self, Error, answer};
use crate::state::{Counters, CountersTwo, Held};

/// Which layouts of its state it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// The first.
    One,
    /// The second, and the first for those who know no other.
    Two,
}

/// A relay.
#[derive(Debug)]
pub struct Relay<T> {
    traps: T,
    layout: Layout,
    counts: BTreeMap<u16, u64>,
    right: u64,
    wrong: u64,
    /// How a bad successor misbehaves.
    pub act: u32,
    successions: u32,
    /// Tokens and words, as they came.
    pub held: Vec<(u64, u64)>,
}

impl<T: Traps> Relay<T> {
    /// One that knows nothing yet.
    pub const fn new(traps: T, layout: Layout) -> Self {
        Self {
            traps,
            layout,
            counts: BTreeMap::new(),
            right: 0,
            wrong: 0,
            act: 0,
            successions: 0,
            held: Vec::new(),
        }
    }

    /// One that goes on where another stopped.
    ///
    /// # Errors
    /// The state is not a relay's.
    pub fn adopt(traps: T, layout: Layout, state: Reader<'_>) -> Result<Self, Damaged> {
        let mut relay = Self::new(traps, layout);
        let two = if layout == Layout::Two { state.one::<CountersTwo>()? } else { None };
        match two {
            Some(two) => {
                let CountersTwo { successions, counts, judged: (right, wrong), act } = two;
                relay = Self { successions, counts, right, wrong, act, ..relay };
            }
            None => {
                let Counters { counts, right, wrong, act, successions } =
                    state.one::<Counters>()?.ok_or(Damaged)?;
                let counts = counts.into_iter().collect();
                relay = Self { successions, counts, right, wrong, act, ..relay };
            }
        }
        let held = state.all::<Held>().map(|held| held.map(|held| (held.token, held.word)));
        relay.held = held.collect::<Result<_, _>>()?;
        Ok(relay)
    }

    /// Notes that it has taken over; not part of what was adopted.
    pub const fn took_over(&mut self) {
        self.successions += 1;
    }
}

impl<T: Traps> protocol::Server for Relay<T> {
    fn count(&mut self, from: Badge) -> Result<u64, Error> {
        let count = self.counts.entry(from.client()).or_default();
        *count += 1;
        Ok(*count)
    }

    fn hold(&mut self, caller: Caller<u64, Error>, word: u64) -> Option<Answer> {
        self.held.push((caller.answer(Ok(0)).token.bits(), word));
        None
    }

    fn release(&mut self, _: Badge) -> Result<u32, Error> {
        let held = core::mem::take(&mut self.held);
        for (token, word) in held.iter().rev() {
            let message = Message::new(0, [answer(*word), 0, 0, 0, 0]);
            self.traps.reply(Answer { token: Token::from_bits(*token), message });
        }
        Ok(held.len() as u32)
    }

    fn judge(&mut self, _: Badge, right: bool) -> Result<(), Error> {
        if right {
            self.right += 1;
        } else {
            self.wrong += 1;
        }
        Ok(())
    }

    fn tally(&mut self, _: Badge) -> Result<(u32, u64, u64), Error> {
        Ok((self.held.len() as u32, self.right, self.wrong))
    }

    fn act(&mut self, _: Badge, act: u32) -> Result<(), Error> {
        self.act = act;
        Ok(())
    }

    fn version(&mut self, _: Badge) -> Result<(u32, u32), Error> {
        Ok((self.layout as u32 + 1, self.successions))
    }
}

impl<T: Traps> Serve for Relay<T> {
    fn bits(&mut self, bits: u64) {
        // Nobody rings a relay: all bits at once are what a successor begins with.
        if bits.count_ones() > 32 {
            self.took_over();
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        protocol::dispatch(self, call)
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        let Self { right, wrong, act, successions, .. } = *self;
        let counts = self.counts.iter().map(|(client, count)| (*client, *count)).collect();
        to.put(&Counters { counts, right, wrong, act, successions })?;
        if self.layout == Layout::Two {
            let counts = self.counts.clone();
            to.put(&CountersTwo { successions, counts, judged: (right, wrong), act })?;
        }
        self.held.iter().try_for_each(|(token, word)| to.put(&Held { token: *token, word: *word }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, Relay};
    use abi::{Badge, Call, Message, Token};
    use ipc::loopback::Loopback;
    use ipc::serve::Serve;
    use ipc::state::{Reader, Writer};
    use std::vec::Vec;

    fn state(relay: &impl Serve) -> Vec<u8> {
        let mut to = Writer::new(100_000);
        relay.save(&mut to).unwrap();
        to.bytes().to_vec()
    }

    #[test]
    fn every_version_goes_on_where_every_other_stopped() {
        let end = Loopback::new().end();
        let mut first = Relay::new(end, Layout::One);
        for client in 0..60u16 {
            let badge = Badge::new(0, client, 0);
            let token = Token::new(abi::token::Kind::Call, client, 7);
            for (label, word) in [(1, 0), (2, u64::from(client) * 1000)] {
                let message = Message::new(label, [word, 0, 0, 0, 0]);
                let _ = first.call(&Call { token, badge, message });
            }
        }
        for from in [Layout::One, Layout::Two] {
            first.layout = from;
            let bytes = state(&first);
            for to in [Layout::One, Layout::Two] {
                let mut next = Relay::adopt(end, to, Reader::new(&bytes).unwrap()).unwrap();
                next.layout = from;
                assert_eq!(state(&next), bytes);
                assert_eq!((next.held.len(), next.counts.len()), (60, 60));
            }
        }
    }
}

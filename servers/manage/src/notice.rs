//! [`Notice`]: what the other domain finds in XenStore, written and written again.
//!
//! Invariant: at most one request to xenstore is open; what cannot be written is tried again after a pause, for ever. The nodes
//! outlive this server, and xenstore's: they are written anew only when they change, or to wake who watches them.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};

use abi::Traps;
use ipc::Wire;
use ipc::vchan::DIRECTORY;
use ipc::xenstore::{Client, Kind, Operation};

use crate::door::Offer;
use crate::state;

/// The pause after something went wrong, in nanoseconds.
const PAUSE: u64 = 500_000_000;
/// The pauses after which who waits is woken, in nanoseconds.
const WAKES: [u64; 3] = [0, 100_000_000, 500_000_000];
/// Most answers that are collected in one turn.
const COLLECTED: usize = 8;

/// The nodes.
#[derive(Debug)]
pub(crate) struct Notice<T> {
    client: Client<T>,
    wire: Wire,
    is_open: bool,
    /// The number of the request that is open.
    asked: Option<u32>,
    /// What is to be written, the first one first.
    due: VecDeque<(String, String)>,
    offer: Option<Offer>,
    retry: Option<u64>,
    /// When to wake who waits.
    wakes: VecDeque<u64>,
}

impl<T: Traps> Notice<T> {
    pub fn new(traps: T, wire: Wire) -> Self {
        let client = Client::new(traps, wire.handle);
        Self {
            client,
            wire,
            is_open: false,
            asked: None,
            due: VecDeque::new(),
            offer: None,
            retry: None,
            wakes: VecDeque::new(),
        }
    }

    /// That of a predecessor, whose session with xenstore goes on.
    pub fn adopted(traps: T, wire: Wire, state: state::Notice) -> Self {
        let state::Notice { is_open, asked, due, offer, retry, wakes } = state;
        Self { is_open, asked, due, offer, retry, wakes, ..Self::new(traps, wire) }
    }

    pub fn save(&self) -> state::Notice {
        state::Notice {
            is_open: self.is_open,
            asked: self.asked,
            due: self.due.clone(),
            offer: self.offer,
            retry: self.retry,
            wakes: self.wakes.clone(),
        }
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<u64> {
        self.retry.or_else(|| self.wakes.front().copied())
    }

    /// There is something else to tell.
    pub fn tell(&mut self, offer: Offer) {
        self.offer = Some(offer);
        self.due.clear();
        self.due.push_back((String::from("ring-ref"), offer.reference.to_string()));
        self.due.push_back((String::from("event-channel"), offer.channel.to_string()));
    }

    /// The vchan is free: wakes who waits for that, at once and some times more, since a client has the event channel for a while
    /// after it has left.
    pub fn wake(&mut self, now: u64) {
        self.wakes = WAKES.map(|pause| now.saturating_add(pause)).into();
    }

    /// It is taken: nobody needs to be woken.
    pub fn taken(&mut self) {
        self.wakes.clear();
    }

    fn wake_if_due(&mut self, now: u64) {
        if self.wakes.pop_front_if(|at| *at <= now).is_some()
            && let Some(offer) = self.offer.filter(|_| self.due.is_empty())
        {
            self.due.push_back((String::from("event-channel"), offer.channel.to_string()));
        }
    }

    /// The domain goes on elsewhere: the session is gone.
    pub fn forget(&mut self) {
        (self.is_open, self.asked, self.retry) = (false, None, None);
        self.due.clear();
    }

    /// Does what can be done now.
    pub fn turn(&mut self, now: u64) {
        if self.retry.is_some_and(|at| at > now) {
            return;
        }
        self.retry = None;
        self.wake_if_due(now);
        if self.step().is_none() {
            (self.is_open, self.asked) = (false, None);
            self.retry = Some(now.saturating_add(PAUSE));
        }
    }

    /// `None` when something went wrong.
    fn step(&mut self) -> Option<()> {
        if !self.is_open {
            if self.due.is_empty() {
                return Some(());
            }
            self.client.open().ok()?;
            (self.is_open, self.asked) = (true, None);
        }
        for _ in 0..COLLECTED {
            let (kind, number, ..) = self.client.collect().ok()?;
            match kind {
                Kind::Nothing => break,
                Kind::Done if self.asked == Some(number) => {
                    self.asked = None;
                    self.due.pop_front();
                }
                Kind::Failed | Kind::Lost => return None,
                Kind::Done | Kind::Fired => {}
            }
        }
        self.post()
    }

    fn post(&mut self) -> Option<()> {
        let Some((name, text)) = self.due.front().filter(|_| self.asked.is_none()) else {
            return Some(());
        };
        let path = format!("{DIRECTORY}/{name}");
        self.wire.up.copy_to(0, path.as_bytes());
        self.wire.up.copy_to(path.len(), text.as_bytes());
        let (path, value) = (path.len() as u32, text.len() as u32);
        self.asked = Some(self.client.post(Operation::Write, 0, path, value).ok()?);
        Some(())
    }
}

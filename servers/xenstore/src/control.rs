//! What domain 0 asks of the domain itself: `control/shutdown` (Xen docs/misc/xenstore-paths.pandoc).
//!
//! Invariant: a request is taken once, by emptying the node in the transaction that read it; only when that was committed is
//! it acted on. What is not understood is acknowledged all the same, or the toolstack would wait for nothing.

use alloc::vec::Vec;

use abi::kernel::control::Shutdown;
use xen::store::{Failure, Operation};

use crate::request::{Purpose, Request, begin, end, path, transaction, with};

const NODE: &str = "control/shutdown";
/// The token of its watch; those of clients have a dot.
pub(crate) const TOKEN: &[u8] = b"shutdown";
/// What the domain can do, to be said to domain 0.
const FEATURES: [&str; 2] = ["control/feature-poweroff", "control/feature-reboot"];
/// How often a transaction that met another is repeated.
const TRIES: u8 = 16;

/// How far the taking of a request is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Begun,
    Read { transaction: u32 },
    Emptied { transaction: u32, wish: Vec<u8> },
    Ended { wish: Vec<u8> },
}

/// What came of a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// To be asked next.
    Ask(Request),
    /// Domain 0 wants this.
    Wish(Vec<u8>),
    /// Nothing more.
    Idle,
}

/// The taking of requests, one at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    is_busy: bool,
    /// The node changed while one was taken.
    is_due: bool,
    tries: u8,
}

impl Control {
    /// What is asked first: an end to the watches of an earlier incarnation, then what this one wants.
    pub fn start() -> Vec<Request> {
        let ask = |operation, payload| Request {
            operation,
            transaction: 0,
            payload,
            purpose: Purpose::Nobody,
        };
        let mut requests = Vec::from([ask(Operation::ResetWatches, Vec::from(b"\0"))]);
        let features = FEATURES.iter().map(|node| ask(Operation::Write, with(node, b"1")));
        requests.extend(features);
        let mut watch = with(NODE, TOKEN);
        watch.push(0);
        requests.push(ask(Operation::Watch, watch));
        requests
    }

    /// The node may have changed.
    pub fn fired(&mut self) -> Option<Request> {
        if core::mem::replace(&mut self.is_busy, true) {
            self.is_due = true;
            return None;
        }
        self.tries = 0;
        Some(begin(Purpose::Control(Step::Begun)))
    }

    /// Takes the reply to a step.
    pub fn reply(&mut self, step: Step, result: Result<&[u8], Failure>) -> Outcome {
        match (step, result) {
            (Step::Begun, Ok(reply)) => match transaction(reply) {
                Some(transaction) => Outcome::Ask(Request {
                    operation: Operation::Read,
                    transaction,
                    payload: path(NODE),
                    purpose: Purpose::Control(Step::Read { transaction }),
                }),
                None => self.idle(),
            },
            (Step::Read { transaction }, Ok(wish)) if !wish.is_empty() => {
                let wish = Vec::from(wish);
                Outcome::Ask(Request {
                    operation: Operation::Write,
                    transaction,
                    payload: with(NODE, b""),
                    purpose: Purpose::Control(Step::Emptied { transaction, wish }),
                })
            }
            (Step::Emptied { transaction, wish }, Ok(_)) => {
                Outcome::Ask(end(transaction, true, Purpose::Control(Step::Ended { wish })))
            }
            (Step::Ended { wish }, Ok(_)) => {
                self.is_busy = false;
                Outcome::Wish(wish)
            }
            (Step::Ended { .. }, Err(Failure::Again)) if self.tries < TRIES => {
                self.tries += 1;
                Outcome::Ask(begin(Purpose::Control(Step::Begun)))
            }
            // Nothing was asked, or it cannot be read: the transaction is abandoned.
            (Step::Read { transaction } | Step::Emptied { transaction, .. }, _) => {
                self.is_busy = false;
                Outcome::Ask(end(transaction, false, Purpose::Nobody))
            }
            (Step::Begun | Step::Ended { .. }, Err(_)) => self.idle(),
        }
    }

    /// What to ask because the node changed meanwhile.
    pub fn again(&mut self) -> Option<Request> {
        if self.is_busy || !core::mem::take(&mut self.is_due) {
            return None;
        }
        self.fired()
    }

    const fn idle(&mut self) -> Outcome {
        self.is_busy = false;
        Outcome::Idle
    }
}

/// What a wish of domain 0 means for the supervisor; `None` if it is one that this domain does not know.
pub(crate) fn meaning(wish: &[u8]) -> Option<Shutdown> {
    match wish {
        b"poweroff" | b"halt" => Some(Shutdown::Poweroff),
        b"reboot" => Some(Shutdown::Reboot),
        _ => None,
    }
}

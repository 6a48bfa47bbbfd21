//! What an operator in domain 0 and the server `manage` say to each other, over a stream of bytes: frames that each hold one
//! value (postcard), a request up, an answer down, strictly in turn.
//!
//! The first request is [`Request::Hello`]; any other ends the session. New requests and answers are added at the end of
//! their lists, so that what an older side does not know is refused by it and nothing is taken for something else. Both sides
//! bound what they take: [`REQUEST`] and [`ANSWER`] are the most bytes of a frame.

mod frame;

use alloc::string::String;
use alloc::vec::Vec;

use abi::{CallError, Traps};
use serde::{Deserialize, Serialize};

pub use frame::{Broken, Frames, frame, value};

use crate::history::{Death, Event};
use crate::operator::{Client, Error, Way};
use crate::status::Snapshot;

/// The version of this protocol; both sides must have the same.
pub const PROTOCOL: u16 = 1;
/// Most bytes of a request.
pub const REQUEST: usize = 1024;
/// Most bytes of an answer.
pub const ANSWER: usize = 32 * 1024;
/// The longest time that [`Request::Log`] can be put off, in milliseconds.
pub const PATIENCE: u32 = 10_000;

/// What the operator wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// The beginning of a session. Answered by [`Answer::Welcome`] with the same number; may be repeated.
    Hello {
        /// The version that the operator speaks.
        protocol: u16,
        /// Any number.
        number: u64,
    },
    /// The state of the system.
    Status,
    /// Lines of the log.
    Log {
        /// From where on.
        from: From,
        /// Only those of this server.
        server: Option<String>,
        /// If there are none: wait so long for one, in milliseconds; at most [`PATIENCE`].
        wait: u32,
    },
    /// What happened, from the event with this number on.
    Events(u64),
    /// The ends of servers, from the one with this number on.
    Deaths(u64),
    /// Does something to a server.
    Act {
        /// Its slot's name.
        server: String,
        /// What.
        action: Action,
    },
}

/// What can be done to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Action {
    /// Ends it and starts it again.
    Restart,
    /// Ends it for good.
    Stop,
    /// Starts it.
    Start,
    /// Ends it as if it had faulted.
    Kill,
    /// Lets it go on at address 0.
    KillWithNull,
}

impl<T: Traps> Client<T> {
    /// Does something to the server of a slot.
    ///
    /// # Errors
    /// Those of the single methods.
    pub fn act(&self, slot: u16, action: Action) -> Result<(), CallError<Error>> {
        match action {
            Action::Restart => self.restart(slot),
            Action::Stop => self.stop(slot),
            Action::Start => self.start(slot),
            Action::Kill => self.kill(slot, Way::AtOnce),
            Action::KillWithNull => self.kill(slot, Way::Null),
        }
    }
}

/// From where on lines of the log are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum From {
    /// The last so many.
    Last(u32),
    /// Those with this number or a later one.
    Number(u64),
}

/// What `manage` answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The session has begun, if the versions are the same.
    Welcome {
        /// The version that `manage` speaks.
        protocol: u16,
        /// The number of the hello.
        number: u64,
    },
    /// It is not done; why.
    Refused(Refusal),
    /// It is done.
    Done,
    /// The state of the system.
    Status(Snapshot),
    /// Lines of the log, oldest first.
    Log {
        /// The lines.
        lines: Vec<Line>,
        /// From where on to ask for more.
        next: u64,
    },
    /// What happened, as far as it fits.
    Events(Vec<Event>),
    /// The ends of servers, as far as they fit.
    Deaths(Vec<Death>),
}

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Its number; each line has the next. Lines that were lost on the way to `manage` have none.
    pub number: u64,
    /// When `manage` read it, in nanoseconds since boot.
    pub at: u64,
    /// The server that wrote it.
    pub server: String,
    /// Its text, without an end.
    pub text: String,
}

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// The request is not known; this side is older, or the other is no operator.
    Unknown,
    /// No server has this name.
    NoSuchServer,
    /// The supervisor does not do that to this server.
    NotAllowed,
    /// The supervisor gave no answer.
    NoAnswer,
    /// The answer is longer than an answer may be.
    TooLong,
    /// The server runs already.
    Runs,
}

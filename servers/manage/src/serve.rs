//! What a session may ask for, and who does it.

use alloc::vec::Vec;

use ipc::history::{Death, Event};
use ipc::manage::{Action, Answer, Line, Refusal, Request};
use ipc::status::Snapshot;

use crate::keeper::Keeper;

/// Most bytes of log lines in an answer.
const LINES: usize = 24 * 1024;

/// The supervisor, as this server uses it.
pub trait Operator {
    /// Nanoseconds since boot.
    fn now(&self) -> u64;
    /// The state of the system.
    fn snapshot(&mut self) -> Option<Snapshot>;
    /// What happened, from the event with this number on.
    fn events(&mut self, from: u64) -> Option<Vec<Event>>;
    /// The ends of servers, from the one with this number on.
    fn deaths(&mut self, from: u64) -> Option<Vec<Death>>;
    /// Does something to the server of a slot.
    ///
    /// # Errors
    /// Why not.
    fn act(&mut self, slot: u16, action: Action) -> Result<(), Refusal>;
}

/// Something that is done only when its answer was read: this server does not survive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Later {
    pub slot: u16,
    pub action: Action,
}

/// What a session asks.
pub(crate) trait Service {
    fn now(&self) -> u64;
    /// Answers a request other than those for the log.
    fn serve(&mut self, request: Request) -> Answer;
    /// Lines from a number on, and where to go on.
    fn log(&mut self, from: u64, server: Option<&str>) -> (Vec<Line>, u64);
    /// The number of the first of the last `count` lines.
    fn log_from(&mut self, count: u32, server: Option<&str>) -> u64;
    /// Whether something was promised that is done when its answer was read.
    fn is_owed(&self) -> bool;
    /// Does it; returns whether something was done.
    fn pay(&mut self) -> bool;
}

/// The supervisor and the log.
pub(crate) struct Desk<'a, O> {
    pub operator: &'a mut O,
    pub keeper: &'a Keeper,
    /// The slot of this server.
    pub own: u16,
    pub later: &'a mut Option<Later>,
}

impl<O: Operator> Desk<'_, O> {
    fn act(&mut self, server: &str, action: Action) -> Result<(), Refusal> {
        let snapshot = self.operator.snapshot().ok_or(Refusal::NoAnswer)?;
        let slot = snapshot.servers.iter().position(|slot| slot.name == server);
        let slot = slot.ok_or(Refusal::NoSuchServer)? as u16;
        if slot != self.own {
            return self.operator.act(slot, action);
        }
        match action {
            // Nobody could start it again over the link.
            Action::Stop => Err(Refusal::NotAllowed),
            Action::Start => Err(Refusal::Runs),
            action => {
                *self.later = Some(Later { slot, action });
                Ok(())
            }
        }
    }
}

impl<O: Operator> Service for Desk<'_, O> {
    fn now(&self) -> u64 {
        self.operator.now()
    }

    fn serve(&mut self, request: Request) -> Answer {
        match request {
            Request::Status => {
                self.operator.snapshot().map_or(Answer::Refused(Refusal::NoAnswer), Answer::Status)
            }
            Request::Events(from) => self
                .operator
                .events(from)
                .map_or(Answer::Refused(Refusal::NoAnswer), Answer::Events),
            Request::Deaths(from) => self
                .operator
                .deaths(from)
                .map_or(Answer::Refused(Refusal::NoAnswer), Answer::Deaths),
            Request::Act { server, action } => {
                self.act(&server, action).map_or_else(Answer::Refused, |()| Answer::Done)
            }
            Request::Hello { .. } | Request::Log { .. } => Answer::Refused(Refusal::Unknown),
        }
    }

    fn log(&mut self, from: u64, server: Option<&str>) -> (Vec<Line>, u64) {
        self.keeper.lines(from, server, LINES)
    }

    fn log_from(&mut self, count: u32, server: Option<&str>) -> u64 {
        self.keeper.last(count as usize, server)
    }

    fn is_owed(&self) -> bool {
        self.later.is_some()
    }

    fn pay(&mut self) -> bool {
        let Some(Later { slot, action }) = self.later.take() else { return false };
        self.operator.act(slot, action).is_ok()
    }
}

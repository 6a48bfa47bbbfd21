//! What a session may ask for, and who does it.

use alloc::vec::Vec;

use ipc::manage::{Answer, Line, Refusal, Request};
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
}

/// The supervisor and the log.
pub(crate) struct Desk<'a, O> {
    pub operator: &'a mut O,
    pub keeper: &'a Keeper,
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
            Request::Hello { .. } | Request::Log { .. } => Answer::Refused(Refusal::Unknown),
        }
    }

    fn log(&mut self, from: u64, server: Option<&str>) -> (Vec<Line>, u64) {
        self.keeper.lines(from, server, LINES)
    }

    fn log_from(&mut self, count: u32, server: Option<&str>) -> u64 {
        self.keeper.last(count as usize, server)
    }
}

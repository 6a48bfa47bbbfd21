//! [`Session`]: one client's, from its hello to its leaving.
//!
//! Invariant: at most one request is being worked on and at most one answer waits to be taken; as long as one does, nothing more
//! is read. Who does not say hello first, or sends what is no frame, is hung up on.

use alloc::vec::Vec;

use ipc::manage::{ANSWER, Answer, Frames, From, PATIENCE, PROTOCOL, REQUEST, Refusal, Request};
use vchan::{Broken, Server};

use crate::serve::Service;
use crate::state::{self, Wait};

/// Bytes that are read at once.
const READ: usize = 1024;
/// Most steps of a turn.
const STEPS: usize = 32;

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    frames: Frames,
    is_met: bool,
    wait: Option<Wait>,
    answer: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Nothing can be done before the client does something or time passes.
    Rests,
    /// There is more to do.
    HasMore,
    /// The client broke the protocol.
    Broken,
}

impl Session {
    pub const fn new() -> Self {
        let frames = Frames::new(REQUEST);
        Self { frames, is_met: false, wait: None, answer: Vec::new(), taken: 0 }
    }

    /// That of a predecessor, and what was left of its answer.
    pub fn adopted(state: state::Session, answer: Vec<u8>) -> Self {
        let state::Session { bytes, is_met, wait } = state;
        let mut frames = Frames::new(REQUEST);
        frames.push(&bytes);
        Self { frames, is_met, wait, answer, taken: 0 }
    }

    pub fn save(&self) -> state::Session {
        let (bytes, wait) = (self.frames.waiting().to_vec(), self.wait.clone());
        state::Session { bytes, is_met: self.is_met, wait }
    }

    /// What of its answer was not taken.
    pub fn answer(&self) -> &[u8] {
        self.answer.get(self.taken..).unwrap_or_default()
    }

    /// When lines are not waited for any longer.
    pub fn deadline(&self) -> Option<u64> {
        self.wait.as_ref().map(|wait| wait.until)
    }

    /// One turn: answers out, requests in, as long as both sides can.
    pub fn turn(&mut self, link: &mut Server, service: &mut impl Service) -> Turn {
        for _ in 0..STEPS {
            match self.step(link, service) {
                Ok(true) => {}
                Ok(false) => return Turn::Rests,
                Err(Broken) => return Turn::Broken,
            }
        }
        Turn::HasMore
    }

    /// Whether something was done.
    fn step(&mut self, link: &mut Server, service: &mut impl Service) -> Result<bool, Broken> {
        if self.taken < self.answer.len() {
            let count = link.write(self.answer.get(self.taken..).unwrap_or_default())?;
            self.taken += count;
            return Ok(count > 0);
        }
        if service.is_owed() {
            return Ok(link.is_read()? && service.pay());
        }
        if let Some(wait) = self.wait.take() {
            return Ok(self.log(wait, service));
        }
        if let Some(frame) = self.frames.take().map_err(|_| Broken)? {
            self.request(&frame, service)?;
            return Ok(true);
        }
        let mut bytes = [0; READ];
        let count = link.read(&mut bytes)?;
        self.frames.push(bytes.get(..count).unwrap_or_default());
        Ok(count > 0)
    }

    fn request(&mut self, frame: &[u8], service: &mut impl Service) -> Result<(), Broken> {
        let request = ipc::manage::value(frame);
        if let Some(Request::Hello { protocol, number }) = request {
            self.is_met = protocol == PROTOCOL;
            self.say(&Answer::Welcome { protocol: PROTOCOL, number });
            return Ok(());
        }
        if !self.is_met {
            return Err(Broken);
        }
        match request {
            None => self.say(&Answer::Refused(Refusal::Unknown)),
            Some(Request::Log { from, server, wait }) => {
                let from = match from {
                    From::Last(count) => service.log_from(count, server.as_deref()),
                    From::Number(number) => number,
                };
                let patience = u64::from(wait.min(PATIENCE)) * 1_000_000;
                let until = service.now().saturating_add(patience);
                self.log(Wait { from, server, until }, service);
            }
            Some(request) => self.say(&service.serve(request)),
        }
        Ok(())
    }

    /// Answers with lines if there are some, or if they are not waited for any longer; says whether it did.
    fn log(&mut self, wait: Wait, service: &mut impl Service) -> bool {
        let (lines, next) = service.log(wait.from, wait.server.as_deref());
        if lines.is_empty() && service.now() < wait.until {
            self.wait = Some(Wait { from: next, ..wait });
            return false;
        }
        self.say(&Answer::Log { lines, next });
        true
    }

    fn say(&mut self, answer: &Answer) {
        let frame = ipc::manage::frame(answer, ANSWER);
        let too_long = || ipc::manage::frame(&Answer::Refused(Refusal::TooLong), ANSWER);
        self.answer = frame.or_else(too_long).unwrap_or_default();
        self.taken = 0;
    }
}

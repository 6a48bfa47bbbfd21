//! The operator's link to a running domain: a session with its server `manage`, through `vchan-socket-proxy` in its domain 0.
//!
//! Invariant: every wait has a limit, and what does not answer is told apart from what is not there. The program in domain 0
//! ends with the session.

mod session;

use std::time::{Duration, Instant};

use ipc::manage::{ANSWER, Answer, Frames, PROTOCOL, REQUEST, Request};
use rig::Dom0;
use rig::domain::Domain;

use crate::failure::{Failure, Result};
use crate::place;
use session::{Event, Session};

/// How long a session may take to begin, in all tries.
const BEGIN: Duration = Duration::from_secs(12);
/// How long one try waits.
const TRY: Duration = Duration::from_secs(3);
/// The pause before a hello is said again.
const AGAIN: Duration = Duration::from_millis(700);
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How long one with lines of the log may take, beyond what they are waited for.
const LINES: Duration = Duration::from_secs(5);

/// A session.
pub struct Link {
    session: Session,
    frames: Frames,
    domain: String,
}

impl Link {
    /// Begins a session with a domain; `name` is needed unless one domain alone runs.
    ///
    /// # Errors
    /// [`Failure::NoDomain`], [`Failure::NoLink`], [`Failure::NoProxy`], [`Failure::Silent`], [`Failure::OtherProtocol`].
    pub fn open(dom0: &dyn Dom0, name: Option<&str>) -> Result<Self> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => only(dom0)?,
        };
        let domain = place::domain(dom0, &name)?;
        let end = Instant::now() + BEGIN;
        loop {
            if let Some(link) = Self::try_open(dom0, &domain)? {
                return Ok(link);
            }
            if Instant::now() > end {
                return Err(Failure::Silent { name });
            }
        }
    }

    /// Begins a session if `manage` answers.
    fn try_open(dom0: &dyn Dom0, domain: &Domain<'_>) -> Result<Option<Self>> {
        let name = domain.name();
        let session = Session::start(dom0, name)?;
        let mut link = Self { session, frames: Frames::new(ANSWER), domain: name.into() };
        match link.greet() {
            Ok(()) => Ok(Some(link)),
            Err(Failure::Silent { .. } | Failure::LinkEnded { .. }) => {
                link.session.end_program(dom0);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Says hello until it is answered.
    fn greet(&mut self) -> Result<()> {
        let number = u64::from(std::process::id()) << 32 | u64::from(rand());
        let end = Instant::now() + TRY;
        while Instant::now() < end {
            self.say(&Request::Hello { protocol: PROTOCOL, number })?;
            match self.hear(AGAIN) {
                Ok(Answer::Welcome { protocol, number: back }) if back == number => {
                    return if protocol == PROTOCOL {
                        Ok(())
                    } else {
                        Err(Failure::OtherProtocol { name: self.domain.clone(), protocol })
                    };
                }
                Ok(_) | Err(Failure::Silent { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        Err(self.silent())
    }

    /// The domain's name.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Failure::Refused`], [`Failure::Silent`], [`Failure::LinkEnded`].
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.say(request)?;
        let limit = match request {
            Request::Log { wait, .. } => LINES + Duration::from_millis(u64::from(*wait)),
            _ => LIMIT,
        };
        loop {
            match self.hear(limit)? {
                // A hello that was said twice is answered twice.
                Answer::Welcome { .. } => {}
                Answer::Refused(refusal) => {
                    return Err(Failure::Refused { name: self.domain.clone(), refusal });
                }
                answer => return Ok(answer),
            }
        }
    }

    fn say(&mut self, request: &Request) -> Result<()> {
        let frame = ipc::manage::frame(request, REQUEST).ok_or_else(|| self.ended())?;
        self.session.write(&frame).map_err(|_| self.ended())
    }

    fn hear(&mut self, limit: Duration) -> Result<Answer> {
        let end = Instant::now() + limit;
        loop {
            if let Some(frame) = self.frames.take().map_err(|_| self.ended())? {
                return ipc::manage::value(&frame).ok_or_else(|| self.ended());
            }
            match self.session.next(end.saturating_duration_since(Instant::now())) {
                Event::Bytes(bytes) => self.frames.push(&bytes),
                Event::Ended => return Err(self.ended()),
                Event::Nothing => return Err(self.silent()),
            }
        }
    }

    fn ended(&self) -> Failure {
        Failure::LinkEnded { name: self.domain.clone() }
    }

    fn silent(&self) -> Failure {
        Failure::Silent { name: self.domain.clone() }
    }
}

/// The one domain that runs.
fn only(dom0: &dyn Dom0) -> Result<String> {
    let mut names = rig::domain::names(dom0)?;
    match names.len() {
        1 => Ok(names.remove(0)),
        _ => Err(Failure::WhichDomain { dom0: dom0.name(), domains: names }),
    }
}

/// A number that is another one each time.
fn rand() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.subsec_nanos())
}

//! [`Turns`]: a link for commands that last: it is given up now and then, so that other operators get their turn.
//!
//! Invariant: nobody has the link for longer than [`TURN`] and one request.

use std::time::{Duration, Instant};

use ipc::manage::{Answer, Request};

use crate::args::In;
use crate::failure::Result;
use crate::link::Link;
use crate::live::open;

/// How long the link is kept.
const TURN: Duration = Duration::from_secs(1);
/// How long it is left to others.
const PAUSE: Duration = Duration::from_millis(300);

/// A link, again and again.
pub struct Turns<'a> {
    place: &'a In,
    link: Option<(Link, Instant)>,
}

impl<'a> Turns<'a> {
    /// The link to the domain that the command line names.
    pub const fn new(place: &'a In) -> Self {
        Self { place, link: None }
    }

    /// Asks, and waits for the answer. After an error the link is opened anew.
    ///
    /// # Errors
    /// Those of the link.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        let is_over = self.link.as_ref().is_some_and(|(_, since)| since.elapsed() > TURN);
        if is_over {
            self.link = None;
            std::thread::sleep(PAUSE);
        }
        let (mut link, since) = match self.link.take() {
            Some(kept) => kept,
            None => (open(self.place)?, Instant::now()),
        };
        let answer = link.ask(request)?;
        self.link = Some((link, since));
        Ok(answer)
    }
}

//! `restart`, `stop`, `start`, `kill`: one server of a running domain.

use std::process::ExitCode;

use ipc::manage::{Action, Answer, Request};

use crate::args::{In, Kill, Way};
use crate::failure::Result;
use crate::live::open;
use crate::live::ps::strange;

/// Does something to a server.
///
/// # Errors
/// [`crate::failure::Failure::Refused`] and those of the link.
pub fn act(place: &In, server: &str, action: Action) -> Result<ExitCode> {
    let mut link = open(place)?;
    match link.ask(&Request::Act { server: server.into(), action })? {
        Answer::Done => {
            eprintln!("{server} of {} {}", link.domain(), done(action));
            Ok(ExitCode::SUCCESS)
        }
        other => Err(strange(&other)),
    }
}

/// Kills a server.
///
/// # Errors
/// Those of [`act`].
pub fn kill(args: &Kill) -> Result<ExitCode> {
    let action = match args.with {
        None => Action::Kill,
        Some(Way::Null) => Action::KillWithNull,
    };
    act(&args.place, &args.server, action)
}

const fn done(action: Action) -> &'static str {
    match action {
        Action::Restart => "is started again",
        Action::Stop => "is stopped; `cargo xylem start` starts it",
        Action::Start => "is started",
        Action::Kill => "is killed; `cargo xylem crash` tells where it was",
        Action::KillWithNull => "goes on at address 0; `cargo xylem crash` tells what came of it",
    }
}

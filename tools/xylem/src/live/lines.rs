//! `log` and `events`: lines of a running domain.

use std::process::ExitCode;
use std::time::Duration;

use ipc::history::Event;
use ipc::manage::{Answer, From, Line, Request};
use serde_json::json;

use crate::args::{Events, Log};
use crate::failure::{Failure, Result};
use crate::live::ps::strange;
use crate::live::turns::Turns;
use crate::live::{entry, moment, open};

/// How long new lines are waited for, in milliseconds: not so long that a link that ended is not noticed.
const WAIT: u32 = 1500;
/// The pause before a link that ended is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Tells lines of the log.
///
/// # Errors
/// Those of the link.
pub fn log(args: &Log) -> Result<ExitCode> {
    let mut turns = Turns::new(&args.place);
    let entry = match turns.ask(&Request::Status)? {
        Answer::Status(snapshot) => snapshot.entry,
        other => return Err(strange(&other)),
    };
    let (mut from, mut wait) = (From::Last(args.lines), 0);
    loop {
        let (lines, next) = match ask(&mut turns, from, args.server.clone(), wait) {
            Err(Failure::LinkEnded { .. } | Failure::Silent { .. }) if args.follow => {
                // The next incarnation of `manage` has what came meanwhile.
                std::thread::sleep(AGAIN);
                continue;
            }
            other => other?,
        };
        lines.iter().for_each(|line| tell(line, entry, args.json));
        // What did not fit one answer comes with the next; only then is there something to wait for.
        if lines.is_empty() && !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        wait = if lines.is_empty() { WAIT } else { 0 };
        from = From::Number(next);
    }
}

fn ask(
    turns: &mut Turns<'_>,
    from: From,
    server: Option<String>,
    wait: u32,
) -> Result<(Vec<Line>, u64)> {
    match turns.ask(&Request::Log { from, server, wait })? {
        Answer::Log { lines, next } => Ok((lines, next)),
        other => Err(strange(&other)),
    }
}

fn tell(line: &Line, entry: u64, is_json: bool) {
    if is_json {
        println!(
            "{}",
            json!({ "number": line.number, "at_ns": line.at.saturating_sub(entry), "server": line.server, "text": line.text })
        );
    } else {
        println!("{} [{}] {}", moment(line.at, entry), line.server, line.text);
    }
}

/// Tells what happened.
///
/// # Errors
/// Those of the link.
pub fn events(args: &Events) -> Result<ExitCode> {
    let mut link = open(&args.place)?;
    let entry = entry(&mut link)?;
    let mut from = 0;
    loop {
        let events = match link.ask(&Request::Events(from))? {
            Answer::Events(events) => events,
            other => return Err(strange(&other)),
        };
        let Some(last) = events.last() else { return Ok(ExitCode::SUCCESS) };
        from = last.number + 1;
        events.iter().for_each(|event| tell_event(event, entry, args.json));
    }
}

fn tell_event(event: &Event, entry: u64, is_json: bool) {
    let Event { number, at, server, text } = event;
    if is_json {
        let at = at.saturating_sub(entry);
        println!("{}", json!({ "number": number, "at_ns": at, "server": server, "text": text }));
    } else {
        println!("{} {server:<16} {text}", moment(*at, entry));
    }
}

//! `log` and `events`: lines of a running domain.

use std::process::ExitCode;

use ipc::history::Event;
use ipc::manage::{Answer, From, Line, PATIENCE, Request};
use serde_json::json;

use crate::args::{Events, Log};
use crate::failure::{Failure, Result};
use crate::link::Link;
use crate::live::{entry, moment, open};

/// Tells lines of the log.
///
/// # Errors
/// Those of the link.
pub fn log(args: &Log) -> Result<ExitCode> {
    let mut link = open(&args.place)?;
    let entry = entry(&mut link)?;
    let mut from = From::Last(args.lines);
    let mut wait = 0;
    loop {
        let (lines, next) = ask(&mut link, from, args.server.clone(), wait)?;
        lines.iter().for_each(|line| tell(line, entry, args.json));
        // What did not fit one answer comes with the next; only then is there something to wait for.
        if lines.is_empty() && !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        wait = if lines.is_empty() { PATIENCE } else { 0 };
        from = From::Number(next);
    }
}

fn ask(link: &mut Link, from: From, server: Option<String>, wait: u32) -> Result<(Vec<Line>, u64)> {
    match link.ask(&Request::Log { from, server, wait })? {
        Answer::Log { lines, next } => Ok((lines, next)),
        _ => Err(Failure::LinkEnded { name: link.domain().into() }),
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
            _ => return Err(Failure::LinkEnded { name: link.domain().into() }),
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

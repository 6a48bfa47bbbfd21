//! `stop` and `console`: commands about a domain that another command made.
//!
//! Invariant: all that `run` made for a domain goes with it: the port, the disk of its files, the domain.

use std::io::BufRead;
use std::process::ExitCode;

use ipc::manage::Action;
use rig::domain::Domain;

use crate::args::{Console, Stop};
use crate::failure::Result;
use crate::live;
use crate::place::{Note, Place};
use crate::watch::{Outcome, Watch};

/// Ends a domain, or a server of one.
///
/// # Errors
/// [`crate::failure::Failure::NoDomain`] and those of the way to dom0.
pub fn stop(args: &Stop) -> Result<ExitCode> {
    if args.place.domain.is_some() {
        return live::act(&args.place, &args.name, Action::Stop);
    }
    let mut place = Place::open_running(&args.place.on.target)?;
    place.domain(&args.name)?;
    end(&mut place, &args.name)?;
    eprintln!("{} has ended", args.name);
    Ok(ExitCode::SUCCESS)
}

/// Ends a domain that may be gone already, and takes back what was given to it.
///
/// # Errors
/// Those of the way to dom0.
pub fn end(place: &mut Place, name: &str) -> Result<()> {
    let domain = Domain::named(place.dom0(), name)?;
    let note = Note::read(&domain.note()?);
    domain.destroy()?;
    note.discard();
    note.port.map_or(Ok(()), |port| place.unpublish(port))
}

/// Follows a console and types at it.
///
/// # Errors
/// [`crate::failure::Failure::NoDomain`] and those of the way to dom0.
pub fn console(args: &Console) -> Result<ExitCode> {
    let place = Place::open_running(&args.on.target)?;
    let domain = place.domain(&args.name)?;
    let mut watch = Watch::new(false);
    watch.console(domain.console()?);
    std::thread::scope(|scope| {
        // Reading a terminal cannot be stopped: the process ends without waiting for it.
        scope.spawn(|| type_lines(&domain));
        let code = if watch.until_end() == Outcome::Interrupted { 130 } else { 0 };
        std::process::exit(code)
    })
}

fn type_lines(domain: &Domain<'_>) {
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        if let Err(error) = domain.type_text(&format!("{line}\n")) {
            eprintln!("error: {error}");
            return;
        }
    }
}

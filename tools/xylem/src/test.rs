//! `cargo xylem test`: everything that CI runs, in the order in which it fails soonest.
//!
//! Invariant: each check is counted once, and the last line is the sum. A check that fails does not stop the others.

mod deep;
mod failed;
mod figures;
mod host;
mod licences;
mod parallel;
mod scenario;
mod tier1;
mod tier2;
mod units;
mod vectors;

use std::process::ExitCode;
use std::time::Instant;

use crate::args::Test;
use crate::failure::Result;

/// How many checks passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those that passed.
    pub passed: u32,
    /// Those that failed.
    pub failed: u32,
}

impl Tally {
    /// One check.
    pub const fn one(passed: bool) -> Self {
        if passed { Self { passed: 1, failed: 0 } } else { Self { passed: 0, failed: 1 } }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs what was asked for.
///
/// # Errors
/// When the tests could not be run at all.
pub fn test(args: &Test) -> Result<ExitCode> {
    let mut tally = Tally::default();
    if args.filter.is_none() {
        tally.add(host::run(args.fast));
        if !args.fast {
            tally.add(deep::run());
        }
    }
    tally.add(tier1::run(args.filter.as_deref(), args.fast)?);
    tally.add(vectors::run(args.filter.as_deref()));
    if !args.fast {
        tally.add(figures::run(args.filter.as_deref()));
        tally.add(tier2::run(args.filter.as_deref())?);
    }
    if tally == Tally::default() {
        println!("no whole-system test that would run here has a name like that");
        return Ok(ExitCode::FAILURE);
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one check and tells how it went and how long it took.
fn check(name: &str, work: impl FnOnce() -> Tally) -> Tally {
    let start = Instant::now();
    let tally = work();
    let word = if tally.failed == 0 { "ok" } else { "FAILED" };
    println!(
        "{name:<40} {word:<7} {:>7.1} s  ({} checks)",
        start.elapsed().as_secs_f32(),
        tally.passed + tally.failed
    );
    tally
}

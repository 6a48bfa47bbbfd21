//! How long steps are told to the user.
//!
//! Invariant: phases do not nest; each `begin` is followed by one `end`. It draws nothing itself.

use std::time::{Duration, Instant};

use crate::Result;

/// Told by the rig, drawn by whoever calls it.
pub trait Progress: Sync {
    /// One line worth reading now: what is about to be downloaded, why something is made again.
    fn note(&self, text: &str);
    /// A phase begins; `total` is its size in bytes where that is known.
    fn begin(&self, phase: &str, total: Option<u64>);
    /// So much of the phase is done, in the unit of `total`.
    fn advance(&self, done: u64);
    /// The phase ended well after `took`.
    fn end(&self, phase: &str, took: Duration);
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _: &str) {}
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self, _: &str, _: Duration) {}
}

/// A line per finished phase on standard error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines;

impl Progress for Lines {
    fn note(&self, text: &str) {
        eprintln!("{text}");
    }
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self, phase: &str, took: Duration) {
        eprintln!("{phase:<28} {:6.2} s", took.as_secs_f32());
    }
}

/// Runs `work` as one phase.
///
/// # Errors
/// Those of `work`; the phase is then not reported as ended.
pub fn phase<T>(
    progress: &dyn Progress,
    name: &str,
    total: Option<u64>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    progress.begin(name, total);
    let result = work()?;
    progress.end(name, start.elapsed());
    Ok(result)
}

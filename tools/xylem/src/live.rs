//! Commands about a running domain, over the operator's link.
//!
//! Invariant: standard output has what was asked for alone; with `--json`, JSON alone.

mod act;
mod crash;
mod lines;
mod ps;
mod rates;
mod source;
mod top;
mod turns;

pub use act::{act, kill};
pub use crash::crash;
pub use lines::{events, log};
pub use ps::ps;
pub use source::Program;
pub use top::top;

use crate::args::In;
use crate::failure::Result;
use crate::link::Link;
use crate::place::Place;

/// Begins a session with the domain that the command line names.
fn open(place: &In) -> Result<Link> {
    Link::open(Place::open_running(&place.on.target)?.dom0(), place.domain.as_deref())
}

/// When the domain's kernel began, by the clock of all times that come over the link.
fn entry(link: &mut Link) -> Result<u64> {
    Ok(ps::snapshot(link)?.entry)
}

/// Seconds and milliseconds since the kernel began.
fn moment(at: u64, entry: u64) -> String {
    let milliseconds = at.saturating_sub(entry) / 1_000_000;
    format!("{:>6}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// A time in the largest unit that leaves two digits.
fn duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        6000..172_800 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, moment};

    #[test]
    fn times_are_short() {
        const SECOND: u64 = 1_000_000_000;
        assert_eq!(duration(99 * SECOND), "99s");
        assert_eq!(duration(100 * SECOND), "1m40s");
        assert_eq!(duration(7261 * SECOND), "2h01m");
        assert_eq!(duration(200_000 * SECOND), "2d07h");
        assert_eq!(moment(12_034_567_890, 1_000_000_000), "    11.034");
    }
}

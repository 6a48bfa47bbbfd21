//! Figures that may not get worse: counts of instructions, which are the same from run to run.
//!
//! Invariant: what was worse is named. Nothing is written down by itself: who makes a figure better or must make it worse
//! changes tests/figures.

use rig::Silent;

use super::{Tally, check};
use crate::bench::ipc;

/// Counts and compares.
pub fn run(filter: Option<&str>) -> Tally {
    const NAME: &str = "figures";
    if filter.is_some_and(|filter| !NAME.contains(filter)) {
        return Tally::default();
    }
    check(NAME, || match ipc::worse(&Silent) {
        Ok(worse) => {
            worse.iter().for_each(|line| println!("{line}"));
            Tally::one(worse.is_empty())
        }
        Err(error) => {
            println!("{NAME}: {error}");
            Tally::one(false)
        }
    })
}

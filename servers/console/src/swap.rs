//! What became of a swap, for people.

use alloc::string::String;
use core::fmt::Write;

use ipc::operator::{Outcome, Reason};

/// The last swap of a slot; times in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swapped {
    /// What became of it.
    pub outcome: Outcome,
    /// Why, if it is not done.
    pub reason: Reason,
    /// For how long nobody served.
    pub stopped: u64,
    /// Bytes of state.
    pub bytes: u64,
    /// When each step was done, after the beginning; 0: not yet.
    pub steps: [u64; 5],
}

/// The steps, in their order.
const STEPS: [&str; 5] = ["built", "quiesced", "adopted", "committed", "proved"];

impl Swapped {
    /// Writes it down.
    pub(crate) fn tell(&self, name: &str, out: &mut String) {
        let _ = writeln!(out, "{name}: {}", text(self.outcome));
        if self.reason != Reason::None {
            let _ = writeln!(out, "  {}", self.reason.text());
        }
        for (step, time) in STEPS.into_iter().zip(self.steps).filter(|(_, time)| *time > 0) {
            let _ = writeln!(out, "  {step:<10} after {:>9} us", time / 1000);
        }
        if self.stopped > 0 {
            let (bytes, stopped) = (self.bytes, self.stopped / 1000);
            let _ = writeln!(out, "  {bytes} bytes of state; nobody served for {stopped} us");
        }
    }
}

const fn text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::None => "never swapped",
        Outcome::Going => "is being swapped",
        Outcome::Refused => "not swapped",
        Outcome::GivenUp => "not swapped, the old server goes on",
        Outcome::Committed => "swapped, on probation",
        Outcome::Done => "swapped",
        Outcome::Reverted => "swapped, and failed: the image before runs again",
        Outcome::Cold => "started again with the new image, without state",
    }
}

#[cfg(test)]
mod tests {
    use super::Swapped;
    use ipc::operator::{Outcome, Reason};
    use std::string::String;

    #[test]
    fn the_steps_are_told_that_were_done() {
        let (outcome, reason) = (Outcome::GivenUp, Reason::Digest);
        let steps = [1_000_000, 2_500_000, 0, 0, 0];
        let mut out = String::new();
        Swapped { outcome, reason, stopped: 0, bytes: 7, steps }.tell("httpd", &mut out);
        let told = "httpd: not swapped, the old server goes on\n  \
                    the candidate's state is not what the old server wrote\n  \
                    built      after      1000 us\n  quiesced   after      2500 us\n";
        assert_eq!(out, told);
    }
}

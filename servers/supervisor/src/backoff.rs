//! When a server that died is started again: after 0, 10 and 100 ms, then after 1 s each time; not at all when it dies too
//! often.

use alloc::collections::VecDeque;

/// Deaths longer ago than this, in nanoseconds, do not count.
pub const WINDOW: u64 = 30_000_000_000;
/// This many deaths in a window are too many.
pub const LIMIT: usize = 10;

/// After this many deaths in a window, what a slot keeps is wiped: it may be what its servers die of.
pub const FORGET: usize = LIMIT / 2;

/// Nanoseconds to wait, by the number of earlier deaths in the window; the last goes on.
const PAUSES: [u64; 4] = [0, 10_000_000, 100_000_000, 1_000_000_000];

/// The recent deaths of the servers of one slot.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    deaths: VecDeque<u64>,
}

impl Backoff {
    /// Counts a death at `now`; says when to start again, or `None` when it was one too many.
    pub fn died(&mut self, now: u64) -> Option<u64> {
        while self.deaths.front().is_some_and(|&death| now.saturating_sub(death) > WINDOW) {
            self.deaths.pop_front();
        }
        let earlier = self.deaths.len();
        self.deaths.push_back(now);
        let pause = PAUSES.get(earlier).or(PAUSES.last()).copied().unwrap_or_default();
        (earlier + 1 < LIMIT).then(|| now.saturating_add(pause))
    }

    /// Whether the last death was the one after which nothing is kept.
    pub fn is_time_to_forget(&self) -> bool {
        self.deaths.len() == FORGET
    }

    /// Forgets all deaths.
    pub fn forget(&mut self) {
        self.deaths.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, LIMIT, WINDOW};
    use std::vec::Vec;

    const MS: u64 = 1_000_000;

    #[test]
    fn pauses_grow() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> = (0..5).filter_map(|_| backoff.died(7)).map(|at| at - 7).collect();
        assert_eq!(pauses, [0, 10 * MS, 100 * MS, 1000 * MS, 1000 * MS]);
    }

    #[test]
    fn too_many_deaths_are_the_end() {
        let mut backoff = Backoff::default();
        let starts = (0..LIMIT as u64).filter_map(|n| backoff.died(n * 1000 * MS)).count();
        assert_eq!(starts, LIMIT - 1);
    }

    #[test]
    fn old_deaths_do_not_count() {
        let mut backoff = Backoff::default();
        for n in 0..100 {
            let now = n * (WINDOW / 5);
            let start = backoff.died(now).unwrap();
            assert!(start - now <= 1000 * MS);
        }
        assert_eq!(backoff.died(1000 * WINDOW), Some(1000 * WINDOW));
    }

    #[test]
    fn forgotten_deaths_do_not_count() {
        let mut backoff = Backoff::default();
        (0..5).for_each(|_| _ = backoff.died(3));
        backoff.forget();
        assert_eq!(backoff.died(3), Some(3));
    }
}

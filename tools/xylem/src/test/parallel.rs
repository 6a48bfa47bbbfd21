//! Checks side by side, on as many processors as there are.
//!
//! Invariant: each item is worked on once, in the order given; what a worker that panicked had in hand counts as failed.

use std::sync::Mutex;
use std::thread;

use super::Tally;

/// Works on all items, at most `most` at a time; the sum of what they came to.
pub fn each<T: Sync>(items: &[T], most: usize, work: impl Fn(&T) -> Tally + Sync) -> Tally {
    let queue = Mutex::new(items.iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let worker = || {
        let mut tally = Tally::default();
        while let Some(item) = next() {
            tally.add(work(item));
        }
        tally
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(most);
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            tally.add(thread.join().unwrap_or(Tally::one(false)));
        }
    });
    tally
}

#[cfg(test)]
mod tests {
    use super::{Tally, each};

    #[test]
    fn every_item_is_worked_on_once() {
        let items: Vec<u32> = (0..100).collect();
        let tally = each(&items, 4, |item| Tally::one(item % 4 != 0));
        assert_eq!(tally, Tally { passed: 75, failed: 25 });
    }
}

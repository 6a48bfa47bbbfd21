//! The end of the domain: not before the last lines have reached the console.
//!
//! Invariant: the domain ends when no server had anything to do for a while, and at the latest after [`LIMIT`]. Nobody can
//! hold it up.

use abi::Traps;
use abi::kernel::control::{Shutdown, ThreadState};

use crate::host::Host;
use crate::supervisor::{Place, Supervisor};

/// How often it is looked whether all servers rest, in nanoseconds.
pub const TICK: u64 = 20_000_000;
/// How often in a row they must; the console's reader is not among them and needs some time too.
pub const RESTS: u32 = 4;
/// The longest that the end is put off, in nanoseconds.
pub const LIMIT: u64 = 500_000_000;

/// An end that is near.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ending {
    reason: Shutdown,
    limit: u64,
    next: u64,
    rests: u32,
}

impl Ending {
    /// The domain is to end, it was said at `now`.
    pub const fn new(reason: Shutdown, now: u64) -> Self {
        let (limit, next) = (now.saturating_add(LIMIT), now.saturating_add(TICK));
        Self { reason, limit, next, rests: 0 }
    }

    /// When to look again.
    pub const fn next(self) -> u64 {
        self.next
    }
}

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// Ends the domain if it is to end and the time has come.
    pub(crate) fn end_if_due(&mut self, now: u64) {
        let rests = self.ending.is_some() && self.all_rest();
        let Some(ending) = &mut self.ending else { return };
        if now < ending.next {
            return;
        }
        ending.next = now.saturating_add(TICK);
        ending.rests = if rests { ending.rests + 1 } else { 0 };
        if ending.rests >= RESTS || now >= ending.limit {
            let _ = self.kernel.control.domain_shutdown(ending.reason);
        }
    }

    /// Whether no server has anything to do.
    fn all_rest(&self) -> bool {
        self.places.iter().filter_map(Place::loaded).all(|loaded| {
            let usage = self.kernel.control.server_usage(loaded.server);
            !matches!(usage, Ok((ThreadState::Ready | ThreadState::Running, ..)))
        })
    }
}

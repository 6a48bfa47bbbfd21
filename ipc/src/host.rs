//! [`Host`]: what a server's logic asks of its surroundings besides traps, so that it runs on the developer's machine too.

use core::fmt::Arguments;

/// Time and log. In the domain both are the run-time's (`rt`), in a test what the test likes.
pub trait Host {
    /// Nanoseconds since boot; never goes back.
    fn now(&self) -> u64;

    /// Writes a line to the server's log.
    fn log(&self, line: Arguments<'_>);
}

//! What an act does again and again: swap, wait for the outcome, ask the relay.

use abi::Traps;
use abi::kernel::control::Shutdown;
use abi::trap::BIT_TIMER;
use ipc::operator::{self, Outcome, Reason};
use relay::protocol;

use crate::wiring;

/// What an act says.
pub type Judged<T = ()> = Result<T, &'static str>;

/// A relay's image.
pub const ONE: u64 = abi::hash::text("relay");
/// The one with another layout.
pub const TWO: u64 = abi::hash::text("relay-two");
/// The one that misbehaves.
pub const BAD: u64 = abi::hash::text("relay-bad");

/// The relay.
pub fn relay() -> protocol::Client<rt::Trap> {
    protocol::Client::new(rt::Trap, wiring::relay.handle)
}

fn operator() -> operator::Client<rt::Trap> {
    operator::Client::new(rt::Trap, wiring::operator.handle)
}

/// A number of the configuration.
pub fn number(key: &str, default: u64) -> u64 {
    rt::start().config(key).and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// The slot of the relay, which is the first of the manifest but for supervisor and log.
fn slot() -> u16 {
    number("relay", 2) as u16
}

/// Waits.
pub fn sleep(milliseconds: u64) {
    rt::timer(rt::clock::now() + milliseconds * 1_000_000);
    while rt::Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
}

/// The most tries of `until`, a millisecond each.
const TRIES: u32 = 20_000;

/// Waits until something holds.
pub fn until(why: &'static str, mut holds: impl FnMut() -> bool) -> Judged {
    for _ in 0..TRIES {
        if holds() {
            return Ok(());
        }
        sleep(1);
    }
    Err(why)
}

/// Waits until the relay holds so many calls, and judged the answers so far as right.
pub fn held(count: u64, right: u64) -> Judged {
    until("not all calls are held", || relay().tally() == Ok((count as u32, right, 0)))
}

/// A swap and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct Swap {
    pub outcome: Outcome,
    pub reason: Reason,
    /// For how long nobody served, in nanoseconds.
    pub stopped: u64,
    /// Bytes of state.
    pub bytes: u64,
}

impl Swap {
    /// The successor serves; it may have been on probation for long enough already.
    pub fn is_committed(&self) -> bool {
        matches!(self.outcome, Outcome::Committed | Outcome::Done)
    }
}

/// What became of the last swap.
pub fn outcome() -> Swap {
    match operator().swap_outcome(slot()) {
        Ok((outcome, reason, _, stopped, bytes)) => Swap { outcome, reason, stopped, bytes },
        Err(_) => Swap { outcome: Outcome::None, reason: Reason::None, stopped: 0, bytes: 0 },
    }
}

/// Swaps the relay to an image, and waits for the end of that.
pub fn swap(image: u64) -> Judged<Swap> {
    begin(image)?;
    until("a swap does not end", || outcome().outcome != Outcome::Going)?;
    Ok(outcome())
}

/// Begins to swap the relay.
pub fn begin(image: u64) -> Judged {
    operator().swap(slot(), image).map_err(|_| "a swap is refused")
}

/// Ends the domain, when the log has been read.
pub fn end() -> ! {
    sleep(200);
    let _ = operator().shutdown(Shutdown::Poweroff);
    loop {
        rt::Trap.reply_wait(None);
    }
}

//! The acts.

use ipc::operator::{Outcome, Reason};

use crate::stage::{self, BAD, Judged, ONE, TWO, held, number, relay, swap, until};

/// How many clients let calls be held.
fn holders() -> u64 {
    number("holders", 60)
}

/// Swaps to an image that must take over.
fn succeed(image: u64) -> Judged<stage::Swap> {
    let swap = swap(image)?;
    if swap.is_committed() {
        return Ok(swap);
    }
    rt::log!("swapper: {swap:?}");
    Err("a swap did not commit")
}

/// Lets all go whose calls are held, and waits until they are held again.
fn release(right: &mut u64) -> Judged {
    held(holders(), *right)?;
    if relay().release() != Ok(holders() as u32) {
        return Err("not all were held");
    }
    *right += holders();
    held(holders(), *right)
}

/// Calls that are held through a swap are answered by the successor, out of order, each with its own words; to another layout
/// of the state and back.
pub fn tokens() -> Judged {
    let mut right = 0;
    for round in 0..number("rounds", 10) {
        held(holders(), right)?;
        let swap = succeed(if round % 2 == 0 { TWO } else { ONE })?;
        if round < 4 {
            rt::log!(
                "swapper: {} bytes of state, stopped for {} us",
                swap.bytes,
                swap.stopped / 1000
            );
        }
        release(&mut right)?;
        let expected = (2 - (round % 2) as u32, round as u32 + 1);
        if relay().version() != Ok(expected) {
            return Err("it is not the new image that answers");
        }
    }
    Ok(())
}

/// Commits, one after the other, while others call flat out.
pub fn commits() -> Judged {
    held(holders(), 0)?;
    let (mut longest, mut sum) = (0, 0);
    let rounds = number("rounds", 300);
    for round in 0..rounds {
        let swap = succeed(if round % 2 == 0 { TWO } else { ONE })?;
        longest = longest.max(swap.stopped);
        sum += swap.stopped;
    }
    let mut right = 0;
    release(&mut right)?;
    let (mean, longest) = (sum / rounds.max(1) / 1000, longest / 1000);
    rt::log!("swapper: {rounds} swaps, stopped for {mean} us, {longest} at most");
    Ok(())
}

/// Candidates that misbehave: the old server goes on, and has lost nothing; one that dies after it has taken over is replaced
/// by the image before.
pub fn bad() -> Judged {
    let mut right = 0;
    let reasons = [
        Reason::Adopt,
        Reason::Died,
        Reason::Digest,
        Reason::Died,
        Reason::Died,
        Reason::Died,
        Reason::Died,
    ];
    for (act, reason) in (1u32..).zip(reasons) {
        held(holders(), right)?;
        relay().act(act).map_err(|_| "the relay is gone")?;
        let swap = swap(BAD)?;
        if (swap.outcome, swap.reason) != (Outcome::GivenUp, reason) {
            rt::log!("swapper: act {act}: {swap:?}");
            return Err("a bad candidate was not found out");
        }
        release(&mut right)?;
        if relay().version() != Ok((1, 0)) {
            return Err("somebody else answers");
        }
    }
    revert()
}

/// One that dies a millisecond after it has taken over.
fn revert() -> Judged {
    relay().act(8).map_err(|_| "the relay is gone")?;
    stage::begin(BAD)?;
    until("it was not reverted", || stage::outcome().outcome == Outcome::Reverted)?;
    until("the old image does not serve", || relay().version() == Ok((1, 0)))
}

/// Another server than the relay (`relay` is its slot), the log, with a line before and behind each swap.
pub fn log() -> Judged {
    for round in 0..number("rounds", 20) {
        rt::log!("swapper: line {round} of the log");
        if !swap(0)?.is_committed() {
            return Err("the log was not swapped");
        }
    }
    Ok(())
}

//! Roles that use time up, or measure it. What was measured lies on the stack and is told at the end.

use abi::trap::BIT_TIMER;
use abi::{Answer, Message, Status, Traps};
use rt::Trap;

use super::{SERVER, rest};
use crate::board::{Board, Of, Word};
use crate::stage::{MS, US};

/// How often something is measured, at most.
const MOST: usize = 1_000;
/// Times when others ran that a spinner leaves out: interrupts.
const SHORT: u64 = 100 * US;
/// What a waker and a caller let pass before each turn.
const NAP: u64 = 3 * MS;
/// How long a slow server runs for a call.
pub const SERVICE: u64 = MS;

fn now() -> u64 {
    rt::own().now().unwrap_or(0)
}

/// Waits; returns until when.
fn nap() -> u64 {
    let deadline = now() + NAP;
    rt::timer(deadline);
    while Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
    deadline
}

/// What was measured.
struct Times {
    times: [u64; MOST],
    count: usize,
}

impl Times {
    fn new() -> Self {
        Self { times: [0; MOST], count: 0 }
    }

    fn note(&mut self, time: u64) {
        if let Some(place) = self.times.get_mut(self.count) {
            *place = time;
            self.count += 1;
        }
    }

    fn tell(&mut self, board: Board, slot: u16) {
        let times = self.times.get_mut(..self.count).unwrap_or_default();
        times.sort_unstable();
        let part = |hundredths: usize| times.get(times.len() * hundredths / 100).copied();
        board.set_of(slot, Of::Median, part(50).unwrap_or(0));
        board.set_of(slot, Of::Percentile, part(99).unwrap_or(0));
        board.set_of(slot, Of::Longest, times.last().copied().unwrap_or(0));
        board.set_of(slot, Of::Done, self.count as u64);
    }
}

/// Runs without end.
pub fn runaway() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Measures for how long it does not run.
pub fn spinner(board: Board, slot: u16) -> ! {
    let (mut times, mut before) = (Times::new(), now());
    while board.get(Word::Stop) == 0 {
        let at = now();
        if at - before > SHORT {
            times.note(at - before);
        }
        before = at;
    }
    times.tell(board, slot);
    rest()
}

/// Measures how late it is woken.
pub fn waker(board: Board, slot: u16) -> ! {
    let mut times = Times::new();
    while board.get(Word::Stop) == 0 {
        let deadline = nap();
        times.note(now().saturating_sub(deadline));
    }
    times.tell(board, slot);
    rest()
}

/// Answers a call when it has run for [`SERVICE`].
pub fn slow() -> ! {
    let mut reply = None;
    loop {
        let event = Trap.reply_wait(reply.take());
        if event.token.bits() != 0 {
            let start = now();
            while now() < start + SERVICE {}
            reply = Some(Answer { token: event.token, message: Message::new(0, [0; 5]) });
        }
    }
}

/// Calls now and then, and measures how long that takes.
pub fn caller(board: Board, slot: u16) -> ! {
    let mut times = Times::new();
    while board.get(Word::Stop) == 0 {
        nap();
        let start = now();
        let (status, _) = Trap.call(SERVER, Message::new(1, [0; 5]));
        board.count(slot, if status == Status::Ok { Of::Ok } else { Of::Failed });
        times.note(now() - start);
    }
    times.tell(board, slot);
    rest()
}

//! What the servers do. They have code and constants, a stack and the board: no data, no heap, no start record.

use abi::layout::{PAGE, SHARED};
use abi::trap::BIT_TIMER;
use abi::{Answer, Handle, Message, Status, Traps};
use rt::Trap;

use crate::board::{Board, Of, PAGES, Word};

mod times;

pub use times::SERVICE;

/// The server that it calls.
const SERVER: Handle = Handle(2);
/// Whom it notifies.
const BELL: Handle = Handle(3);
/// Where the page is that is taken away.
pub const LOST_PAGE: u64 = SHARED + PAGES as u64 * PAGE;

/// The address of the start: role in the low 8 bits, slot above.
pub extern "C" fn begin(argument: u64) -> ! {
    let (board, slot) = (Board::new(), (argument >> 8) as u16);
    match argument & 0xff {
        0 => echo(board, slot),
        1 => caller(board, slot),
        2 => holder(board, slot),
        3 => middle(board, slot),
        4 => once(board, slot),
        5 => flooder(),
        6 => ping(board, slot),
        7 => pong(board, slot),
        8 => napper(board, slot),
        9 => writer(),
        10 => times::runaway(),
        11 => times::spinner(board, slot),
        12 => times::waker(board, slot),
        13 => times::slow(),
        14 => times::caller(board, slot),
        _ => rt::exit(argument),
    }
}

/// A role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Answers each call with its label and what follows from it.
    Echo = 0,
    /// Calls `Echo` until it is to stop.
    Caller = 1,
    /// Answers as `Echo`, but not while calls are to be held; traces whom it served.
    Holder = 2,
    /// Passes calls on to whom it is wired, and the answer back.
    Middle = 3,
    /// Makes one call.
    Once = 4,
    /// Notifies without end.
    Flooder = 5,
    /// Notifies `Pong` and waits for its notification, again and again.
    Ping = 6,
    /// The other.
    Pong = 7,
    /// Waits for its timer, which rings soon, again and again.
    Napper = 8,
    /// Counts in a page until that is gone.
    Writer = 9,
    /// Runs without end.
    Runaway = 10,
    /// Measures for how long it does not run.
    Spinner = 11,
    /// Measures how late it is woken.
    Waker = 12,
    /// Answers a call when it has run for a while.
    Slow = 13,
    /// Measures how long its calls take.
    TimedCaller = 14,
}

/// What a call says.
fn question(label: u64) -> Message {
    Message::new(label, core::array::from_fn(|word| label.wrapping_mul(word as u64 + 3)))
}

/// The answer.
fn answer(label: u64) -> Message {
    Message::new(label, core::array::from_fn(|word| label.wrapping_mul(word as u64 + 5)))
}

fn spin(rounds: u64) {
    for _ in 0..rounds {
        core::hint::spin_loop();
    }
}

/// Waits for nothing.
fn rest() -> ! {
    loop {
        Trap.reply_wait(None);
    }
}

/// Notes a call that was taken.
fn note(board: Board, slot: u16, client: u16, message: Message) {
    let label = message.label;
    if label <= board.of(client, Of::Seen) || message != question(label) {
        board.count(client, Of::Twice);
    }
    board.set_of(client, Of::Seen, label);
    board.count(slot, Of::Served);
}

fn echo(board: Board, slot: u16) -> ! {
    let mut reply = None;
    loop {
        let event = Trap.reply_wait(reply.take());
        if event.bits & !BIT_TIMER != 0 {
            board.count(slot, Of::Bits);
        }
        if event.token.bits() != 0 {
            note(board, slot, event.badge.bits() as u16, event.message);
            let message = answer(event.message.label);
            reply = Some(Answer { token: event.token, message });
        }
    }
}

fn caller(board: Board, slot: u16) -> ! {
    while board.get(Word::Stop) == 0 {
        let label = board.of(slot, Of::Done) + 1;
        board.set_of(slot, Of::Done, label);
        let (status, message) = Trap.call(SERVER, question(label));
        match status {
            Status::Ok if message == answer(label) => board.count(slot, Of::Ok),
            Status::Ok => board.count(slot, Of::Wrong),
            Status::Reset => board.count(slot, Of::Reset),
            Status::Restarted => board.count(slot, Of::Restarted),
            _ => board.count(slot, Of::Failed),
        }
    }
    rest()
}

fn holder(board: Board, _: u16) -> ! {
    let mut reply = None;
    loop {
        let event = Trap.reply_wait(reply.take());
        if event.token.bits() == 0 {
            continue;
        }
        if board.get(Word::Hold) != 0 {
            board.set(Word::Held, 1);
            while board.get(Word::Hold) != 0 {
                core::hint::spin_loop();
            }
        }
        board.trace(u64::from(event.badge.bits()));
        reply = Some(Answer { token: event.token, message: answer(event.message.label) });
    }
}

fn middle(_: Board, _: u16) -> ! {
    let mut reply = None;
    loop {
        let event = Trap.reply_wait(reply.take());
        if event.token.bits() != 0 {
            let message = outcome(Trap.call(SERVER, question(event.message.label)));
            reply = Some(Answer { token: event.token, message: Message::new(message, [0; 5]) });
        }
    }
}

/// The answer's label, or what went wrong.
fn outcome((status, message): (Status, Message)) -> u64 {
    if status == Status::Ok { message.label } else { failed(status) }
}

/// What is noted of a call without an answer.
pub fn failed(status: Status) -> u64 {
    0xdead_0000 | status as u64
}

fn once(board: Board, slot: u16) -> ! {
    let label = board.of(slot, Of::Label);
    board.set_of(slot, Of::Result, outcome(Trap.call(SERVER, question(label))));
    rest()
}

fn flooder() -> ! {
    loop {
        Trap.notify(BELL);
    }
}

fn ping(board: Board, slot: u16) -> ! {
    loop {
        spin(board.random(slot, 64));
        Trap.notify(BELL);
        spin(board.random(slot, 64));
        while Trap.reply_wait(None).bits == 0 {}
        board.count(slot, Of::Done);
    }
}

fn pong(board: Board, slot: u16) -> ! {
    loop {
        while Trap.reply_wait(None).bits == 0 {}
        spin(board.random(slot, 64));
        Trap.notify(BELL);
    }
}

fn napper(board: Board, slot: u16) -> ! {
    loop {
        let time = rt::own().now().unwrap_or(0);
        rt::timer(time + board.random(slot, 400_000));
        while Trap.reply_wait(None).bits & BIT_TIMER == 0 {}
        board.count(slot, Of::Done);
    }
}

fn writer() -> ! {
    let page = rt::shared(LOST_PAGE, 1);
    loop {
        page.store_u64_release(0, page.load_u64_acquire(0).wrapping_add(1));
    }
}

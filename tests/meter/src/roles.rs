//! What the measured servers do. They have code and constants, a stack and the board: no data, no heap, no start record.
//!
//! A window begins behind one reading of the counter and ends with the next, so it holds what a reading itself takes: that
//! is the figure `clock`, which whoever reads the figures subtracts.

use abi::kernel::control;
use abi::layout::FILLED;
use abi::token::Kind;
use abi::{Answer, Badge, Call, Event, Handle, Message, Traps, Word};
use rt::Trap;

use crate::board::{Board, Figure, ROUNDS};
use crate::clock::{fault, now, spin};

/// To the supervisor: a call says that the samples are complete.
pub const DONE: Handle = Handle(1);
/// To the server.
pub const SERVER: Handle = Handle(2);
/// To the inbox of the less urgent one, or from there to the client.
pub const OTHER: Handle = Handle(3);

/// The slot of the server, which manages that of the peer.
pub const PAGER_SLOT: u16 = 2;
/// How long the timed roles wait, in nanoseconds.
const PAUSE: u64 = 20_000;
/// How often they do.
const EVENTS: u64 = 20;
/// The kernel's slice of time, in nanoseconds.
const SLICE: u64 = 5_000_000;

/// A deadline that is never reached.
const NEVER: u64 = 1 << 60;

abi::interface! {
    /// A sum, for what a typed call adds to the traps.
    interface "meter";
    /// Why there is no sum.
    error Error {
        /// It is too large.
        Overflow = 1,
    }
    /// Adds.
    1 now fn add(a: u64, b: u64) -> u64;
}

struct Adder;

impl Server for Adder {
    fn add(&mut self, _: Badge, a: u64, b: u64) -> Result<u64, Error> {
        a.checked_add(b).ok_or(Error::Overflow)
    }
}

macro_rules! roles {
    ($($(#[$about:meta])* $role:ident = $number:literal => $function:ident,)+) => {
        /// A role.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Role { $($(#[$about])* $role = $number,)+ }

        /// Where every measured server starts.
        pub extern "C" fn begin(role: u64) -> ! {
            match role {
                $($number => $function(Board::new()),)+
                _ => fault(0),
            }
        }
    };
}

roles! {
    /// Measures the clock itself, and a loop of known length.
    Clock = 1 => clock,
    /// Calls `Clocked`.
    Caller = 2 => caller,
    /// Answers with the times at which it was called and answered.
    Clocked = 3 => clocked,
    /// Calls `Echo`.
    Tripper = 4 => tripper,
    /// Answers with what it was sent.
    Echo = 5 => echo,
    /// Calls `TenServer`.
    TenClient = 6 => ten_client,
    /// Takes five words from registers and five from the page, and answers in the same way.
    TenServer = 7 => ten_server,
    /// Calls `BlockServer`.
    BlockClient = 8 => block_client,
    /// Takes 4 KiB from the page.
    BlockServer = 9 => block_server,
    /// Calls `Late`, one of two.
    LateClient = 10 => late_client,
    /// The other.
    LatePeer = 11 => late_peer,
    /// Answers each call when the next has come.
    Late = 12 => late,
    /// Notifies `Sink`, which is more urgent.
    RingHigher = 13 => ring_higher,
    /// Tells when it was woken.
    Sink = 14 => sink,
    /// Notifies `Waiter`, which is less urgent: while it waits, and again before it has run.
    RingLower = 15 => ring_lower,
    /// Waits.
    Waiter = 16 => waiter,
    /// Sets its timer.
    Timer = 17 => timer,
    /// Calls `Typed`.
    TypedClient = 18 => typed_client,
    /// Adds.
    Typed = 19 => typed,
    /// Lets its peer run, measured.
    Pauser = 20 => pauser,
    /// Lets its peer run.
    PausePeer = 21 => pause_peer,
    /// Breaks a rule.
    Faulter = 22 => faulter,
    /// Touches a page that is not there.
    Toucher = 23 => toucher,
    /// Maps what `Toucher` touches, and takes it away when it is called.
    Pager = 24 => pager,
    /// Computes.
    Spinner = 25 => spinner,
    /// Is woken by its timer.
    Sleeper = 26 => sleeper,
    /// Computes for as long as some slices last.
    SomeSlices = 27 => some_slices,
}

fn done() -> ! {
    loop {
        Trap.call(DONE, Message::default());
    }
}

fn clock(board: Board) -> ! {
    for round in 0..ROUNDS {
        let from = now();
        let to = now();
        board.keep(Figure::Clock, round, from, to);
        let from = now();
        spin(1_000);
        let to = now();
        board.keep(Figure::Loop, round, from, to);
    }
    done()
}

fn caller(board: Board) -> ! {
    for round in 0..ROUNDS {
        let from = now();
        let (_, reply) = Trap.call(SERVER, Message::new(1, [2, 3, 4, 5, 6]));
        let to = now();
        let [arrived, left, ..] = reply.words;
        board.keep(Figure::Call, round, from, arrived);
        board.keep(Figure::ReplyWait, round, left, to);
    }
    done()
}

fn clocked(_: Board) -> ! {
    let mut event = Trap.reply_wait(None);
    loop {
        let arrived = now();
        let token = event.token;
        let left = now();
        let message = Message::new(0, [arrived, left, 0, 0, 0]);
        event = Trap.reply_wait(Some(Answer { token, message }));
    }
}

fn tripper(board: Board) -> ! {
    for round in 0..ROUNDS {
        let from = now();
        let (_, reply) = Trap.call(SERVER, Message::new(1, [2, 3, 4, 5, 6]));
        let to = now();
        if reply == Message::new(1, [2, 3, 4, 5, 6]) {
            board.keep(Figure::RoundTrip, round, from, to);
        }
    }
    done()
}

fn echo(_: Board) -> ! {
    let mut event = Trap.reply_wait(None);
    loop {
        event = Trap.reply_wait(Some(Answer { token: event.token, message: event.message }));
    }
}

fn ten_client(board: Board) -> ! {
    let page = board.page();
    for round in 0..ROUNDS {
        let sent = round as u64;
        let from = now();
        page.write(0, &[sent + 6, sent + 7, sent + 8, sent + 9, sent + 10]);
        let (_, reply) = Trap.call(SERVER, Message::new(1, [2, 3, 4, 5, sent]));
        let rest: [u64; 5] = page.read(64);
        let to = now();
        if reply.words[4] == sent && rest[4] == sent + 10 {
            board.keep(Figure::TenWords, round, from, to);
        }
    }
    done()
}

fn ten_server(board: Board) -> ! {
    let page = board.page();
    let mut event = Trap.reply_wait(None);
    loop {
        page.write(64, &page.read::<[u64; 5]>(0));
        event = Trap.reply_wait(Some(Answer { token: event.token, message: event.message }));
    }
}

fn block_client(board: Board) -> ! {
    let page = board.page();
    let mut block = [7; 4096];
    for round in 0..ROUNDS {
        block[4095] = round as u8;
        let from = now();
        page.copy_to(0, &block);
        let (_, reply) = Trap.call(SERVER, Message::new(1, [4096, 0, 0, 0, 0]));
        let to = now();
        if reply.words[0] == u64::from(round as u8) {
            board.keep(Figure::Kilobytes, round, from, to);
        }
    }
    done()
}

fn block_server(board: Board) -> ! {
    let page = board.page();
    let mut block = [0; 4096];
    let mut event = Trap.reply_wait(None);
    loop {
        page.copy_from(0, &mut block);
        let last = core::hint::black_box(&block)[4095];
        let message = Message::new(0, [last.into(), 0, 0, 0, 0]);
        event = Trap.reply_wait(Some(Answer { token: event.token, message }));
    }
}

fn late_client(board: Board) -> ! {
    for round in 0..ROUNDS {
        let (_, reply) = Trap.call(SERVER, Message::default());
        let to = now();
        board.keep(Figure::DeferredReply, round, reply.words[0], to);
    }
    done()
}

fn late_peer(_: Board) -> ! {
    loop {
        Trap.call(SERVER, Message::default());
    }
}

fn late(_: Board) -> ! {
    let mut held = Trap.reply_wait(None).token;
    let mut event = Trap.reply_wait(None);
    loop {
        let token = core::mem::replace(&mut held, event.token);
        let message = Message::new(0, [now(), 0, 0, 0, 0]);
        event = Trap.reply_wait(Some(Answer { token, message }));
    }
}

fn ring_higher(board: Board) -> ! {
    for round in 0..ROUNDS {
        let from = now();
        Trap.notify(SERVER);
        board.keep(Figure::NotifyHigher, round, from, board.stamp());
    }
    done()
}

fn sink(board: Board) -> ! {
    loop {
        Trap.reply_wait(None);
        board.set_stamp(now());
    }
}

fn ring_lower(board: Board) -> ! {
    for round in 0..ROUNDS {
        // The other comes to run, and waits.
        sleep(PAUSE);
        let from = now();
        Trap.notify(OTHER);
        let to = now();
        board.keep(Figure::NotifyLower, round, from, to);
        let from = now();
        Trap.notify(OTHER);
        let to = now();
        board.keep(Figure::NotifyBusy, round, from, to);
    }
    done()
}

/// Waits until some time has passed, in nanoseconds.
fn sleep(time: u64) {
    if let Ok(time_now) = rt::own().now() {
        rt::timer(time_now + time);
        Trap.reply_wait(None);
    }
}

fn waiter(_: Board) -> ! {
    loop {
        Trap.reply_wait(None);
    }
}

fn spinner(_: Board) -> ! {
    loop {
        spin(1_000);
    }
}

fn sleeper(_: Board) -> ! {
    for _ in 0..EVENTS {
        sleep(PAUSE);
    }
    done()
}

fn some_slices(_: Board) -> ! {
    if let Ok(start) = rt::own().now() {
        while rt::own().now().is_ok_and(|now| now < start + EVENTS * SLICE) {
            spin(100_000);
        }
    }
    done()
}

fn timer(board: Board) -> ! {
    for round in 0..ROUNDS {
        let from = now();
        rt::timer(NEVER);
        let to = now();
        board.keep(Figure::KernelCall, round, from, to);
    }
    done()
}

fn typed_client(board: Board) -> ! {
    let client = Client::new(Trap, SERVER);
    for round in 0..ROUNDS {
        let sent = round as u64;
        let from = now();
        let sum = client.add(sent, 2);
        let to = now();
        if sum == Ok(sent + 2) {
            board.keep(Figure::TypedCall, round, from, to);
        }
    }
    done()
}

fn typed(_: Board) -> ! {
    let mut answer = None;
    loop {
        let event = Trap.reply_wait(answer);
        let call = Call { token: event.token, badge: event.badge, message: event.message };
        answer = dispatch(&mut Adder, &call);
    }
}

fn pauser(board: Board) -> ! {
    for round in 0..ROUNDS {
        let _ = rt::own().pause();
        let to = now();
        board.keep(Figure::Switch, round, board.stamp(), to);
    }
    done()
}

fn pause_peer(board: Board) -> ! {
    loop {
        board.set_stamp(now());
        let _ = rt::own().pause();
    }
}

fn toucher(board: Board) -> ! {
    for round in 0..ROUNDS {
        let from = now();
        let found: u64 = rt::filled(0, 1).read(0);
        let to = now();
        if found == 0 {
            board.keep(Figure::Pager, round, from, to);
        }
        Trap.call(SERVER, Message::default());
    }
    done()
}

/// It manages one slot, whose server it knows by the fault.
fn pager(_: Board) -> ! {
    let control = control::Client::new(Trap, OTHER);
    let region = control.region_create(PAGER_SLOT, 1, 0).unwrap_or(0);
    let _ = control.region_extend(region);
    let mut answer = None;
    let mut server = 0;
    loop {
        let Event { token, message, .. } = Trap.reply_wait(answer);
        if token.kind() == Kind::Fault {
            let [thread, address, ..] = message.words;
            server = thread as u16;
            let count_access = 1 | (control::Access::Write.to_word() as u32) << 16;
            let _ = control.map(server, region, address & !0xfff, 0, count_access);
        } else {
            let _ = control.unmap(server, FILLED, 1);
        }
        answer = Some(Answer { token, message: Message::default() });
    }
}

fn faulter(_: Board) -> ! {
    fault(now())
}

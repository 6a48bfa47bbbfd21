//! The main loop of a server.
//!
//! Invariant: a server that is asked for its state is asked between two turns of this loop: its bits are handled, and the call
//! of the same turn is answered or kept. What it keeps is in its state.

use abi::fault::PASS;
use abi::token::Kind;
use abi::trap::BIT_CONTROL;
use abi::{Answer, Badge, Call, Event, Handle, Message, Token, Traps};

use crate::state::{Full, Writer};
use crate::supervisor::{self, EventKind};
use crate::swap;

/// A need, by the numbers of the wiring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// Its number.
    pub index: u16,
    /// The wire.
    pub handle: Handle,
    /// The bits that its server sets.
    pub bits: u64,
}

/// A port, by the numbers of the wiring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its handle.
    pub handle: Handle,
    /// The bits that its event sets.
    pub bits: u64,
}

/// What a server does with what a wait returned.
pub trait Serve {
    /// Bits were set. Bounded work only (one ring's worth), then return: what is left over is done at the next turn.
    fn bits(&mut self, bits: u64);

    /// A call. The answer, or `None` when it comes later. `match call.badge.channel()` where several channels are served.
    fn call(&mut self, call: &Call) -> Option<Answer>;

    /// A server that this one manages faulted: the message is that of `abi::fault`, the badge's bits are the number of the
    /// slot. The decision (see [`decide`]), or `None` when it comes later.
    fn fault(&mut self, fault: &Call) -> Option<Answer> {
        Some(decide(fault.token, PASS))
    }

    /// A client (or a new incarnation of one) was wired; or, on channel [`supervisor::MANAGED`], a server that this one
    /// manages is about to run.
    fn opened(&mut self, client: Badge) {
        let _ = client;
    }

    /// Writes the whole state for a successor; a server that declares no state has none. It changes nothing.
    ///
    /// # Errors
    /// There is no room for it.
    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        let _ = to;
        Ok(())
    }

    /// A client, or a server that this one manages, is gone; forget its session, its badge does not come back.
    fn closed(&mut self, client: Badge) {
        let _ = client;
    }
}

/// A decision about a fault: [`abi::fault::RETRY`], [`abi::fault::KILL`] or [`PASS`].
pub const fn decide(token: Token, verdict: u64) -> Answer {
    Answer { token, message: Message::new(0, [verdict, 0, 0, 0, 0]) }
}

/// Says that the server is ready, then serves for ever.
pub fn serve<T: Traps>(traps: T, server: &mut impl Serve) -> ! {
    let _ = supervisor::Client::new(traps, Handle::SUPERVISOR).ready();
    go_on(traps, server, None)
}

/// Serves for ever.
pub(crate) fn go_on<T: Traps>(traps: T, server: &mut impl Serve, mut answer: Option<Answer>) -> ! {
    loop {
        answer = turn(&traps, server, answer);
    }
}

/// One turn of the loop: answers the last call, waits, and handles what came; returns the answer to the new call. Bits are
/// handled before the call of the same turn, and control events before bits, so a call of a new incarnation never meets
/// the session of the old one.
pub fn turn<T: Traps>(
    traps: &T,
    server: &mut impl Serve,
    answer: Option<Answer>,
) -> Option<Answer> {
    handle(traps, server, traps.reply_wait(answer))
}

/// Handles what a wait returned.
pub fn handle<T: Traps>(traps: &T, server: &mut impl Serve, event: Event) -> Option<Answer> {
    let is_asked = event.bits & BIT_CONTROL != 0 && control(traps, server);
    if event.bits & !BIT_CONTROL != 0 {
        server.bits(event.bits & !BIT_CONTROL);
    }
    let call = Call { token: event.token, badge: event.badge, message: event.message };
    let answer = match event.token.kind() {
        Kind::None => None,
        Kind::Call => server.call(&call),
        Kind::Fault => server.fault(&call),
    };
    if !is_asked {
        return answer;
    }
    if let Some(answer) = answer {
        traps.reply(answer);
    }
    swap::hand_over(traps, server);
    None
}

/// Collects the supervisor's events until there are no more; says whether it asks for the state.
fn control<T: Traps>(traps: &T, server: &mut impl Serve) -> bool {
    let supervisor = supervisor::Client::new(*traps, Handle::SUPERVISOR);
    let mut is_asked = false;
    while let Ok((kind, badge)) = supervisor.next_event() {
        let badge = Badge::from_bits(badge);
        match kind {
            EventKind::None => break,
            EventKind::Opened => server.opened(badge),
            EventKind::Closed => server.closed(badge),
            EventKind::Quiesce => is_asked = true,
        }
    }
    is_asked
}

//! [`Manage`]: the server: bits in, turns of its parts, the timer.

use alloc::vec::Vec;

use abi::trap::BIT_WORLD;
use abi::{Answer, Call, Traps};
use ipc::Wire;
use ipc::console::Source;
use ipc::serve::Serve;
use ipc::state::{Damaged, Full, Reader, Writer};
use vchan::Indices;

use crate::door::{Door, Setup};
use crate::keeper::Keeper;
use crate::notice::Notice;
use crate::serve::{Desk, Later, Operator};
use crate::session::{Session, Turn};
use crate::state;

/// A time that has passed: the timer's bit comes with the next wait.
const AT_ONCE: u64 = 1;
/// Most lines of the log in a turn.
const LINES: usize = 64;

/// Where the link is.
#[derive(Debug)]
enum State {
    /// Nobody is there.
    Free,
    /// A client is.
    Taken(Session),
    /// One that broke the protocol is told to leave, and has not left.
    HungUp,
}

/// The server.
#[derive(Debug)]
pub struct Manage<T, O> {
    traps: T,
    door: Door<T>,
    notice: Notice<T>,
    state: State,
    sources: Vec<Source>,
    keeper: Keeper,
    operator: O,
    own: u16,
    later: Option<Later>,
    /// What the timer is set to.
    timer: u64,
}

impl<T: Traps, O: Operator> Manage<T, O> {
    /// A server whose vchan is made of `setup`, which tells of it through `store` and reads the log from `sources`;
    /// `header` is that of its start record.
    pub fn new(
        traps: T,
        setup: Setup,
        store: Wire,
        sources: Vec<Wire>,
        (header, operator): (abi::start::Header, O),
    ) -> Self {
        Self {
            traps,
            door: Door::new(traps, setup),
            notice: Notice::new(traps, store),
            state: State::Free,
            sources: sources.into_iter().map(Source::new).collect(),
            keeper: Keeper::new(header.incarnation),
            operator,
            own: header.slot,
            later: None,
            timer: 0,
        }
    }

    /// The successor of another one. Nothing that is shared is touched before the first turn.
    ///
    /// # Errors
    /// The state is not that of an operator's link.
    pub fn adopt(
        traps: T,
        setup: Setup,
        store: Wire,
        sources: Vec<Wire>,
        (header, operator): (abi::start::Header, O),
        state: Reader<'_>,
    ) -> Result<Self, Damaged> {
        let link: state::Link = state.one()?.ok_or(Damaged)?;
        let answer = state::answer(state)?;
        let client = match link.client {
            state::Client::Free => State::Free,
            state::Client::Taken(session) => State::Taken(Session::adopted(session, answer)),
            state::Client::HungUp => State::HungUp,
        };
        let indices = link.indices.map(|(consumed, produced)| Indices { consumed, produced });
        Ok(Self {
            door: Door::adopted(traps, setup, indices, link.retry).ok_or(Damaged)?,
            notice: Notice::adopted(traps, store, link.notice),
            state: client,
            keeper: state::keeper(state, link.next)?,
            later: link.later.map(state::restored_later).transpose()?,
            ..Self::new(traps, setup, store, sources, (header, operator))
        })
    }

    /// One turn of everything.
    pub fn turn(&mut self) {
        let has_more = self.read_log();
        if let Some(offer) = self.door.open(self.operator.now()) {
            self.state = State::Free;
            self.notice.tell(offer);
        }
        let has_more = self.serve() || has_more;
        self.door.ring();
        self.notice.turn(self.operator.now());
        self.set_timer(has_more);
    }

    /// Reads lines; says whether there are more.
    fn read_log(&mut self) -> bool {
        let now = self.operator.now();
        for _ in 0..LINES {
            let Some(line) = self.sources.iter_mut().find_map(|source| source.line(&self.traps))
            else {
                return false;
            };
            self.keeper.keep(&line, now);
        }
        true
    }

    /// Serves who is at the link; says whether there is more to do.
    fn serve(&mut self) -> bool {
        let Some(link) = self.door.server() else { return false };
        link.ask();
        if !link.has_client() {
            if !matches!(self.state, State::Free) {
                (self.state, self.later) = (State::Free, None);
                link.begin();
                self.notice.wake(self.operator.now());
            }
            return false;
        }
        if matches!(self.state, State::Free) {
            link.restate();
            self.notice.taken();
            self.state = State::Taken(Session::new());
        }
        let State::Taken(session) = &mut self.state else { return false };
        let (operator, keeper) = (&mut self.operator, &self.keeper);
        let mut desk = Desk { operator, keeper, own: self.own, later: &mut self.later };
        match session.turn(link, &mut desk) {
            Turn::Rests => false,
            Turn::HasMore => true,
            Turn::Broken => {
                rt::log!("a client broke the protocol and is hung up on");
                link.hang_up();
                self.state = State::HungUp;
                false
            }
        }
    }

    fn set_timer(&mut self, has_more: bool) {
        let wait = match &self.state {
            State::Taken(session) => session.deadline(),
            State::Free | State::HungUp => None,
        };
        let next = [self.door.deadline(), self.notice.deadline(), wait].into_iter().flatten().min();
        let at = if has_more { AT_ONCE } else { next.map_or(0, |at| at.max(AT_ONCE)) };
        if at != self.timer || at == AT_ONCE {
            self.timer = at;
            let _ = abi::kernel::own::Client::new(self.traps, abi::Handle::OWN).timer(at);
        }
    }
}

impl<T: Traps, O: Operator> Serve for Manage<T, O> {
    fn bits(&mut self, bits: u64) {
        if bits & BIT_WORLD != 0 {
            self.door.close();
            self.notice.forget();
            self.state = State::Free;
        }
        if bits & abi::trap::BIT_TIMER != 0 {
            self.timer = 0;
        }
        self.turn();
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        let (client, answer) = match &self.state {
            State::Free => (state::Client::Free, [].as_slice()),
            State::Taken(session) => (state::Client::Taken(session.save()), session.answer()),
            State::HungUp => (state::Client::HungUp, [].as_slice()),
        };
        to.put(&state::Link {
            indices: self.door.indices().map(state::indices),
            retry: self.door.deadline(),
            notice: self.notice.save(),
            client,
            later: self.later.map(state::later),
            next: self.keeper.next(),
        })?;
        state::save(answer, &self.keeper, to)
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }
}

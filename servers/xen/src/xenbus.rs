//! How a front end and its backend agree to connect, to close, and to start over (Xen public/io/xenbus.h).
//!
//! [`Device::step`] takes what happened and says what to do, in order; it does nothing itself. Invariant: the rings are
//! used only between [`Action::Online`] and [`Action::Offline`]; they exist from [`Action::Negotiate`] to
//! [`Action::Release`]; each pair alternates. A backend that came back with `online` set is connected anew by itself;
//! one that broke the rules is closed and left until [`Event::Retry`]. A state that makes no sense counts as closing.
//!
//! It does not read or write xenstore, and keeps no time: [`Action::Limit`] asks for [`Event::Late`].

mod state;

pub use state::State;

use heapless::Vec;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The backend's `state` says this, and its `online` is not 0; `None` when its directory, or our own, is gone.
    Backend(Option<State>, bool),
    /// [`Action::Negotiate`] is done.
    Published,
    /// [`Action::Negotiate`] cannot be done: the backend lacks what we need, or xenstore failed.
    Unable,
    /// The backend broke the rules, or what it says of the device makes no sense.
    Broken,
    /// The device is not wanted any more.
    Stop,
    /// The limit is up.
    Late,
    /// Try a device again that was broken.
    Retry,
    /// The domain goes on elsewhere: the directories are new, and nothing is connected. What the driver had begun
    /// ([`Action::Negotiate`], [`Action::Limit`]) is void.
    NewWorld,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write our `state`, in a transaction that finds the node still there.
    Set(State),
    /// Read the backend's features, make rings, grants and port, and write references, port, features and our `state`
    /// ([`Class::published`]) in one transaction. Answer with [`Event::Published`] or [`Event::Unable`].
    Negotiate,
    /// Read what the backend says of the device, and use it.
    Online,
    /// The backend may have changed what it says (a disk's size): read it again.
    Refresh,
    /// Stop using the rings; what is not done stays the driver's to repeat.
    Offline,
    /// Give back rings, grants and port. The kernel keeps pages that the backend still has.
    Release,
    /// Send [`Event::Late`] in [`LIMIT_NS`], instead of any limit before.
    Limit,
    /// The device is gone; nothing will happen any more.
    End,
}

/// How long the backend may take for one step of closing, in nanoseconds.
pub const LIMIT_NS: u64 = 5_000_000_000;

/// What to do, in order.
pub type Actions = Vec<Action, 12>;

/// What differs between kinds of devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A network device: connected as soon as it is published.
    Network,
    /// A disk: connected when the backend's description was read.
    Block,
}

impl Class {
    /// The state to be written with the references.
    #[must_use]
    pub const fn published(self) -> State {
        match self {
            Self::Network => State::Connected,
            Self::Block => State::Initialised,
        }
    }
}

/// Where the front end is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Another incarnation left its state behind; ours is not written.
    Found,
    /// We are initialising, and wait for the backend to be ready.
    Waiting,
    /// The driver negotiates.
    Publishing,
    /// Published; the backend connects.
    Published,
    Online,
    /// We are closing, and wait for the backend to close too.
    Closing,
    /// We are closed, and wait for the backend to be.
    Closed,
    Failed,
    Ended,
}

/// What comes after closing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    /// Connect anew, if the backend is still online.
    Again,
    Fail,
    End,
}

impl After {
    fn or_fail(self) -> Self {
        if self == Self::End { self } else { Self::Fail }
    }
}

/// The front end of a device.
#[derive(Clone, Debug)]
pub struct Device {
    class: Class,
    phase: Phase,
    after: After,
    backend: Option<State>,
    is_told: bool,
    is_online: bool,
    has_rings: bool,
}

impl Device {
    /// A device whose own `state` node says `own`: the toolstack's, or what another incarnation left. What to do is
    /// known with the first [`Event::Backend`].
    #[must_use]
    pub const fn new(class: Class, own: State) -> Self {
        let phase = match own {
            State::Unknown | State::Initialising => Phase::Waiting,
            _ => Phase::Found,
        };
        Self {
            class,
            phase,
            after: After::Again,
            backend: None,
            is_told: false,
            is_online: true,
            has_rings: false,
        }
    }

    /// Whether the rings may be used.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.phase == Phase::Online
    }

    /// Whether the device is gone for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether the device was broken and waits for [`Event::Retry`].
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Takes an event; says what to do.
    pub fn step(&mut self, event: Event) -> Actions {
        let mut todo = Actions::new();
        if self.phase != Phase::Ended {
            self.take(event, &mut todo);
            if self.is_told {
                self.settle(&mut todo);
            }
        }
        todo
    }

    fn take(&mut self, event: Event, todo: &mut Actions) {
        match (event, self.phase) {
            (Event::Backend(state, is_online), phase) => {
                self.backend = state;
                self.is_told = true;
                self.is_online = is_online;
                if phase == Phase::Online && state == Some(State::Connected) {
                    put(todo, Action::Refresh);
                }
            }
            (Event::Published, Phase::Publishing) => self.published(todo),
            (Event::Unable, Phase::Publishing) => self.close(self.after.or_fail(), todo),
            (Event::Broken, Phase::Published | Phase::Online) => self.close(After::Fail, todo),
            (Event::Stop, Phase::Failed) => self.end(todo),
            (Event::Stop, Phase::Publishing | Phase::Closing | Phase::Closed) => {
                self.after = After::End;
            }
            (Event::Stop, _) => self.close(After::End, todo),
            (Event::Late, Phase::Closing) => self.shut(todo),
            (Event::Late, Phase::Closed) => self.finish(todo),
            (Event::Retry, Phase::Failed) => self.reopen(todo),
            (Event::NewWorld, _) => self.forget(todo),
            _ => {}
        }
    }

    fn published(&mut self, todo: &mut Actions) {
        match self.after {
            After::End => self.close(After::End, todo),
            _ => self.phase = Phase::Published,
        }
    }

    /// Goes on as far as the backend's state, as last told, allows. Each round changes the phase.
    fn settle(&mut self, todo: &mut Actions) {
        let mut before = None;
        while before != Some(self.phase) && self.phase != Phase::Ended {
            before = Some(self.phase);
            match self.backend {
                Some(state) => self.follow(state, todo),
                None => self.vanish(todo),
            }
        }
    }

    fn follow(&mut self, backend: State, todo: &mut Actions) {
        use State::{Closed, Closing, Connected, InitWait, Initialised, Initialising};
        match (self.phase, backend) {
            (Phase::Found, Initialising | Closed) => self.reopen(todo),
            (Phase::Found, Closing) => self.shut(todo),
            (Phase::Found, _) => self.close(After::Again, todo),
            (Phase::Waiting, InitWait) => {
                self.phase = Phase::Publishing;
                self.has_rings = true;
                put(todo, Action::Negotiate);
            }
            (Phase::Waiting, Closing | Closed) if !self.is_online => self.shut(todo),
            (Phase::Waiting, Closing) => self.shut(todo),
            (Phase::Waiting, Connected | Initialised) => self.close(After::Again, todo),
            (Phase::Published, Connected) => self.connect(todo),
            (Phase::Published, InitWait | Initialised) => {}
            (Phase::Online, Connected | State::Reconfiguring | State::Reconfigured) => {}
            (Phase::Published | Phase::Online, _) => self.close(After::Again, todo),
            (Phase::Closing, Initialising | Closing | Closed | State::Unknown) => self.shut(todo),
            (Phase::Closed, Closed | Initialising) => self.finish(todo),
            (Phase::Failed, Closing | Closed) if !self.is_online => self.end(todo),
            _ => {}
        }
    }

    fn connect(&mut self, todo: &mut Actions) {
        self.phase = Phase::Online;
        put(todo, Action::Online);
        if self.class.published() != State::Connected {
            put(todo, Action::Set(State::Connected));
        }
    }

    /// Begins to close.
    fn close(&mut self, after: After, todo: &mut Actions) {
        self.offline(todo);
        self.after = after;
        self.phase = Phase::Closing;
        put(todo, Action::Set(State::Closing));
        put(todo, Action::Limit);
    }

    /// Says that we are closed.
    fn shut(&mut self, todo: &mut Actions) {
        self.phase = Phase::Closed;
        put(todo, Action::Set(State::Closed));
        put(todo, Action::Limit);
    }

    /// Both sides are closed, or the backend had its time.
    fn finish(&mut self, todo: &mut Actions) {
        self.release(todo);
        match self.after {
            After::End => self.end(todo),
            _ if !self.is_online => self.end(todo),
            After::Fail => self.phase = Phase::Failed,
            After::Again => self.reopen(todo),
        }
    }

    fn reopen(&mut self, todo: &mut Actions) {
        self.phase = Phase::Waiting;
        self.after = After::Again;
        put(todo, Action::Set(State::Initialising));
    }

    /// The directory is gone: there is nothing to write to.
    fn vanish(&mut self, todo: &mut Actions) {
        if self.phase != Phase::Publishing {
            self.offline(todo);
            self.end(todo);
        }
    }

    fn end(&mut self, todo: &mut Actions) {
        self.release(todo);
        self.phase = Phase::Ended;
        put(todo, Action::End);
    }

    fn forget(&mut self, todo: &mut Actions) {
        self.offline(todo);
        self.release(todo);
        *self = Self::new(self.class, State::Initialising);
    }

    fn offline(&self, todo: &mut Actions) {
        if self.phase == Phase::Online {
            put(todo, Action::Offline);
        }
    }

    fn release(&mut self, todo: &mut Actions) {
        if self.has_rings {
            self.has_rings = false;
            put(todo, Action::Release);
        }
    }
}

fn put(todo: &mut Actions, action: Action) {
    let is_put = todo.push(action).is_ok();
    debug_assert!(is_put, "a step is longer than foreseen");
}

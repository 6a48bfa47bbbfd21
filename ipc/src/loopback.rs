//! The four traps on the host, for tests: servers and clients in threads of one process, with tokens, bits and statuses as the
//! kernel has them.
//!
//! It keeps no priorities. Kernel handles (ports, windows) are functions that a test gives; [`Loopback::own`] gives handle 0.

mod own;
mod swapped;

pub use own::now;
pub use swapped::{Swapping, saved, swapped};

use std::boxed::Box;
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use abi::token::Kind;
use abi::{Answer, Badge, Event, Handle, Message, Status, Token, Traps};

/// What a handle of an [`End`] leads to.
enum Target {
    Wire { inbox: usize, badge: Badge, bits: u64 },
    Bell { inbox: usize, bits: u64 },
    Kernel(Box<dyn FnMut(Message) -> Message + Send>),
}

#[derive(Default)]
struct Inbox {
    bits: u64,
    calls: VecDeque<(Token, Badge, Message)>,
}

#[derive(Default)]
struct State {
    inboxes: Vec<Inbox>,
    handles: HashMap<(usize, u16), Target>,
    answers: HashMap<u32, (Status, Message)>,
    open: HashMap<u32, usize>,
    generation: u32,
    notified: HashMap<(usize, u16), u32>,
}

/// A set of servers and clients that can call each other.
#[derive(Default)]
pub struct Loopback {
    state: Mutex<State>,
    changed: Condvar,
}

impl Loopback {
    /// An empty one. It lives until the test process ends, as the threads that use it may.
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new server or client.
    pub fn end(&'static self) -> End {
        let mut state = self.lock();
        state.inboxes.push(Inbox::default());
        End { loopback: self, inbox: state.inboxes.len() - 1 }
    }

    fn install(&self, owner: &End, handle: Handle, target: Target) {
        self.lock().handles.insert((owner.inbox, handle.0), target);
    }

    /// Gives `client` a wire to `server` by which it calls with `badge` and notifies with `bits`.
    pub fn wire(&self, client: &End, handle: Handle, server: &End, badge: Badge, bits: u64) {
        self.install(client, handle, Target::Wire { inbox: server.inbox, badge, bits });
    }

    /// Gives `owner` a bell (or a port's peer) that sets `bits` in the inbox of `target`.
    pub fn bell(&self, owner: &End, handle: Handle, target: &End, bits: u64) {
        self.install(owner, handle, Target::Bell { inbox: target.inbox, bits });
    }

    /// Gives `owner` a handle that `kernel` answers, with the caller locked out of everything else meanwhile.
    pub fn kernel(
        &self,
        owner: &End,
        handle: Handle,
        kernel: impl FnMut(Message) -> Message + Send + 'static,
    ) {
        self.install(owner, handle, Target::Kernel(Box::new(kernel)));
    }
}

/// One server or client.
#[derive(Clone, Copy)]
pub struct End {
    loopback: &'static Loopback,
    inbox: usize,
}

impl End {
    /// Sets bits of the own inbox, as the kernel does for timers and events.
    pub fn set_bits(&self, bits: u64) {
        let mut state = self.loopback.lock();
        set(&mut state, self.inbox, bits);
        self.loopback.changed.notify_all();
    }

    /// What a wait would return now, if anything.
    pub fn poll(&self) -> Option<Event> {
        take(&mut self.loopback.lock(), self.inbox)
    }

    /// How often this end notified through a handle.
    pub fn notified(&self, handle: Handle) -> u32 {
        self.loopback.lock().notified.get(&(self.inbox, handle.0)).copied().unwrap_or(0)
    }

    /// As a restart of the server does: queued calls end with `Reset`, taken ones with `Restarted`, bits are cleared.
    pub fn restart(&self) {
        let mut state = self.loopback.lock();
        let Some(inbox) = state.inboxes.get_mut(self.inbox) else { return };
        inbox.bits = 0;
        let queued: Vec<u32> =
            inbox.calls.drain(..).map(|(token, ..)| token.generation()).collect();
        let open: Vec<u32> =
            state.open.iter().filter(|(_, to)| **to == self.inbox).map(|(g, _)| *g).collect();
        for generation in open {
            let status =
                if queued.contains(&generation) { Status::Reset } else { Status::Restarted };
            state.open.remove(&generation);
            state.answers.insert(generation, (status, Message::default()));
        }
        self.loopback.changed.notify_all();
    }

    fn wait_for(&self, generation: u32) -> (Status, Message) {
        let mut state = self.loopback.lock();
        loop {
            if let Some(answer) = state.answers.remove(&generation) {
                return answer;
            }
            state = self.loopback.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn set(state: &mut State, inbox: usize, bits: u64) {
    if let Some(inbox) = state.inboxes.get_mut(inbox) {
        inbox.bits |= bits;
    }
}

fn take(state: &mut State, inbox: usize) -> Option<Event> {
    let inbox = state.inboxes.get_mut(inbox)?;
    let bits = core::mem::take(&mut inbox.bits);
    match inbox.calls.pop_front() {
        Some((token, badge, message)) => Some(Event { bits, token, badge, message }),
        None => (bits != 0).then_some(Event { bits, ..Event::default() }),
    }
}

impl Traps for End {
    fn call(&self, handle: Handle, message: Message) -> (Status, Message) {
        let mut state = self.loopback.lock();
        let (inbox, badge) = match state.handles.get_mut(&(self.inbox, handle.0)) {
            Some(Target::Wire { inbox, badge, .. }) => (*inbox, *badge),
            Some(Target::Kernel(kernel)) => return (Status::Ok, kernel(message)),
            _ => return (Status::Gone, Message::default()),
        };
        state.generation += 1;
        let generation = state.generation;
        let token = Token::new(Kind::Call, self.inbox as u16, generation);
        state.open.insert(generation, inbox);
        if let Some(inbox) = state.inboxes.get_mut(inbox) {
            inbox.calls.push_back((token, badge, message));
        }
        drop(state);
        self.loopback.changed.notify_all();
        self.wait_for(generation)
    }

    fn reply_wait(&self, answer: Option<Answer>) -> Event {
        if let Some(answer) = answer {
            self.reply(answer);
        }
        let mut state = self.loopback.lock();
        loop {
            if let Some(event) = take(&mut state, self.inbox) {
                return event;
            }
            state = self.loopback.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn reply(&self, answer: Answer) {
        let mut state = self.loopback.lock();
        if state.open.remove(&answer.token.generation()) == Some(self.inbox) {
            state.answers.insert(answer.token.generation(), (Status::Ok, answer.message));
        }
        self.loopback.changed.notify_all();
    }

    fn notify(&self, handle: Handle) {
        let mut state = self.loopback.lock();
        *state.notified.entry((self.inbox, handle.0)).or_insert(0) += 1;
        let (inbox, bits) = match state.handles.get(&(self.inbox, handle.0)) {
            Some(Target::Wire { inbox, bits, .. } | Target::Bell { inbox, bits }) => {
                (*inbox, *bits)
            }
            _ => return,
        };
        set(&mut state, inbox, bits);
        self.loopback.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::Loopback;
    use crate::serve::{Serve, turn};
    use crate::xenstore;
    use abi::{Answer, Badge, Call, CallError, Handle, Message, Status, Traps};

    #[derive(Default)]
    struct Store {
        opened: Vec<u16>,
        bits: u64,
    }
    use std::vec::Vec;

    impl xenstore::Server for Store {
        fn open(&mut self, from: Badge) -> Result<(), xenstore::Error> {
            self.opened.push(from.client());
            Ok(())
        }
        fn post(
            &mut self,
            _: Badge,
            _: xenstore::Operation,
            _: u32,
            _: u32,
            _: u32,
        ) -> Result<u32, xenstore::Error> {
            Err(xenstore::Error::Busy)
        }
        fn collect(
            &mut self,
            _: Badge,
        ) -> Result<(xenstore::Kind, u32, u32, u32), xenstore::Error> {
            Ok((xenstore::Kind::Nothing, 0, 0, 0))
        }
    }

    impl Serve for Store {
        fn bits(&mut self, bits: u64) {
            self.bits |= bits;
        }
        fn call(&mut self, call: &Call) -> Option<Answer> {
            xenstore::dispatch(self, call)
        }
    }

    #[test]
    fn a_client_calls_a_server_in_another_thread() {
        let loopback = Loopback::new();
        let (client, server) = (loopback.end(), loopback.end());
        loopback.wire(&client, Handle(2), &server, Badge::new(0, 5, 0), 1);
        let thread = std::thread::spawn(move || {
            let mut store = Store::default();
            let mut answer = None;
            while store.bits == 0 || answer.is_some() {
                answer = turn(&server, &mut store, answer);
            }
            store.opened
        });
        let store = xenstore::Client::new(client, Handle(2));
        assert_eq!(store.open(), Ok(()));
        assert_eq!(
            store.post(xenstore::Operation::Read, 0, 0, 0),
            Err(CallError::Refused(xenstore::Error::Busy))
        );
        client.notify(Handle(2));
        assert_eq!(thread.join().unwrap(), [5]);
    }

    #[test]
    fn a_restart_tells_callers() {
        let loopback = Loopback::new();
        let (client, server) = (loopback.end(), loopback.end());
        loopback.wire(&client, Handle(2), &server, Badge::default(), 1);
        let caller = std::thread::spawn(move || client.call(Handle(2), Message::default()).0);
        while server.poll().is_none() {
            std::thread::yield_now();
        }
        server.restart();
        assert_eq!(caller.join().unwrap(), Status::Restarted);
        assert_eq!(client.call(Handle(9), Message::default()).0, Status::Gone);
    }
}

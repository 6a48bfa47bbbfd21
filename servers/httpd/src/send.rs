//! Sending an answer: as far as the socket has room, from wherever its body comes.
//!
//! Invariant: a part of a file is asked for only when the socket has room for it, so that it goes on at once when it comes.

use abi::Traps;
use ipc::files::{BUFFER_BYTES, OK};
use ipc::socket::{BROKEN, SEND_BYTES};

use crate::body::Body;
use crate::connection::{Connection, Env, PIECE};
use crate::store::Answer;

/// A whole buffer fits in the socket's ring.
const _: () = assert!(BUFFER_BYTES <= SEND_BYTES);

impl Connection {
    /// Sends; true if the answer was sent and another request may follow.
    pub(crate) fn send<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        loop {
            if env.sockets.state(self.socket) == BROKEN {
                self.end(false);
                return false;
            }
            if !self.send_out(env) {
                return false;
            }
            let goes_on = match &mut self.body {
                Body::Empty => return self.finish(env),
                Body::Bytes(..) => self.send_bytes(env),
                Body::File(..) => self.ask_for_bytes(env),
                Body::Listing(_) => self.make_listing(env),
            };
            if !goes_on {
                return false;
            }
        }
    }

    /// Sends what is to be sent before the body goes on; true if all of it is in the ring.
    fn send_out<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        let rest = self.out.get(self.sent..).unwrap_or_default();
        let count = env.sockets.send(self.socket, rest);
        let left = rest.len() - count;
        self.sent += count;
        self.note_progress(count, env.now);
        if left == 0 {
            self.out.clear();
            self.sent = 0;
            return true;
        }
        env.sockets.wait_for_room(self.socket, left.min(PIECE));
        false
    }

    fn send_bytes<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        let Body::Bytes(bytes, at) = &mut self.body else { return false };
        let rest = bytes.get(*at..).unwrap_or_default();
        let count = env.sockets.send(self.socket, rest);
        let left = rest.len() - count;
        *at += count;
        self.note_progress(count, env.now);
        if left == 0 {
            self.body = Body::Empty;
            return true;
        }
        env.sockets.wait_for_room(self.socket, left.min(PIECE));
        false
    }

    /// Asks for as much of the file as the ring has room for.
    fn ask_for_bytes<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        let Body::File(file, at, end) = self.body else { return false };
        if at >= end {
            env.store.release(file);
            self.body = Body::Empty;
            return true;
        }
        if self.question.is_some() {
            return false;
        }
        let wanted = usize::try_from(end - at).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        let room = env.sockets.room(self.socket);
        if room < wanted {
            env.sockets.wait_for_room(self.socket, wanted);
            return false;
        }
        let asked = env.store.read(file, at, wanted);
        self.asked(asked, env.now);
        false
    }

    /// Makes a piece of the directory's page, or asks for more entries.
    fn make_listing<T: Traps>(&mut self, env: &mut Env<'_, T>) -> bool {
        let Body::Listing(listing) = &mut self.body else { return false };
        if let Some(piece) = listing.piece() {
            self.out = piece.into_bytes();
            return true;
        }
        if listing.is_over {
            env.store.release(listing.file);
            self.body = Body::Empty;
            return true;
        }
        if self.question.is_none()
            && let Some(next) = listing.next
        {
            let asked = env.store.list(listing.file, next);
            self.asked(asked, env.now);
        }
        false
    }

    pub(crate) fn copy_bytes<T: Traps>(&mut self, answer: &Answer, env: &mut Env<'_, T>) {
        let Body::File(_, at, _) = &mut self.body else { return };
        let length = (answer.length as usize).min(BUFFER_BYTES);
        let mut done = 0;
        let mut piece = [0; PIECE];
        while answer.status == OK && done < length {
            let piece = piece.get_mut(..PIECE.min(length - done)).unwrap_or_default();
            env.store.copy(answer.buffer, done, piece);
            if env.sockets.send(self.socket, piece) < piece.len() {
                break;
            }
            done += piece.len();
        }
        *at += done as u64;
        if done < length || length == 0 || answer.status != OK {
            // What was promised in the head cannot be sent.
            return self.end(false);
        }
        self.note_progress(done, env.now);
    }

    pub(crate) fn take_entries<T: Traps>(&mut self, answer: &Answer, env: &mut Env<'_, T>) {
        let entries = env.store.entries(answer).filter(|_| answer.status == OK);
        let (Body::Listing(listing), Some(entries)) = (&mut self.body, entries) else {
            return self.end(false);
        };
        listing.entries = entries.into();
        listing.next = (answer.size != 0).then_some(answer.size);
        self.note_progress(1, env.now);
    }

    const fn note_progress(&mut self, count: usize, now: u64) {
        if count > 0 {
            self.since = now;
        }
    }
}

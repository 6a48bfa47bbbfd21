//! The interface to clients.

use alloc::vec;

use abi::{Answer, Badge, Call, Traps};
use ipc::serve::Serve;
use ipc::xenstore::{self, Error, Kind, Operation};
use xen::store::{PATH, VALUE};

use crate::broker::{Broker, Domain};
use crate::client::Ask;

impl<T: Traps, D: Domain> xenstore::Server for Broker<T, D> {
    fn open(&mut self, from: Badge) -> Result<(), Error> {
        if self.link.is_broken() {
            return Err(Error::Broken);
        }
        self.begin_session(from);
        Ok(())
    }

    fn post(
        &mut self,
        from: Badge,
        operation: Operation,
        transaction: u32,
        path: u32,
        value: u32,
    ) -> Result<u32, Error> {
        self.meet(from)?;
        let session = self.session(from.client()).ok_or(Error::Broken)?;
        if session.is_full() {
            return Err(Error::Busy);
        }
        let (path, value) = (path as usize, value as usize);
        if path > PATH || value > VALUE || !session.wire.up.holds(0, path + value) {
            return Err(Error::TooLong);
        }
        let mut bytes = vec![0; path + value];
        session.wire.up.copy_from(0, &mut bytes);
        let number = session.next_number();
        let (path, value) = bytes.split_at(path);
        // What is no text is no path, and is refused as such.
        let path = core::str::from_utf8(path).unwrap_or("\0");
        self.ask(from.client(), number, Ask { operation, transaction, path, value });
        Ok(number)
    }

    fn collect(&mut self, from: Badge) -> Result<(Kind, u32, u32, u32), Error> {
        self.meet(from)?;
        let session = self.session(from.client()).ok_or(Error::Broken)?;
        let Some(answer) = session.answers.pop_front() else { return Ok((Kind::Nothing, 0, 0, 0)) };
        let length = answer.bytes.len().min(session.wire.down.len());
        session.wire.down.copy_to(0, answer.bytes.get(..length).unwrap_or_default());
        Ok((answer.kind, answer.number, answer.code, length as u32))
    }
}

impl<T: Traps, D: Domain> Broker<T, D> {
    /// Sees to it that the session is that of the client's present incarnation.
    fn meet(&mut self, from: Badge) -> Result<(), Error> {
        if self.link.is_broken() {
            return Err(Error::Broken);
        }
        let session = self.session(from.client()).ok_or(Error::Broken)?;
        if session.badge != from || session.id == 0 {
            self.begin_session(from);
        }
        Ok(())
    }
}

impl<T: Traps, D: Domain> Serve for Broker<T, D> {
    fn bits(&mut self, _: u64) {
        self.turn();
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        let answer = xenstore::dispatch(self, call);
        self.turn();
        answer
    }

    fn closed(&mut self, client: Badge) {
        if self.session(client.client()).is_some_and(|session| session.badge == client) {
            self.begin_session(client);
            self.turn();
        }
    }
}

//! The server in a swap: what it writes for a successor, and how it begins as one.

use alloc::vec::Vec;

use abi::Traps;
use ipc::state::{Damaged, Full, Reader, Writer};
use ipc::{Host, Wire};
use shared::queue::Kept;

use super::{Fs, State};
use crate::disk::Disk;
use crate::medium::Medium;
use crate::session::Session;
use crate::state;

impl<T: Traps, H: Host> Fs<T, H> {
    /// The successor of another one. Nothing that is shared is touched before the first turn.
    ///
    /// # Errors
    /// The state is not a file system's.
    pub fn adopt(
        traps: T,
        host: H,
        disk: Wire,
        clients: Vec<Wire>,
        state: Reader<'_>,
    ) -> Result<Self, Damaged> {
        let server: state::Server = state.one()?.ok_or(Damaged)?;
        let mut new = Self::new(traps, host, disk, clients);
        new.disk = Disk::adopted(traps, disk, &server.disk).ok_or(Damaged)?;
        (new.state, new.is_told) = match server.volume {
            state::Volume::Absent => (State::Absent, false),
            state::Volume::Present(told) => (State::Mounting(Medium::new(server.size)), told),
            state::Volume::Unreadable => (State::Unreadable, false),
        };
        new.adopt_sessions(state)?;
        let state::Server { sessions, size, lost, patience, .. } = server;
        Ok(Self { sessions, size, lost, patience, is_adopted: true, ..new })
    }

    fn adopt_sessions(&mut self, state: Reader<'_>) -> Result<(), Damaged> {
        for client in state.all::<state::Client>() {
            let state::Client { client, open, epoch } = client?;
            let client = self.clients.get_mut(client as usize).ok_or(Damaged)?;
            let kept = Kept { open, peer_epoch: epoch };
            client.session = Some(Session::adopted(client.wire, kept).map_err(|_| Damaged)?);
        }
        let sessions = self.clients.iter_mut().map(|client| client.session.as_mut());
        state::restore(state, &mut sessions.collect::<Vec<_>>())
    }

    /// Goes on where the predecessor stopped.
    pub(super) fn resume(&mut self) {
        self.disk.resume();
        let sessions = self.clients.iter_mut().filter_map(|client| client.session.as_mut());
        sessions.for_each(Session::resume);
    }

    /// Writes all that a successor has to know.
    pub(super) fn write(&self, to: &mut Writer) -> Result<(), Full> {
        to.put(&state::Server {
            sessions: self.sessions,
            size: self.size,
            volume: match self.state {
                State::Absent => state::Volume::Absent,
                State::Mounting(_) | State::Mounted(_) => state::Volume::Present(self.is_told),
                State::Unreadable => state::Volume::Unreadable,
            },
            lost: self.lost,
            patience: self.patience,
            disk: self.disk.save(),
        })?;
        for (number, client) in (0..).zip(&self.clients) {
            client.session.iter().try_for_each(|session| state::save(number, session, to))?;
        }
        Ok(())
    }
}

//! A session in a swap of the server.
//!
//! Invariant: requests keep their order, and each is begun anew: what was done of it is in its buffer alone, and is done again.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ipc::Wire;
use ipc::files::{LIST, LOOKUP, OPEN_FILES, QUEUE, Request};
use shared::Error;
use shared::queue::{Kept, Server};

use super::{Session, Task, Work};
use crate::file::{OpenFile, Place};
use crate::lookup::Lookup;
use crate::read::Read;
use crate::state;

impl Session {
    /// The session of a predecessor, without files and requests. It is not to be used before [`Self::resume`], which is the first
    /// to touch the memory.
    ///
    /// # Errors
    /// [`Error::Shape`]: there is not enough memory.
    pub fn adopted(wire: Wire, kept: Kept) -> Result<Self, Error> {
        let queue = Server::adopted(QUEUE, wire.up, wire.down, kept)?;
        let (files, tasks) = (Vec::new(), Vec::new());
        Ok(Self { wire, queue, files, listing: None, tasks, is_broken: false })
    }

    /// Goes on where the predecessor stopped.
    pub fn resume(&mut self) {
        let resumed = self.queue.resume();
        self.note(resumed);
    }

    /// What a successor has to know of the queue.
    pub const fn kept(&self) -> Kept {
        self.queue.kept()
    }

    /// The open files and their numbers.
    pub fn files(&self) -> impl Iterator<Item = (u32, &OpenFile)> {
        (0..).zip(&self.files).filter_map(|(number, file)| Some((number, file.as_ref()?)))
    }

    /// Gives a file its number again; `None` if no file can have it.
    pub fn put_file(&mut self, number: u32, file: OpenFile) -> Option<()> {
        let index = number as usize;
        if index >= OPEN_FILES {
            return None;
        }
        if index >= self.files.len() {
            self.files.resize_with(index + 1, || None);
        }
        *self.files.get_mut(index)? = Some(file);
        Some(())
    }

    /// The requests that are not answered.
    pub fn saved_tasks(&self, client: u32) -> impl Iterator<Item = state::Task> {
        self.tasks.iter().map(move |task| task.saved(client))
    }

    /// Takes a request up again.
    pub fn put_task(&mut self, task: state::Task) {
        let state::Task { id, kind: (kind, buffer), file, length, offset, path, .. } = task;
        let request = Request { id, kind, buffer, file, length, offset };
        let work = match (task.refused, kind) {
            (Some(status), _) => Work::Refused(status),
            (None, LOOKUP) => Work::Lookup(Box::new(Lookup::new(&path))),
            (None, LIST) => Work::List(None),
            (None, _) => Work::Read(Read { offset, length: u64::from(length), done: 0 }),
        };
        self.tasks.push(Task { request, work });
    }

    /// The search for a directory that a predecessor had found, if this is one.
    pub(super) fn forgotten(&mut self, file: u32) -> Option<Box<Lookup>> {
        match &self.file(file).ok()?.place {
            Place::Directory(None, path) => Some(Box::new(Lookup::new(path))),
            _ => None,
        }
    }
}

impl Task {
    fn saved(&self, client: u32) -> state::Task {
        let Request { id, kind, buffer, file, length, offset } = self.request;
        let path = match &self.work {
            Work::Lookup(lookup) => lookup.path.clone(),
            _ => String::new(),
        };
        let refused = match self.work {
            Work::Refused(status) => Some(status),
            _ => None,
        };
        state::Task { client, id, kind: (kind, buffer), file, length, offset, path, refused }
    }
}

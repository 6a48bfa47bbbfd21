//! [`Store`]: what is asked of the file system, and for whom.
//!
//! Invariant: a buffer is free again as soon as its answer was looked at, and a file whose finder is gone is released. No
//! question outlives its session: when the file system is another one, all questions are answered `NOT_READY`.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use abi::Traps;
use ipc::Wire;
use ipc::files::client::{self, Files};
use ipc::files::{Entry, INVALID, NOT_READY, OK};

/// What became of a wish to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// It was asked; the answer will have this number.
    Asked(u32),
    /// There is no buffer now; when there is one, something was answered.
    Later,
    /// There is nobody to ask.
    Never,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Number of the question.
    pub id: u32,
    /// Status, as `ipc::files` has them.
    pub status: u32,
    /// The file that was found.
    pub file: u32,
    /// Bytes in the buffer, or whether it is a directory.
    pub length: u32,
    /// The file's size, or where a listing goes on.
    pub size: u64,
    /// The buffer with the data.
    pub buffer: u16,
}

ipc::state! {
    /// What was asked.
    #[derive(Copy)]
    pub struct Asked {
        /// The question's number.
        pub id: u32,
        /// The buffer for the answer's data; none for a release.
        pub buffer: Option<u16>,
        /// Whether the answer may be a file.
        pub is_lookup: bool,
        /// Whether somebody still wants the answer.
        pub is_wanted: bool,
    }
    /// What a successor has to know of a store.
    pub struct State {
        /// The session, if there is one.
        pub session: Option<client::State>,
        /// What was asked and not answered.
        pub asked: Vec<Asked>,
        /// Files that could not be released yet.
        pub to_release: Vec<u32>,
        /// Answers that nobody gave.
        pub lost: VecDeque<u32>,
        /// Number of the last question.
        pub next: u32,
        /// When a session is to be tried again.
        pub retry: u64,
    }
}

/// The end of the file system.
#[derive(Debug)]
pub struct Store<T> {
    traps: T,
    wire: Wire,
    files: Option<Files<T>>,
    asked: Vec<Asked>,
    /// Files that could not be released yet.
    to_release: Vec<u32>,
    /// Answers that nobody gave.
    lost: VecDeque<u32>,
    next: u32,
    /// When a session is to be tried again.
    retry: u64,
}

/// Nanoseconds until a session that was refused is tried again.
const RETRY: u64 = 1_000_000_000;

impl<T: Traps> Store<T> {
    /// A store behind `wire`, which may have no memory: then there are no files.
    pub fn new(traps: T, wire: Wire) -> Self {
        let (asked, to_release, lost) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { traps, wire, files: None, asked, to_release, lost, next: 0, retry: 0 }
    }

    /// What a successor has to know. To be asked after [`Self::flush`].
    pub fn save(&self) -> State {
        State {
            session: self.files.as_ref().map(Files::save),
            asked: self.asked.clone(),
            to_release: self.to_release.clone(),
            lost: self.lost.clone(),
            next: self.next,
            retry: self.retry,
        }
    }

    /// The store of a predecessor, to be used after [`Self::resume`]; `None` if the wire has no memory for its session.
    pub fn adopted(traps: T, wire: Wire, state: State) -> Option<Self> {
        let State { session, asked, to_release, lost, next, retry } = state;
        let files = match session {
            Some(session) => Some(Files::adopted(traps, wire, &session)?),
            None => None,
        };
        Some(Self { traps, wire, files, asked, to_release, lost, next, retry })
    }

    /// Goes on where the predecessor stopped.
    pub fn resume(&mut self) {
        self.files.iter_mut().for_each(Files::resume);
    }

    /// Whether the system has files at all.
    pub const fn exists(&self) -> bool {
        !self.wire.down.is_empty()
    }

    /// Sees to it that there is a session, if there can be one. True if an earlier one is over: its files are gone.
    pub fn ensure(&mut self, now: u64) -> bool {
        let is_current = self.files.as_ref().is_some_and(Files::is_current);
        if is_current || !self.exists() || (self.files.is_none() && now < self.retry) {
            return false;
        }
        self.lost
            .extend(self.asked.drain(..).filter(|asked| asked.is_wanted).map(|asked| asked.id));
        self.to_release.clear();
        let was_open = self.files.is_some();
        self.files = Files::open(self.traps, self.wire).ok();
        self.retry = now + RETRY;
        was_open
    }

    /// Asks for the file at a path.
    pub fn lookup(&mut self, path: &str) -> Ask {
        self.ask(true, |files, id, buffer| files.lookup(id, buffer, path.as_bytes()))
    }

    /// Asks for a part of a file.
    pub fn read(&mut self, file: u32, offset: u64, length: usize) -> Ask {
        self.ask(false, |files, id, buffer| files.read(id, buffer, file, offset, length as u32))
    }

    /// Asks for entries of a directory.
    pub fn list(&mut self, file: u32, from: u64) -> Ask {
        self.ask(false, |files, id, buffer| files.list(id, buffer, file, from))
    }

    fn ask(
        &mut self,
        is_lookup: bool,
        submit: impl FnOnce(&mut Files<T>, u32, u16) -> bool,
    ) -> Ask {
        let Some(files) = &mut self.files else { return Ask::Never };
        let Some(buffer) = files.take_buffer() else { return Ask::Later };
        self.next = self.next.wrapping_add(1);
        if submit(files, self.next, buffer) {
            let id = self.next;
            self.asked.push(Asked { id, buffer: Some(buffer), is_lookup, is_wanted: true });
            Ask::Asked(id)
        } else {
            files.release_buffer(buffer);
            Ask::Never
        }
    }

    /// Gives up a file.
    pub fn release(&mut self, file: u32) {
        self.to_release.push(file);
        self.release_all();
    }

    fn release_all(&mut self) {
        let Some(files) = &mut self.files else { return };
        while let Some(&file) = self.to_release.last() {
            self.next = self.next.wrapping_add(1);
            if !files.release(self.next, file) {
                return;
            }
            let id = self.next;
            self.asked.push(Asked { id, buffer: None, is_lookup: false, is_wanted: false });
            self.to_release.pop();
        }
    }

    /// Nobody wants the answer to a question any more.
    pub fn forget(&mut self, id: u32) {
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.id == id) {
            asked.is_wanted = false;
        }
        self.lost.retain(|&lost| lost != id);
    }

    /// The next answer that somebody wants; its buffer is to be given to [`Self::free`].
    pub fn answer(&mut self) -> Option<Answer> {
        if let Some(id) = self.lost.pop_front() {
            let (file, length, size) = (0, 0, 0);
            return Some(Answer { id, status: NOT_READY, file, length, size, buffer: u16::MAX });
        }
        loop {
            let complete = self.files.as_mut()?.answer()?;
            let index = self.asked.iter().position(|asked| asked.id == complete.id);
            let Some(asked) = index.map(|index| self.asked.swap_remove(index)) else { continue };
            match asked.buffer {
                Some(buffer) if asked.is_wanted => {
                    return Some(Answer {
                        id: complete.id,
                        status: complete.status,
                        file: complete.file,
                        length: complete.length,
                        size: complete.size,
                        buffer,
                    });
                }
                Some(buffer) => {
                    self.free(buffer);
                    if asked.is_lookup && complete.status == OK {
                        self.release(complete.file);
                    }
                }
                None => debug_assert!(complete.status != INVALID, "a file was released twice"),
            }
            self.release_all();
        }
    }

    /// Gives back the buffer of an answer.
    pub fn free(&mut self, buffer: u16) {
        if let Some(files) = self.files.as_mut().filter(|_| buffer != u16::MAX) {
            files.release_buffer(buffer);
        }
    }

    /// Copies from the data of an answer.
    pub fn copy(&self, buffer: u16, offset: usize, to: &mut [u8]) {
        match &self.files {
            Some(files) => files.copy(buffer, offset, to),
            None => to.fill(0),
        }
    }

    /// The entries in the data of an answer.
    pub fn entries(&self, answer: &Answer) -> Option<Vec<Entry>> {
        self.files.as_ref()?.entries(answer.buffer, answer.length)
    }

    /// Shows what was asked. Says whether there is an answer already.
    #[must_use = "nobody rings for what is there already"]
    pub fn flush(&mut self) -> bool {
        self.files.as_mut().is_some_and(Files::flush)
    }
}

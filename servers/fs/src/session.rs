//! [`Session`]: one client's queue, its open files, and what it waits for.
//!
//! Invariant: a request is answered exactly once, and uses its buffer alone. What a client writes is copied and then judged.

mod swap;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use abi::Traps;
use ipc::Wire;
use ipc::files::{
    BUFFER_BYTES, BUFFERS, Complete, ENTRIES, FULL, INVALID, LIST, LOOKUP, OK, OPEN_FILES,
    PATH_BYTES, QUEUE, READ, RELEASE, Request, SESSION, WRONG_KIND,
};
use shared::queue::Server;
use shared::{Error, Memory, PAGE};

use crate::cache::Cache;
use crate::file::{OpenFile, Place};
use crate::list::Listing;
use crate::lookup::Lookup;
use crate::read::Read;
use crate::step::Stop;
use crate::volume::Volume;

/// Requests of a client that walk directories at the same time.
const WALKERS: usize = 4;

/// What is left to do of a request.
enum Work {
    Lookup(Box<Lookup>),
    Read(Read),
    /// Where the listing is, once it has begun.
    List(Option<Box<Listing>>),
    /// The directory that is to be listed is looked for: a predecessor had found it.
    Find(Box<Lookup>),
    /// Nothing but to say so.
    Refused(u32),
}

/// A request that is not answered.
struct Task {
    request: Request,
    work: Work,
}

impl Task {
    /// Whether it walks a directory.
    const fn walks(&self) -> bool {
        matches!(self.work, Work::Lookup(_) | Work::List(_) | Work::Find(_))
    }
}

/// A client's session.
pub struct Session {
    wire: Wire,
    queue: Server<Request, Complete>,
    files: Vec<Option<OpenFile>>,
    /// How far the directory was listed that was listed last, and its number.
    listing: Option<(u32, Box<Listing>)>,
    tasks: Vec<Task>,
    is_broken: bool,
}

/// What the tasks of all clients share.
pub struct Common<'a> {
    /// The volume.
    pub volume: &'a Volume,
    /// The contents of files.
    pub cache: &'a mut Cache,
    /// How many blocks to fetch at once.
    pub window: u32,
}

impl Session {
    /// Begins session number `number`; no file is open.
    ///
    /// # Errors
    /// As the memory is.
    pub fn open(wire: Wire, number: u32) -> Result<Self, Error> {
        if !wire.down.holds(0, PAGE) {
            return Err(Error::Shape);
        }
        wire.down.fill(0, PAGE, 0);
        let mut queue = Server::open(QUEUE, wire.up, wire.down)?;
        let has_room = queue.up().holds(0, usize::from(BUFFERS) * PATH_BYTES)
            && queue.down().holds(0, usize::from(BUFFERS) * BUFFER_BYTES);
        if !has_room {
            return Err(Error::Shape);
        }
        queue.arm()?;
        wire.down.store_u32_release(SESSION, number);
        let (files, tasks) = (Vec::new(), Vec::new());
        Ok(Self { wire, queue, files, listing: None, tasks, is_broken: false })
    }

    /// Tells a client, before it opens a session, that there is none.
    pub fn none(wire: &Wire) {
        if wire.down.holds(0, PAGE) {
            wire.down.store_u32_release(SESSION, 0);
        }
    }

    /// Whether its memory contradicts itself.
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Requests that are not answered.
    pub const fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Takes what the client asks, at most a queue's worth. Says whether there may be more.
    pub fn take(&mut self) -> bool {
        for _ in 0..ENTRIES {
            let taken = self.queue.take();
            let Some(request) = self.note(taken).flatten() else { return false };
            let work = self.judge(&request).unwrap_or_else(Work::Refused);
            self.tasks.push(Task { request, work });
        }
        true
    }

    /// What a request asks for, or why it is refused.
    fn judge(&mut self, request: &Request) -> Result<Work, u32> {
        let uses_buffer = request.kind != RELEASE;
        let is_taken = self
            .tasks
            .iter()
            .any(|task| task.request.kind != RELEASE && task.request.buffer == request.buffer);
        if uses_buffer && (request.buffer >= BUFFERS || is_taken) {
            return Err(INVALID);
        }
        match request.kind {
            LOOKUP => self.path(request).map(|path| Work::Lookup(Box::new(Lookup::new(&path)))),
            READ if request.length as usize <= BUFFER_BYTES => {
                let (offset, length) = (request.offset, u64::from(request.length));
                self.file(request.file).map(|_| Work::Read(Read { offset, length, done: 0 }))
            }
            LIST if self.file(request.file)?.is_directory() => Ok(Work::List(None)),
            LIST => Err(WRONG_KIND),
            RELEASE => {
                let file = self.files.get_mut(request.file as usize);
                let is_open = file.and_then(Option::take).is_some();
                self.listing.take_if(|(listed, _)| *listed == request.file);
                Err(if is_open { OK } else { INVALID })
            }
            _ => Err(INVALID),
        }
    }

    fn path(&self, request: &Request) -> Result<String, u32> {
        let length = request.length as usize;
        if length > PATH_BYTES {
            return Err(INVALID);
        }
        let mut bytes = alloc::vec![0; length];
        self.queue.up().copy_from(usize::from(request.buffer) * PATH_BYTES, &mut bytes);
        String::from_utf8(bytes).map_err(|_| INVALID)
    }

    fn file(&mut self, number: u32) -> Result<&mut OpenFile, u32> {
        self.files.get_mut(number as usize).and_then(Option::as_mut).ok_or(INVALID)
    }

    /// Answers everything with `status`: there is no volume.
    pub fn refuse(&mut self, status: u32) {
        for task in core::mem::take(&mut self.tasks) {
            let status = match task.work {
                Work::Refused(status) => status,
                _ => status,
            };
            self.answer(&Complete { id: task.request.id, status, ..Complete::default() });
        }
    }

    /// Goes on with each task once; `stopped` gets why one did not end, and gives the status if it ends for that.
    /// Of those that walk directories, and hold a cluster of one meanwhile, only the first few go on; says whether one that did
    /// not can go on now.
    pub fn step(
        &mut self,
        common: &mut Common<'_>,
        mut stopped: impl FnMut(Stop) -> Option<u32>,
    ) -> bool {
        let (mut index, mut walkers, mut has_ended) = (0, 0, false);
        while index < self.tasks.len() {
            let walks = self.tasks.get(index).is_some_and(Task::walks);
            if walks {
                walkers += 1;
                if walkers > WALKERS {
                    index += 1;
                    continue;
                }
            }
            let mut task = self.tasks.remove(index);
            common.volume.medium().begin();
            let complete = match self.run(&mut task, common) {
                Ok(complete) => complete,
                Err(stop) => match stop.status().or_else(|| stopped(stop)) {
                    Some(status) => Complete { status, ..Complete::default() },
                    None => {
                        self.tasks.insert(index, task);
                        index += 1;
                        continue;
                    }
                },
            };
            has_ended |= walks;
            self.answer(&Complete { id: task.request.id, ..complete });
        }
        has_ended && walkers > WALKERS
    }

    fn run(&mut self, task: &mut Task, common: &mut Common<'_>) -> Result<Complete, Stop> {
        let Request { buffer, file, offset, .. } = task.request;
        let to = self.buffer(buffer).ok_or(Stop::Refused(INVALID))?;
        match &mut task.work {
            Work::Refused(status) => Err(Stop::Refused(*status)),
            Work::Lookup(lookup) => {
                let entry = lookup.step(common.volume)?;
                self.opened(OpenFile::new(entry, &lookup.path)?)
            }
            Work::Read(read) => {
                let file = self.file(file).map_err(Stop::Refused)?;
                let Common { volume, cache, window } = common;
                let length = read.step(volume, file, cache, to, *window)?;
                Ok(Complete { length: length as u32, ..Complete::default() })
            }
            Work::Find(lookup) => {
                let entry = lookup.step(common.volume)?;
                let found = OpenFile::new(entry, &lookup.path)?;
                *self.file(file).map_err(Stop::Refused)? = found;
                task.work = Work::List(None);
                Err(Stop::Again)
            }
            Work::List(None) if let Some(lookup) = self.forgotten(file) => {
                task.work = Work::Find(lookup);
                Err(Stop::Again)
            }
            Work::List(listing) => self.list(listing, file, common.volume, offset, to),
        }
    }

    /// Lists the entries of a directory from number `from` on.
    fn list(
        &mut self,
        listing: &mut Option<Box<Listing>>,
        file: u32,
        volume: &Volume,
        from: u64,
        to: Memory,
    ) -> Result<Complete, Stop> {
        let current = match listing {
            Some(listing) => listing,
            None => listing.insert(self.listing_of(file, volume, from)?),
        };
        let (entries, next) = current.step(volume, from)?;
        let bytes = postcard::to_allocvec(&entries).map_err(|_| Stop::Corrupt)?;
        if bytes.len() > to.len() {
            return Err(Stop::Corrupt);
        }
        to.copy_to(0, &bytes);
        self.listing = listing.take().map(|listing| (file, listing));
        Ok(Complete { length: bytes.len() as u32, size: next, ..Complete::default() })
    }

    /// A listing that can be brought to entry `from`: the last one, or a new one.
    fn listing_of(&mut self, file: u32, volume: &Volume, from: u64) -> Result<Box<Listing>, Stop> {
        match self.listing.take() {
            Some((listed, listing)) if listed == file && listing.can_reach(from) => Ok(listing),
            _ => {
                let entries = match &self.file(file).map_err(Stop::Refused)?.place {
                    Place::Root => volume.entries(None)?,
                    Place::Directory(Some(entry), _) => volume.entries(Some(entry))?,
                    Place::Directory(None, _) => return Err(Stop::Again),
                    Place::File(..) => return Err(Stop::Refused(WRONG_KIND)),
                };
                Ok(Box::new(Listing::new(entries)))
            }
        }
    }

    /// Gives a file a number.
    fn opened(&mut self, file: OpenFile) -> Result<Complete, Stop> {
        let (size, is_directory) = (file.size(), file.is_directory());
        let free = self.files.iter().position(Option::is_none).unwrap_or(self.files.len());
        if free >= OPEN_FILES {
            return Err(Stop::Refused(FULL));
        }
        if free == self.files.len() {
            self.files.push(None);
        }
        if let Some(place) = self.files.get_mut(free) {
            *place = Some(file);
        }
        let (file, length) = (free as u32, u32::from(is_directory));
        Ok(Complete { status: OK, file, length, size, id: 0 })
    }

    /// For each file that is read in sequence: what to fetch next.
    pub fn ahead(&mut self, common: &mut Common<'_>, mut fetch: impl FnMut(crate::step::Need)) {
        for file in self.files.iter_mut().flatten() {
            let position = core::mem::replace(&mut file.next, 0);
            if position == 0 {
                continue;
            }
            common.volume.medium().begin();
            let need =
                crate::read::ahead(common.volume, file, common.cache, position, common.window);
            need.into_iter().for_each(&mut fetch);
        }
    }

    fn buffer(&self, buffer: u16) -> Option<Memory> {
        self.queue.down().part(usize::from(buffer) * BUFFER_BYTES, BUFFER_BYTES)
    }

    fn answer(&mut self, complete: &Complete) {
        let answered = self.queue.answer(complete);
        self.note(answered);
    }

    /// Shows the client what was done, rings it, and asks to be rung. Says whether there is more already.
    pub fn flush(&mut self, traps: &impl Traps) -> bool {
        if self.queue.publish() {
            self.wire.ring(traps);
        }
        let armed = self.queue.arm();
        self.note(armed).unwrap_or_default()
    }

    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        self.is_broken |= result.is_err();
        result.ok()
    }
}

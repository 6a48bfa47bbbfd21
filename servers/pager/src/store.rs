//! The disk behind the pages: requests of one page, each with what it is for.
//!
//! Invariant: a unit's page of the wire's data belongs to one request from its submission to its answer. Requests survive
//! the disk's server: they are submitted again in the next session. A disk that failed once is never believed again.

use abi::{CallError, Status, Traps};
use ipc::Wire;
use ipc::block::{self, Complete, DATA_PAGES, OK, QUEUE, Request, SECTOR};
use shared::queue::Client;
use shared::{Memory, PAGE};

/// Sectors of a page.
const SECTORS: u32 = (PAGE as u64 / SECTOR) as u32;

/// The disk; each request is for a `J`.
#[derive(Debug)]
pub struct Store<T, J> {
    traps: T,
    wire: Wire,
    queue: Option<Client<Request, Complete>>,
    open: [Option<(Request, J)>; DATA_PAGES as usize],
    /// Pages that it must have.
    pages: u64,
    /// The disk lost something, or is too small.
    pub has_failed: bool,
}

impl<T: Traps, J: Copy> Store<T, J> {
    /// A disk of at least so many pages, without a session: the first `flush` begins one.
    pub const fn new(traps: T, wire: Wire, pages: u64) -> Self {
        let open = [None; DATA_PAGES as usize];
        Self { traps, wire, queue: None, open, pages, has_failed: false }
    }

    /// Begins a session, and sends again what is on its way; nothing while the disk is not ready.
    fn open(&mut self) -> Option<()> {
        let mut queue = Client::open(QUEUE, self.wire.up, self.wire.down).ok()?;
        let server = block::Client::new(self.traps, self.wire.handle);
        let (sectors, ..) = match server.open() {
            // Not delivered, because the server is a new one: now it knows us.
            Err(CallError::Status(Status::Reset)) => server.open().ok()?,
            other => other.ok()?,
        };
        // Answers of an earlier session.
        while queue.complete().ok()?.is_some() {}
        let _ = queue.restarted();
        self.open.iter().flatten().for_each(|(request, _)| _ = queue.submit(request));
        self.queue = Some(queue);
        self.has_failed |= sectors / u64::from(SECTORS) < self.pages;
        Some(())
    }

    /// Requests that can still be sent.
    pub fn room(&self) -> usize {
        self.open.iter().filter(|open| open.is_none()).count()
    }

    /// The unit on its way for something.
    pub fn find(&self, is: impl Fn(&J) -> bool) -> Option<usize> {
        self.open.iter().position(|open| open.as_ref().is_some_and(|(_, job)| is(job)))
    }

    /// Everything that is on its way.
    pub fn jobs(&mut self) -> impl Iterator<Item = &mut J> {
        self.open.iter_mut().flatten().map(|(_, job)| job)
    }

    /// What a unit takes to the disk, and what it brought.
    pub fn data(&self, unit: usize) -> (Memory, Memory) {
        let part = |area: Memory| area.part(unit * PAGE, PAGE).unwrap_or_default();
        self.queue.as_ref().map_or_else(Default::default, |it| (part(it.up()), part(it.down())))
    }

    /// Sends a page of the disk there or back, if there is room.
    pub fn send(&mut self, operation: u32, page: usize, job: J) -> Option<usize> {
        let unit = self.open.iter().position(Option::is_none)?;
        let (id, sector) = (unit as u32, page as u64 * u64::from(SECTORS));
        let request = Request { id, operation, sector, sectors: SECTORS, page: id };
        self.queue.as_mut()?.submit(&request).ok()?;
        *self.open.get_mut(unit)? = Some((request, job));
        Some(unit)
    }

    /// The next request that is back: its unit, what it was for, and whether all went well.
    pub fn complete(&mut self) -> Option<(usize, J, bool)> {
        if self.queue.as_mut()?.restarted().ok()?.is_some() {
            self.queue = None;
        }
        let Complete { id, status } = self.queue.as_mut()?.complete().ok()??;
        let (_, job) = self.open.get_mut(id as usize)?.take()?;
        self.has_failed |= status != OK;
        Some((id as usize, job, status == OK))
    }

    /// Shows the disk what was sent, rings it, and asks to be rung. Says whether there is something to be looked at already.
    pub fn flush(&mut self) -> bool {
        if self.queue.is_none() {
            return self.open().is_some();
        }
        let Some(queue) = &mut self.queue else { return false };
        if queue.publish() {
            self.wire.ring(&self.traps);
        }
        queue.arm().unwrap_or(false)
    }
}

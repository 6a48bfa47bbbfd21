//! [`Disk`]: fetches blocks through the queue of a block device.
//!
//! Invariant: a part of the data area belongs to one fetch from its submission to its answer. Fetches survive the device's
//! server: they are submitted again in the next session.

use abi::{CallError, Status, Traps};
use ipc::Wire;
use ipc::block::{self, Complete, DATA_PAGES, OK, QUEUE, READ, REQUEST_PAGES, Request, SECTOR};
use shared::queue::{Client, Error, Kept};

use crate::cache::{BLOCK, Block};
use crate::state;
use crate::step::{Kind, Need};

/// Sectors of a block.
const SECTORS: u64 = BLOCK as u64 / SECTOR;
/// Parts of the data area: as many as hold a request of full size.
const UNITS: u32 = DATA_PAGES / REQUEST_PAGES;

#[derive(Clone, Copy, Debug)]
struct Fetch {
    need: Need,
    unit: u32,
}

/// The disk.
#[derive(Debug)]
pub struct Disk<T> {
    traps: T,
    wire: Wire,
    queue: Option<Client<Request, Complete>>,
    sectors: u64,
    /// By unit.
    fetches: [Option<Fetch>; UNITS as usize],
}

/// What a fetch came to.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// What was asked.
    pub need: Need,
    /// Whether the blocks are there.
    pub is_good: bool,
}

impl<T: Traps> Disk<T> {
    /// A disk without a session.
    pub fn new(traps: T, wire: Wire) -> Self {
        Self { traps, wire, queue: None, sectors: 0, fetches: [None; UNITS as usize] }
    }

    /// That of a predecessor. It is not to be used before [`Self::resume`]. `None` if the wire has not enough memory, or no such
    /// part of the data area.
    pub fn adopted(traps: T, wire: Wire, state: &state::Disk) -> Option<Self> {
        let queue = match state.queue {
            Some((open, peer_epoch)) => {
                let kept = Kept { open, peer_epoch };
                Some(Client::adopted(QUEUE, wire.up, wire.down, kept).ok()?)
            }
            None => None,
        };
        let mut disk = Self { queue, sectors: state.sectors, ..Self::new(traps, wire) };
        for &state::Fetch { unit, is_meta, first, count } in &state.fetches {
            let kind = if is_meta { Kind::Meta } else { Kind::Data };
            let need = Need { kind, first, count };
            *disk.fetches.get_mut(unit as usize)? = Some(Fetch { need, unit });
        }
        Some(disk)
    }

    /// Goes on where the predecessor stopped; if that cannot be, there is no session.
    pub fn resume(&mut self) {
        if self.queue.as_mut().is_some_and(|queue| queue.resume().is_err()) {
            self.queue = None;
        }
    }

    /// What a successor has to know. To be asked after [`Self::flush`].
    pub fn save(&self) -> state::Disk {
        let kept = self.queue.as_ref().map(Client::kept);
        let fetches = self.fetches.iter().flatten().map(|fetch| {
            let Need { kind, first, count } = fetch.need;
            state::Fetch { unit: fetch.unit, is_meta: kind == Kind::Meta, first, count }
        });
        let queue = kept.map(|kept| (kept.open, kept.peer_epoch));
        state::Disk { queue, sectors: self.sectors, fetches: fetches.collect() }
    }

    /// Begins a session; gives the number of bytes.
    ///
    /// # Errors
    /// As the call; [`block::Error::NotReady`] also when the queue's memory is unusable.
    pub fn open(&mut self) -> Result<u64, CallError<block::Error>> {
        const UNUSABLE: CallError<block::Error> = CallError::Refused(block::Error::NotReady);
        self.queue = None;
        let Wire { up, down, .. } = self.wire;
        let mut queue = Client::open(QUEUE, up, down).map_err(|_| UNUSABLE)?;
        let server = block::Client::new(self.traps, self.wire.handle);
        let (sectors, ..) = match server.open() {
            // Not delivered, because the server is a new one: now it knows us.
            Err(CallError::Status(Status::Reset)) => server.open()?,
            other => other?,
        };
        // Answers of an earlier session.
        while queue.complete().map_err(|_| UNUSABLE)?.is_some() {}
        self.sectors = sectors.min(u64::MAX / SECTOR);
        self.queue = Some(queue);
        for unit in 0..UNITS {
            self.submit(unit);
        }
        Ok(self.sectors * SECTOR)
    }

    /// Whether there is a session.
    pub const fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether the device rang.
    pub const fn rang(&self, bits: u64) -> bool {
        self.wire.rang(bits)
    }

    /// Whether something is being fetched.
    pub fn is_busy(&self) -> bool {
        self.fetches.iter().any(Option::is_some)
    }

    /// Whether a block is being fetched.
    pub fn is_fetching(&self, kind: Kind, number: u64) -> bool {
        self.fetches.iter().flatten().any(|fetch| {
            let Need { first, count, .. } = fetch.need;
            fetch.need.kind == kind && (first..first + u64::from(count)).contains(&number)
        })
    }

    /// Gives up all fetches: another disk is there.
    pub fn forget(&mut self) {
        self.fetches = [None; UNITS as usize];
    }

    /// Fetches blocks, at most as many as one request has. False if there is no room now.
    pub fn fetch(&mut self, need: Need) -> bool {
        let Some(unit) = (0..UNITS).find(|&unit| self.slot(unit).is_none()) else { return false };
        let need = Need { count: need.count.clamp(1, REQUEST_PAGES), ..need };
        if let Some(slot) = self.fetches.get_mut(unit as usize) {
            *slot = Some(Fetch { need, unit });
        }
        self.submit(unit);
        true
    }

    /// The next fetch that was answered; `take` gets its blocks, if they are there: a number, and what copies the bytes.
    pub fn complete(
        &mut self,
        mut take: impl FnMut(Kind, u64, &dyn Fn(&mut Block)),
    ) -> Option<Fetched> {
        loop {
            let complete = self.queue.as_mut()?.complete();
            let complete = self.note(complete)??;
            let slot = self.fetches.get_mut(complete.id as usize);
            let Some(Fetch { need, unit }) = slot.and_then(Option::take) else { continue };
            let Some(queue) = &self.queue else { return None };
            let is_good = complete.status == OK;
            for index in 0..if is_good { need.count } else { 0 } {
                let page = (unit * REQUEST_PAGES + index) as usize;
                take(need.kind, need.first + u64::from(index), &|block| {
                    queue.down().copy_from(page * BLOCK, block);
                });
            }
            return Some(Fetched { need, is_good });
        }
    }

    /// Shows the device what was asked, rings it, and asks to be rung. Says whether there is an answer already.
    pub fn flush(&mut self) -> bool {
        let Some(queue) = &mut self.queue else { return false };
        if queue.publish() {
            self.wire.ring(&self.traps);
        }
        let armed = queue.arm();
        self.note(armed).unwrap_or_default()
    }

    fn slot(&self, unit: u32) -> Option<Fetch> {
        self.fetches.get(unit as usize).copied().flatten()
    }

    /// Submits the fetch of a unit, if it has one.
    fn submit(&mut self, unit: u32) {
        let (Some(Fetch { need, .. }), Some(queue)) = (self.slot(unit), &mut self.queue) else {
            return;
        };
        let sector = need.first * SECTORS;
        let sectors = (u64::from(need.count) * SECTORS).min(self.sectors.saturating_sub(sector));
        let request = Request {
            id: unit,
            operation: READ,
            sector,
            sectors: sectors as u32,
            page: unit * REQUEST_PAGES,
        };
        let submitted = queue.submit(&request);
        self.note(submitted);
    }

    /// Ends the session when the queue contradicts itself.
    fn note<R>(&mut self, result: Result<R, Error>) -> Option<R> {
        if result.is_err() {
            self.queue = None;
        }
        result.ok()
    }
}

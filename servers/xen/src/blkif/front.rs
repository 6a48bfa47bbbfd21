//! Requests to a disk: numbered, remembered until answered, and asked again when the backend was lost.
//!
//! Invariant: a request is remembered from `submit` until the response that names it; a response that names none, or
//! another operation, breaks the device. After a reconnect the remembered requests go first, in their order, and nothing
//! new goes out until they are done: a write that is done again cannot undo a later one.
//!
//! For a restart, [`State`] is all there is to keep. Its parts change in this order: a request's shadow is filled, then
//! the ring's `req_prod` rises; a response's shadow is cleared, then `rsp_cons` rises. [`Front::resume`] mends a death
//! in between. Store it after `publish`, and after what `complete` gave has taken effect.

use shared::Memory;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{
    FLUSH, OKAY, PAGE_SECTORS, READ, REQUESTS, Request, Response, SEGMENTS, Segment, UNSUPPORTED,
    WRITE,
};
use crate::{Broken, Refused, ring};

/// A transfer between the disk and pages whose grant references follow each other.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Transfer {
    /// First sector on the disk, in units of 512 bytes.
    pub sector: u64,
    /// How many; 0 for a flush.
    pub sectors: u32,
    /// Grant reference of the first page; the data begins at its start.
    pub grant: u32,
    /// The caller's number for it; comes back when it is done.
    pub tag: u32,
    /// [`READ`], [`WRITE`] or [`FLUSH`].
    pub operation: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// A request that is not done, as it is kept.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Shadow {
    transfer: Transfer,
    /// 0: the entry is free. Else rises with each request.
    order: u32,
    pad: u32,
}

/// What a front end is resumed from.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct State {
    /// Indices of the ring.
    ring: ring::State,
    /// The order of the last request.
    order: u32,
    /// Requests from before the last reconnect that are not done.
    replayed: u32,
    shadow: [Shadow; REQUESTS],
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done.
    Okay,
    /// The backend failed to do it.
    Failed,
    /// The backend does not know the operation.
    Unsupported,
}

/// A request that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// As submitted.
    pub transfer: Transfer,
    /// How it ended.
    pub outcome: Outcome,
}

/// The front end of a disk.
#[derive(Debug)]
pub struct Front {
    ring: ring::Front<Request, Response>,
    order: u32,
    replayed: u32,
    shadow: [Shadow; REQUESTS],
}

impl Front {
    /// A new ring in `page`, which is written over.
    #[must_use]
    pub fn create(page: Memory) -> Self {
        let ring = ring::Front::create(page);
        Self { ring, order: 0, replayed: 0, shadow: Default::default() }
    }

    /// Goes on from `state` with the ring that the backend has had all the time; then publish, and ring the backend.
    ///
    /// # Errors
    /// When the state contradicts itself.
    pub fn resume(page: Memory, state: State) -> Result<Self, Broken> {
        let mut indices = state.ring;
        let in_flight = indices.req_prod.wrapping_sub(indices.rsp_cons);
        let remembered = count(&state.shadow);
        if remembered.wrapping_add(1) == in_flight {
            // Died after the last response took effect, before that was noted.
            indices.rsp_cons = indices.rsp_cons.wrapping_add(1);
        }
        let ring = ring::Front::resume(page, indices);
        if ring.is_broken() || remembered.wrapping_add(1) < in_flight {
            return Err(Broken);
        }
        let State { order, replayed, shadow, .. } = state;
        let mut front = Self { ring, order, replayed, shadow };
        front.push_last(remembered.saturating_sub(in_flight)).map_err(|_| Broken)?;
        Ok(front)
    }

    /// Starts over in a new ring, with the requests of `state` that are not done; then publish, and ring the backend.
    /// Nothing else is taken until they are done.
    ///
    /// # Errors
    /// When the state contradicts itself.
    pub fn reconnect(page: Memory, state: State) -> Result<Self, Broken> {
        let remembered = count(&state.shadow);
        let State { order, shadow, .. } = state;
        let ring = ring::Front::create(page);
        let mut front = Self { ring, order, replayed: remembered, shadow };
        front.push_last(remembered).map_err(|_| Broken)?;
        Ok(front)
    }

    /// What to resume from, or to reconnect with.
    #[must_use]
    pub const fn state(&self) -> State {
        State {
            ring: self.ring.state(),
            order: self.order,
            replayed: self.replayed,
            shadow: self.shadow,
        }
    }

    /// How many requests can be submitted now.
    #[must_use]
    pub const fn free(&self) -> u32 {
        if self.replayed > 0 { 0 } else { self.ring.free() }
    }

    /// How many requests are not done.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        count(&self.shadow)
    }

    /// Queues a request; the backend sees it after [`Self::publish`]. Whether the disk has such sectors is for
    /// [`super::Disk::allows`] to say before.
    ///
    /// # Errors
    /// [`Refused::Invalid`] when the operation is none, or has too many or too few sectors.
    pub fn submit(&mut self, transfer: Transfer) -> Result<(), Refused> {
        if !is_valid(&transfer) {
            return Err(Refused::Invalid);
        }
        if self.ring.is_broken() {
            return Err(Refused::Broken);
        }
        if self.free() == 0 {
            return Err(Refused::Full);
        }
        let order = self.order.wrapping_add(1).max(1);
        let free = self.shadow.iter().position(|shadow| shadow.order == 0).ok_or(Refused::Full)?;
        let shadow = Shadow { transfer, order, pad: 0 };
        self.order = order;
        self.fill(free, shadow);
        self.ring.push(&request(free, &shadow))
    }

    /// Shows the backend what was queued. Says whether to ring it.
    #[must_use = "the backend sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    /// The next request that is done, if one is.
    ///
    /// # Errors
    /// When the response is not to one of our requests.
    pub fn complete(&mut self) -> Result<Option<Done>, Broken> {
        let Some(response) = self.ring.peek()? else { return Ok(None) };
        let Some(done) = self.judge(&response) else { return Err(self.ring.break_down()) };
        self.fill(slot_of(response.id), Shadow::default());
        self.replayed = self.replayed.saturating_sub(1);
        self.ring.advance(1);
        Ok(Some(done))
    }

    /// Asks to be rung when the next request is done. Says whether one is already: then nobody rings.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn arm(&mut self) -> Result<bool, Broken> {
        self.ring.arm()
    }

    /// What `response` says, if it answers a request in flight.
    fn judge(&self, response: &Response) -> Option<Done> {
        let shadow = self.shadow.get(slot_of(response.id))?;
        let is_ours = shadow.order != 0 && response.id == id(slot_of(response.id), shadow);
        if !is_ours || response.operation != shadow.transfer.operation {
            return None;
        }
        let outcome = match response.status {
            OKAY => Outcome::Okay,
            UNSUPPORTED => Outcome::Unsupported,
            _ => Outcome::Failed,
        };
        Some(Done { transfer: shadow.transfer, outcome })
    }

    /// Pushes the last `count` of the remembered requests, in their order.
    fn push_last(&mut self, count: u32) -> Result<(), Refused> {
        for age in (0..count).rev() {
            let (slot, shadow) = self.by_age(age).ok_or(Refused::Invalid)?;
            if !is_valid(&shadow.transfer) {
                return Err(Refused::Invalid);
            }
            self.ring.push(&request(slot, &shadow))?;
        }
        Ok(())
    }

    /// The remembered request that `age` others came after.
    fn by_age(&self, age: u32) -> Option<(usize, Shadow)> {
        let used =
            || self.shadow.iter().copied().enumerate().filter(|(_, shadow)| shadow.order != 0);
        let age_of = |shadow: &Shadow| self.order.wrapping_sub(shadow.order);
        used().find(|(_, shadow)| {
            used().filter(|(_, other)| age_of(other) < age_of(shadow)).count() == age as usize
        })
    }

    fn fill(&mut self, slot: usize, shadow: Shadow) {
        if let Some(entry) = self.shadow.get_mut(slot) {
            *entry = shadow;
        }
    }
}

fn count(shadow: &[Shadow]) -> u32 {
    shadow.iter().map(|shadow| u32::from(shadow.order != 0)).sum()
}

fn is_valid(transfer: &Transfer) -> bool {
    match transfer.operation {
        READ | WRITE => (1..=SEGMENTS as u32 * PAGE_SECTORS).contains(&transfer.sectors),
        FLUSH => transfer.sectors == 0,
        _ => false,
    }
}

/// The number of a request: the order in the upper bits, so that no number comes twice within 2^32 requests.
fn id(slot: usize, shadow: &Shadow) -> u64 {
    u64::from(shadow.order) << 8 | slot as u64
}

fn slot_of(id: u64) -> usize {
    (id & 0xff) as usize
}

fn request(slot: usize, shadow: &Shadow) -> Request {
    let transfer = &shadow.transfer;
    let mut request = Request {
        operation: transfer.operation,
        segments: transfer.sectors.div_ceil(PAGE_SECTORS) as u8,
        id: id(slot, shadow),
        sector: transfer.sector,
        ..Request::default()
    };
    let mut rest = transfer.sectors;
    for (segment, grant) in request.segment.iter_mut().zip(transfer.grant..) {
        if rest == 0 {
            break;
        }
        let here = rest.min(PAGE_SECTORS);
        *segment = Segment { grant, first: 0, last: (here - 1) as u8, pad: 0 };
        rest -= here;
    }
    request
}

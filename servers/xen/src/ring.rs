//! The ring that Xen's split devices share: requests and responses in the same entries (Xen public/io/ring.h).
//!
//! Invariant: the own indices are kept privately and never read back from the page. The backend's index is read once
//! for each look and must not pass what was requested; each response is copied before anyone judges it. Once broken, a
//! ring stays broken.
//!
//! For a restart, [`State`] is all there is to keep: store it after each `publish` and after each `advance`. The
//! order in which a driver keeps its records is: mark the request as in flight, push, publish; and for a response:
//! take its effect, mark the request as done, advance. A death between two steps then shows as one request too many or
//! one too few in flight, and the driver's `resume` mends it.

use core::marker::PhantomData;

use shared::ring::Entry;
use shared::{Memory, full_fence};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Broken, Refused};

/// Bytes before the first entry.
pub(crate) const ENTRIES: usize = 64;
pub(crate) const REQ_PROD: usize = 0;
pub(crate) const REQ_EVENT: usize = 4;
pub(crate) const RSP_PROD: usize = 8;
pub(crate) const RSP_EVENT: usize = 12;

/// How many entries a ring has whose requests are `Request` and responses `Response`: as many as fit after the header,
/// rounded down to a power of two.
#[must_use]
pub const fn size<Request, Response>(bytes: usize) -> u32 {
    let fitting = bytes.saturating_sub(ENTRIES) / slot::<Request, Response>();
    if fitting == 0 { 0 } else { 1 << fitting.ilog2() }
}

/// Bytes of an entry.
pub(crate) const fn slot<Request, Response>() -> usize {
    if size_of::<Request>() > size_of::<Response>() {
        size_of::<Request>()
    } else {
        size_of::<Response>()
    }
}

/// The front end's indices: what a ring is resumed from.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct State {
    /// Requests shown to the backend.
    pub req_prod: u32,
    /// Responses taken.
    pub rsp_cons: u32,
}

/// The front end of a ring.
#[derive(Debug)]
pub struct Front<Request, Response> {
    page: Memory,
    size: u32,
    /// The next entry to fill.
    next: u32,
    state: State,
    /// The backend's index as last seen.
    rsp_prod: u32,
    is_broken: bool,
    entries: PhantomData<(Request, Response)>,
}

impl<Request: Entry, Response: Entry> Front<Request, Response> {
    /// Makes a new ring: the page is written over. To be done before the backend is told of it.
    #[must_use]
    pub fn create(page: Memory) -> Self {
        page.fill(0, page.len(), 0);
        page.store_u32_relaxed(REQ_EVENT, 1);
        page.store_u32_release(RSP_EVENT, 1);
        Self::resume(page, State::default())
    }

    /// Goes on with a ring that the backend has had all the time.
    #[must_use]
    pub fn resume(page: Memory, state: State) -> Self {
        let size = size::<Request, Response>(page.len());
        let is_broken = state.req_prod.wrapping_sub(state.rsp_cons) > size;
        Self {
            page,
            size,
            next: state.req_prod,
            state,
            rsp_prod: state.rsp_cons,
            is_broken,
            entries: PhantomData,
        }
    }

    /// The number of entries.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// What to resume from.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the backend broke the rules.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Marks the ring as broken, for a rule that the layer above checks.
    pub fn break_down(&mut self) -> Broken {
        self.is_broken = true;
        Broken
    }

    /// The position that the next `push` fills.
    #[must_use]
    pub const fn position(&self) -> u32 {
        self.next
    }

    /// How many requests can be pushed.
    #[must_use]
    pub const fn free(&self) -> u32 {
        if self.is_broken { 0 } else { self.size - self.next.wrapping_sub(self.state.rsp_cons) }
    }

    /// Fills the next entry; the backend sees it after [`Self::publish`].
    ///
    /// # Errors
    /// [`Refused::Full`] or [`Refused::Broken`]; nothing was filled.
    pub fn push(&mut self, request: &Request) -> Result<(), Refused> {
        if self.is_broken {
            return Err(Refused::Broken);
        }
        if self.free() == 0 {
            return Err(Refused::Full);
        }
        self.page.write(self.offset(self.next), request);
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Shows the backend what was pushed. Says whether to ring it.
    #[must_use = "the backend sleeps until it is rung"]
    pub fn publish(&mut self) -> bool {
        let old = self.state.req_prod;
        let count = self.next.wrapping_sub(old);
        if count == 0 || self.is_broken {
            return false;
        }
        self.page.store_u32_release(REQ_PROD, self.next);
        self.state.req_prod = self.next;
        full_fence();
        let event = self.page.load_u32_acquire(REQ_EVENT);
        self.next.wrapping_sub(event) < count
    }

    /// How many responses wait. Looks at the backend's index once.
    ///
    /// # Errors
    /// When there are more than requests in flight.
    pub fn waiting(&mut self) -> Result<u32, Broken> {
        let produced = self.page.load_u32_acquire(RSP_PROD);
        let most = self.state.req_prod.wrapping_sub(self.rsp_prod);
        if self.is_broken || produced.wrapping_sub(self.rsp_prod) > most {
            return Err(self.break_down());
        }
        self.rsp_prod = produced;
        Ok(self.seen())
    }

    /// How many responses waited at the last look and were not taken since.
    #[must_use]
    pub const fn seen(&self) -> u32 {
        self.rsp_prod.wrapping_sub(self.state.rsp_cons)
    }

    /// A copy of the next response, if one waits; it stays until [`Self::advance`].
    ///
    /// # Errors
    /// As for [`Self::waiting`].
    pub fn peek(&mut self) -> Result<Option<Response>, Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        if self.seen() == 0 && self.waiting()? == 0 {
            return Ok(None);
        }
        Ok(self.peek_at(0))
    }

    /// A copy of the response `ahead` places after the next, if the last look saw it. A second copy may differ from
    /// the first: judge and use one.
    #[must_use]
    pub fn peek_at(&self, ahead: u32) -> Option<Response> {
        let position = self.state.rsp_cons.wrapping_add(ahead);
        (ahead < self.seen()).then(|| self.page.read(self.offset(position)))
    }

    /// Frees the entries of `count` responses, of those that were seen.
    pub fn advance(&mut self, count: u32) {
        let count = count.min(self.seen());
        self.state.rsp_cons = self.state.rsp_cons.wrapping_add(count);
    }

    /// Asks to be rung at the next response after those that were seen. Says whether it is there already: then nobody
    /// rings.
    ///
    /// # Errors
    /// As for [`Self::waiting`].
    pub fn arm(&mut self) -> Result<bool, Broken> {
        self.arm_after(1)
    }

    /// As [`Self::arm`], at the response that is `count` after those that were seen (Xen public/io/ring.h, `rsp_event`).
    ///
    /// # Errors
    /// As for [`Self::waiting`].
    pub fn arm_after(&mut self, count: u32) -> Result<bool, Broken> {
        let seen = self.rsp_prod;
        self.page.store_u32_release(RSP_EVENT, seen.wrapping_add(count));
        full_fence();
        self.waiting()?;
        Ok(self.rsp_prod.wrapping_sub(seen) >= count)
    }

    fn offset(&self, position: u32) -> usize {
        ENTRIES + (position & (self.size.wrapping_sub(1))) as usize * slot::<Request, Response>()
    }
}

//! The back end of a ring.

use core::marker::PhantomData;

use shared::ring::Entry;
use shared::{Memory, full_fence};

use crate::ring::{ENTRIES, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, size, slot};

/// The back end of a ring, which takes requests and gives responses.
#[derive(Debug)]
pub struct Back<Request, Response> {
    page: Memory,
    req_cons: u32,
    rsp_prod: u32,
    shown: u32,
    entries: PhantomData<(Request, Response)>,
}

impl<Request: Entry, Response: Entry> Back<Request, Response> {
    /// Attaches to a ring that the front end made.
    #[must_use]
    pub fn attach(page: Memory) -> Self {
        Self { page, req_cons: 0, rsp_prod: 0, shown: 0, entries: PhantomData }
    }

    /// The next request, if there is one.
    ///
    /// # Panics
    /// When the front end shows more requests than the ring holds.
    pub fn take(&mut self) -> Option<Request> {
        let produced = self.page.load_u32_acquire(REQ_PROD);
        let open = produced.wrapping_sub(self.rsp_prod);
        assert!(open <= self.size(), "the front end overran the ring");
        if produced == self.req_cons {
            return None;
        }
        let request = self.page.read(self.offset(self.req_cons));
        self.req_cons = self.req_cons.wrapping_add(1);
        Some(request)
    }

    /// Whether a request waits, without taking it.
    #[must_use]
    pub fn has_request(&self) -> bool {
        self.page.load_u32_acquire(REQ_PROD) != self.req_cons
    }

    /// Answers a request; the front end sees it after [`Self::publish`].
    ///
    /// # Panics
    /// When there are more responses than requests: the test's mistake.
    pub fn answer(&mut self, response: &Response) {
        assert_ne!(self.rsp_prod, self.req_cons, "a response without a request");
        self.page.write(self.offset(self.rsp_prod), response);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
    }

    /// Shows the front end what was answered. Says whether to ring it.
    pub fn publish(&mut self) -> bool {
        let count = self.rsp_prod.wrapping_sub(self.shown);
        self.shown = self.rsp_prod;
        self.page.store_u32_release(RSP_PROD, self.rsp_prod);
        full_fence();
        self.rsp_prod.wrapping_sub(self.page.load_u32_acquire(RSP_EVENT)) < count
    }

    /// Asks to be rung at the next request. Says whether there is one already.
    pub fn arm(&mut self) -> bool {
        self.page.store_u32_release(REQ_EVENT, self.req_cons.wrapping_add(1));
        full_fence();
        self.has_request()
    }

    fn size(&self) -> u32 {
        size::<Request, Response>(self.page.len())
    }

    fn offset(&self, position: u32) -> usize {
        ENTRIES + (position & (self.size() - 1)) as usize * slot::<Request, Response>()
    }
}

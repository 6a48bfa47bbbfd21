//! The back end of a disk.

use shared::Memory;
use std::vec;
use std::vec::Vec;

use super::{Back, Grants};
use crate::blkif::{
    ERROR, FLUSH, OKAY, READ, Request, Response, SECTOR, SEGMENTS, Segment, UNSUPPORTED, WRITE,
};

/// The back end of a disk that lies in memory.
#[derive(Debug)]
pub struct Blkback {
    ring: Back<Request, Response>,
    grants: Grants,
    /// What is on the disk.
    pub disk: Vec<u8>,
    /// Requests taken and not done.
    open: Vec<Request>,
    /// Each request that was done, in the order of doing.
    pub done: Vec<Request>,
}

impl Blkback {
    /// Attaches to the ring of a front end.
    #[must_use]
    pub fn attach(ring: Memory, grants: Grants, disk: Vec<u8>) -> Self {
        Self { ring: Back::attach(ring), grants, disk, open: Vec::new(), done: Vec::new() }
    }

    /// How many requests wait.
    pub fn open(&mut self) -> usize {
        while let Some(request) = self.ring.take() {
            self.open.push(request);
        }
        self.ring.arm();
        self.open.len()
    }

    /// Does the waiting request with this number, counted from the oldest, and answers it. Says whether to ring the
    /// front end.
    ///
    /// # Panics
    /// When there is no such request, or it is not as the protocol wants it.
    pub fn serve(&mut self, number: usize) -> bool {
        self.open();
        let request = self.open.remove(number);
        let status = self.perform(&request);
        self.done.push(request);
        let Request { id, operation, .. } = request;
        self.ring.answer(&Response { id, operation, status, ..Response::default() });
        self.ring.publish()
    }

    /// Does all that waits, in order. Says whether to ring the front end.
    pub fn serve_all(&mut self) -> bool {
        let mut ring = false;
        while self.open() > 0 {
            ring |= self.serve(0);
        }
        ring
    }

    /// Answers the oldest request with `response`, whatever it says, and forgets it.
    pub fn answer(&mut self, response: impl FnOnce(&Request) -> Response) -> bool {
        self.open();
        let request = self.open.remove(0);
        self.ring.answer(&response(&request));
        self.ring.publish()
    }

    fn perform(&mut self, request: &Request) -> i16 {
        match request.operation {
            READ | WRITE => self.transfer(request),
            FLUSH => {
                assert_eq!(request.segments, 0, "a flush moves nothing");
                OKAY
            }
            _ => UNSUPPORTED,
        }
    }

    fn transfer(&mut self, request: &Request) -> i16 {
        let count = usize::from(request.segments);
        assert!((1..=SEGMENTS).contains(&count), "{count} segments");
        let mut at = request.sector * u64::from(SECTOR);
        for segment in &request.segment[..count] {
            assert!(segment.first <= segment.last && segment.last < 8);
            let len = u64::from(segment.last - segment.first + 1) * u64::from(SECTOR);
            let Some(range) = self.range(at, len) else { return ERROR };
            self.segment(request.operation, segment, range);
            at += len;
        }
        OKAY
    }

    fn segment(&mut self, operation: u8, segment: &Segment, range: core::ops::Range<usize>) {
        let page = self.grants.page(segment.grant);
        let offset = usize::from(segment.first) * SECTOR as usize;
        if operation == READ {
            page.copy_to(offset, &self.disk[range]);
        } else {
            let mut data = vec![0; range.len()];
            page.copy_from(offset, &mut data);
            self.disk[range].copy_from_slice(&data);
        }
    }

    fn range(&self, at: u64, len: u64) -> Option<core::ops::Range<usize>> {
        let end = at.checked_add(len)?;
        let range = usize::try_from(at).ok()?..usize::try_from(end).ok()?;
        (range.end <= self.disk.len()).then_some(range)
    }
}

//! A disk in memory, for tests on the host: serves `block` over the loopback, and fails where it is told to.
//!
//! Not part of what runs in the domain.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use abi::{Answer, Badge, Call};
use ipc::Wire;
use ipc::block::{
    self, Complete, DATA_PAGES, Error, FAILED, INVALID, OK, QUEUE, READ, REQUEST_PAGES, Request,
    SECTOR,
};
use ipc::loopback::End;
use ipc::serve::Serve;
use shared::PAGE;
use shared::queue::Server;

/// The bit by which a test wakes the disk.
pub const WAKE: u64 = 1 << 40;

#[derive(Default)]
struct State {
    image: Vec<u8>,
    end: Option<End>,
    /// Sectors from the first to the second cannot be read.
    bad: (u64, u64),
    /// The disk answers nothing.
    is_stuck: bool,
    /// The disk is not there.
    is_absent: bool,
    /// The server was started again.
    is_new: bool,
    /// Every request, in order: first sector and number of sectors.
    log: Vec<(u64, u32)>,
}

/// What a test does to the disk.
#[derive(Clone, Default)]
pub struct Control(Arc<Mutex<State>>);

impl Control {
    /// A disk with this content.
    pub fn new(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State { image, ..State::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(end) = self.lock().end {
            end.set_bits(WAKE);
        }
    }

    /// Makes sectors unreadable.
    pub fn spoil(&self, from: u64, to: u64) {
        self.lock().bad = (from, to);
    }

    /// Holds all answers back, or gives them.
    pub fn hold(&self, is_stuck: bool) {
        self.lock().is_stuck = is_stuck;
        self.wake();
    }

    /// Takes the disk away, or brings it.
    pub fn remove(&self, is_absent: bool) {
        self.lock().is_absent = is_absent;
        self.lock().is_new = true;
        self.wake();
    }

    /// Forgets the session and all requests, as a restart of the server does.
    pub fn restart(&self) {
        self.lock().is_new = true;
        self.wake();
    }

    /// Puts another disk in.
    pub fn replace(&self, image: Vec<u8>) {
        self.lock().image = image;
        self.restart();
    }

    /// Gives the disk's memory back; nothing can be read any more.
    pub fn discard(&self) {
        self.lock().image = Vec::new();
    }

    /// The requests so far.
    pub fn log(&self) -> Vec<(u64, u32)> {
        self.lock().log.clone()
    }
}

/// A server of `block`.
pub struct Platter {
    end: End,
    wire: Wire,
    control: Control,
    queue: Option<Server<Request, Complete>>,
    held: VecDeque<Request>,
}

impl Platter {
    /// A disk for the client behind `wire`.
    pub fn new(end: End, wire: Wire, control: Control) -> Self {
        control.lock().end = Some(end);
        Self { end, wire, control, queue: None, held: VecDeque::new() }
    }

    fn turn(&mut self) {
        if core::mem::take(&mut self.control.lock().is_new) {
            self.queue = None;
            self.held.clear();
            self.wire.ring(&self.end);
        }
        let Some(queue) = &mut self.queue else { return };
        while let Ok(Some(request)) = queue.take() {
            self.control.lock().log.push((request.sector, request.sectors));
            self.held.push_back(request);
        }
        if !self.control.lock().is_stuck {
            // The last first: answers come in any order.
            while let Some(request) = self.held.pop_back() {
                self.answer(&request);
            }
        }
        let Some(queue) = &mut self.queue else { return };
        if queue.publish() {
            self.wire.ring(&self.end);
        }
        if queue.arm().unwrap_or(false) {
            self.end.set_bits(WAKE);
        }
    }

    fn answer(&mut self, request: &Request) {
        let state = self.control.lock();
        let Some(queue) = &mut self.queue else { return };
        let (from, to) = (request.sector, request.sector + u64::from(request.sectors));
        let bytes = (from * SECTOR) as usize..(to * SECTOR) as usize;
        let fits = request.operation == READ
            && bytes.len().div_ceil(PAGE) <= REQUEST_PAGES as usize
            && !bytes.is_empty()
            && request.page + bytes.len().div_ceil(PAGE) as u32 <= DATA_PAGES;
        let status = match state.image.get(bytes) {
            _ if from < state.bad.1 && to > state.bad.0 => FAILED,
            Some(data) if fits => {
                queue.down().copy_to(request.page as usize * PAGE, data);
                OK
            }
            _ => INVALID,
        };
        let _ = queue.answer(&Complete { id: request.id, status });
    }
}

impl Serve for Platter {
    fn bits(&mut self, _: u64) {
        self.turn();
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        block::dispatch(self, call)
    }
}

impl block::Server for Platter {
    fn open(&mut self, _: Badge) -> Result<(u64, u32, bool, bool), Error> {
        if self.control.lock().is_absent {
            return Err(Error::NotReady);
        }
        let mut queue =
            Server::open(QUEUE, self.wire.up, self.wire.down).map_err(|_| Error::NotReady)?;
        while let Ok(Some(_)) = queue.take() {
            queue.forget(1);
        }
        let _ = queue.publish();
        let _ = queue.arm();
        self.queue = Some(queue);
        self.held.clear();
        Ok((self.control.lock().image.len() as u64 / SECTOR, 512, true, false))
    }
}

//! [`Pager`]: which page is where, and what a fault leads to. Pages of all servers are numbered in a row, as on the disk.

use alloc::vec;
use alloc::vec::Vec;

use abi::fault::{FaultKind, PASS, RETRY};
use abi::layout::FILLED;
use abi::{Answer, Call, Token, Traps, Word};
use ipc::block::{READ, WRITE};
use ipc::serve::decide;
use shared::{Memory, PAGE};

use crate::store::Store;

/// Bits of a page fault's error code (Intel SDM vol. 3, 4.7).
const WRITES: u64 = 2;
const FETCHES: u64 = 16;

/// What the kernel does for a pager; pages are counted from the beginning of a server's memory.
pub trait Machine {
    /// Maps a page of a server to a frame, or to the image's page of the same number; says whether it could.
    fn map(&mut self, server: u16, page: usize, frame: Option<usize>, writable: bool) -> bool;
    /// Unmaps a page of a server.
    fn unmap(&mut self, server: u16, page: usize);
}

/// Where a page's content is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    /// It was never written; the image's own page is mapped, or nothing.
    Fresh { mapped: bool },
    /// In a frame. If it was not written there, it is also where it came from: on the disk, or fresh.
    Here { frame: usize, written: bool, stored: bool },
    /// On the disk, or on its way there.
    Stored,
    /// On its way from the disk.
    Coming,
}

const FRESH: Page = Page::Fresh { mapped: false };

#[derive(Debug)]
struct Client {
    slot: u16,
    server: u16,
    first: usize,
    pages: usize,
}

/// A fault to be resolved.
#[derive(Clone, Copy, Debug)]
struct Fault {
    token: Token,
    page: usize,
    write: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// The fault that waits for it, and the frame; none: the page is written back.
    read: Option<(Fault, usize)>,
    page: usize,
}

/// The decision about a fault; none yet: the disk is asked. An error: it must be tried again when the disk has answered.
type Verdict = Result<Option<u64>, ()>;

/// The pager.
#[derive(Debug)]
pub struct Pager<M, T> {
    machine: M,
    store: Store<T, Job>,
    frames: Memory,
    image: Memory,
    clients: Vec<Client>,
    pages: Vec<Page>,
    /// By frame: the page in it.
    owners: Vec<Option<usize>>,
    hand: usize,
    waiting: Vec<Fault>,
}

impl<M: Machine, T: Traps> Pager<M, T> {
    /// A pager for servers in these slots, each with so many pages. `frames` and `image` are as the pager sees them.
    pub fn new(
        (machine, store): (M, Store<T, Job>),
        (frames, image): (Memory, Memory),
        slots: impl IntoIterator<Item = (u16, usize)>,
    ) -> Self {
        let mut first = 0;
        let client = |(slot, pages)| {
            first += pages;
            Client { slot, server: 0, first: first - pages, pages }
        };
        let clients: Vec<Client> = slots.into_iter().map(client).collect();
        let pages = vec![FRESH; first];
        let owners = vec![None; frames.len() / PAGE];
        Self { machine, store, frames, image, clients, pages, owners, hand: 0, waiting: vec![] }
    }

    /// A server faulted. The decision, unless the disk is asked first.
    pub fn fault(&mut self, call: &Call) -> Option<Answer> {
        match self.understand(call) {
            Some(fault) if !self.store.has_failed => self.attempt(fault),
            _ => Some(decide(call.token, PASS)),
        }
    }

    /// What a fault asks for, if that is the pager's to give.
    fn understand(&mut self, call: &Call) -> Option<Fault> {
        let [server, address, _, error, _] = call.message.words;
        let kind = FaultKind::from_word(call.message.label);
        let page = usize::try_from(address.checked_sub(FILLED)?).ok()? / PAGE;
        let client = self.clients.iter_mut().find(|it| u32::from(it.slot) == call.badge.bits())?;
        client.server = server as u16;
        let good = kind == Some(FaultKind::Page) && error & FETCHES == 0 && page < client.pages;
        let page = client.first + page;
        good.then_some(Fault { token: call.token, page, write: error & WRITES != 0 })
    }

    fn attempt(&mut self, fault: Fault) -> Option<Answer> {
        let verdict = self.resolve(fault);
        if verdict.is_err() {
            self.waiting.push(fault);
        }
        verdict.ok().flatten().map(|verdict| decide(fault.token, verdict))
    }

    fn resolve(&mut self, fault: Fault) -> Verdict {
        let Fault { page, write, .. } = fault;
        match self.page(page) {
            Page::Here { frame, written: false, .. } if write => {
                self.unmap(page);
                self.fill(fault, frame, false)
            }
            Page::Fresh { mapped: false } if !write && !self.image_of(page).is_empty() => {
                self.set(page, Page::Fresh { mapped: true });
                self.map(page, None, false)
            }
            Page::Fresh { mapped } if write || !mapped => {
                let frame = self.frame().ok_or(())?;
                if mapped {
                    self.unmap(page);
                }
                self.copy(self.image_of(page), self.frame_at(frame));
                self.fill(fault, frame, false)
            }
            Page::Stored => self.fetch(fault),
            // It is there already, and that does not help.
            _ => Ok(Some(PASS)),
        }
    }

    /// Brings a page back that was written back.
    fn fetch(&mut self, fault: Fault) -> Verdict {
        let page = fault.page;
        // One request for this, and one for what has to make room.
        let frame = if self.store.room() < 2 { None } else { self.frame() }.ok_or(())?;
        if let Some(unit) = self.store.find(|job| job.page == page && job.read.is_none()) {
            self.copy(self.store.data(unit).0, self.frame_at(frame));
            return self.fill(fault, frame, true);
        }
        self.store.send(READ, page, Job { read: Some((fault, frame)), page }).ok_or(())?;
        self.own(frame, Some(page));
        self.set(page, Page::Coming);
        Ok(None)
    }

    /// Maps a frame with a page's content for whoever waits for it.
    fn fill(&mut self, fault: Fault, frame: usize, stored: bool) -> Verdict {
        self.own(frame, Some(fault.page));
        self.set(fault.page, Page::Here { frame, written: fault.write, stored });
        self.map(fault.page, Some(frame), fault.write)
    }

    /// A frame that belongs to nobody, taken from somebody if need be; none until the disk has taken something.
    fn frame(&mut self) -> Option<usize> {
        (0..self.owners.len()).find_map(|_| {
            let frame = self.hand;
            self.hand = (frame + 1) % self.owners.len();
            self.evict(frame).then_some(frame)
        })
    }

    /// Takes a frame from the page that is in it; what was written goes to the disk.
    fn evict(&mut self, frame: usize) -> bool {
        let Some(page) = self.owners.get(frame).copied().flatten() else { return true };
        let Page::Here { written, stored, .. } = self.page(page) else { return false };
        if written {
            let busy = self.store.find(|job| job.page == page).is_some();
            let job = Job { read: None, page };
            let Some(unit) = (!busy).then(|| self.store.send(WRITE, page, job)).flatten() else {
                return false;
            };
            self.unmap(page);
            self.copy(self.frame_at(frame), self.store.data(unit).0);
        } else {
            self.unmap(page);
        }
        self.set(page, if written || stored { Page::Stored } else { FRESH });
        self.own(frame, None);
        true
    }

    /// Takes what the disk answered; what is decided now goes to `answer`. To be called after every turn.
    pub fn turn(&mut self, mut answer: impl FnMut(Answer)) {
        while self.store.flush() {
            while let Some((unit, job, good)) = self.store.complete() {
                self.done(unit, job, good).into_iter().for_each(&mut answer);
            }
            for fault in core::mem::take(&mut self.waiting) {
                self.attempt(fault).into_iter().for_each(&mut answer);
            }
        }
    }

    fn done(&mut self, unit: usize, job: Job, good: bool) -> Option<Answer> {
        let (fault, frame) = job.read?;
        if fault.token == Token::NONE {
            self.own(frame, None);
            return None;
        }
        self.copy(self.store.data(unit).1, self.frame_at(frame));
        let filled = if good { self.fill(fault, frame, true) } else { Ok(Some(PASS)) };
        filled.ok().flatten().map(|verdict| decide(fault.token, verdict))
    }

    /// A server is gone, with all that was mapped for it: its pages are fresh for the next one.
    pub fn closed(&mut self, slot: u16) {
        let Some(client) = self.clients.iter().find(|it| it.slot == slot) else { return };
        let own = client.first..client.first + client.pages;
        for page in own.clone() {
            if let Page::Here { frame, .. } = self.page(page) {
                self.own(frame, None);
            }
            self.set(page, FRESH);
        }
        for (fault, _) in self.store.jobs().filter_map(|job| job.read.as_mut()) {
            if own.contains(&fault.page) {
                fault.token = Token::NONE;
            }
        }
        self.waiting.retain(|fault| !own.contains(&fault.page));
    }

    fn page(&self, page: usize) -> Page {
        self.pages.get(page).copied().unwrap_or(Page::Coming)
    }

    fn set(&mut self, page: usize, state: Page) {
        if let Some(place) = self.pages.get_mut(page) {
            *place = state;
        }
    }

    fn own(&mut self, frame: usize, owner: Option<usize>) {
        if let Some(place) = self.owners.get_mut(frame) {
            *place = owner;
        }
    }

    /// The server that a page belongs to, and its number there.
    fn place(&self, page: usize) -> (u16, usize) {
        let client = self.clients.iter().rfind(|client| client.first <= page);
        client.map_or((0, page), |client| (client.server, page - client.first))
    }

    /// Maps a frame, or the image's page.
    fn map(&mut self, page: usize, frame: Option<usize>, writable: bool) -> Verdict {
        let (server, page) = self.place(page);
        let mapped = self.machine.map(server, page, frame, writable);
        Ok(Some(if mapped { RETRY } else { PASS }))
    }

    fn unmap(&mut self, page: usize) {
        let (server, page) = self.place(page);
        self.machine.unmap(server, page);
    }

    fn image_of(&self, page: usize) -> Memory {
        self.image.part(self.place(page).1 * PAGE, PAGE).unwrap_or_default()
    }

    fn frame_at(&self, frame: usize) -> Memory {
        self.frames.part(frame * PAGE, PAGE).unwrap_or_default()
    }

    /// Copies a page; zeros if there is nothing to copy.
    fn copy(&self, from: Memory, to: Memory) {
        let mut page = [0; PAGE];
        if !from.is_empty() {
            from.copy_from(0, &mut page);
        }
        to.copy_to(0, &page);
    }
}

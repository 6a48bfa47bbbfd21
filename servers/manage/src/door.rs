//! [`Door`]: the pages and the event channel of the vchan, from their grant to the world's end.
//!
//! Invariant: the pages are granted at most once at a time; while a program of domain 0 still maps those of an earlier
//! incarnation, it is told to leave and nothing is offered.

use abi::kernel::{port, window};
use abi::{Handle, Traps};
use shared::{Memory, PAGE};
use vchan::{Indices, Server, Shape};

/// The pause before pages that somebody still maps are tried again, in nanoseconds.
const PAUSE: u64 = 200_000_000;

/// What the door is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The event channel.
    pub port: Handle,
    /// The grant references, as many as pages.
    pub window: Handle,
    /// The pages.
    pub pages: Memory,
    /// Their address.
    pub address: u64,
}

ipc::state! {
    /// What the other domain must be told.
    #[derive(Copy)]
    pub struct Offer {
        /// Reference of the first page.
        pub reference: u32,
        /// Number of the event channel.
        pub channel: u32,
    }
}

/// The vchan's pages and event channel.
#[derive(Debug)]
pub(crate) struct Door<T> {
    traps: T,
    setup: Setup,
    shape: Option<Shape>,
    server: Option<Server>,
    /// When to try again.
    retry: Option<u64>,
}

impl<T: Traps> Door<T> {
    pub fn new(traps: T, setup: Setup) -> Self {
        let (left, right) = ipc::vchan::ORDERS;
        Self { traps, setup, shape: Shape::new(left, right), server: None, retry: Some(0) }
    }

    /// That of a predecessor; `None` if the pages are too few.
    pub fn adopted(
        traps: T,
        setup: Setup,
        indices: Option<Indices>,
        retry: Option<u64>,
    ) -> Option<Self> {
        let new = Self::new(traps, setup);
        let server = match indices {
            Some(indices) => Some(Server::adopted(setup.pages, new.shape?, indices)?),
            None => None,
        };
        Some(Self { server, retry, ..new })
    }

    /// The vchan's own indices, while it is offered.
    pub fn indices(&self) -> Option<Indices> {
        self.server.as_ref().map(Server::indices)
    }

    /// The vchan, while it is offered.
    pub const fn server(&mut self) -> Option<&mut Server> {
        self.server.as_mut()
    }

    /// When to look again.
    pub const fn deadline(&self) -> Option<u64> {
        self.retry
    }

    /// Sends the event if that is due.
    pub fn ring(&mut self) {
        if self.server.as_mut().is_some_and(Server::take_due) {
            self.traps.notify(self.setup.port);
        }
    }

    /// The domain goes on elsewhere: nothing that was offered is valid.
    pub fn close(&mut self) {
        self.server = None;
        self.retry = Some(0);
    }

    /// Offers the vchan if it is not and if that is due; gives what to tell then.
    pub fn open(&mut self, now: u64) -> Option<Offer> {
        self.retry.filter(|at| *at <= now)?;
        let offer = self.try_open();
        self.retry = offer.is_none().then(|| now.saturating_add(PAUSE));
        offer
    }

    fn try_open(&mut self) -> Option<Offer> {
        let shape = self.shape?;
        let port = port::Client::new(self.traps, self.setup.port);
        vchan::leave(self.setup.pages);
        let _ = port.close();
        let window = window::Client::new(self.traps, self.setup.window);
        let (pages, written) = (shape.pages() as u32, shape.written() as u32);
        if window.revoke(0, pages) != Ok(0) {
            return None;
        }
        let reference = window.grant(0, self.setup.address, written, false).ok()?;
        let rest = self.setup.address + u64::from(written) * PAGE as u64;
        window.grant(written, rest, pages - written, true).ok()?;
        self.server = Some(Server::create(self.setup.pages, shape, reference)?);
        let channel = port.open().ok()?;
        Some(Offer { reference, channel })
    }
}

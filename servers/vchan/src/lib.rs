//! The server's side of a vchan (Xen public/io/libxenvchan.h): a page of indices, two rings of bytes, one event channel, and
//! a program of another domain at the other end.
//!
//! Invariant: whatever the client writes into the pages, at any time, is read once and judged: at worst the session is
//! [`Broken`], and the next one begins clean. The own indices are kept here and never read back. Nothing is allocated,
//! nothing is waited for.
//!
//! A client that leaves sets its `live` byte to 0 and sends an event, also when it is killed; the same pages and the same
//! event channel then serve the next one. The two notification bytes are only ever stored whole by their own side, or read:
//! the other side changes bits of them with locked instructions, and a bit that is set once too often costs an event, no more.
//!
//! It does not grant, does not bind event channels and writes nothing to XenStore: that is the server that has the pages.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod ring;
mod shape;

use ring::{Reader, Writer};
use shared::{Memory, PAGE, full_fence};

pub use shape::Shape;

/// Offsets of the fields (`struct vchan_interface`).
const LEFT: usize = 0;
const RIGHT: usize = 8;
const LEFT_ORDER: usize = 16;
const RIGHT_ORDER: usize = 18;
const CLIENT_LIVE: usize = 20;
const SERVER_LIVE: usize = 21;
const CLIENT_NOTIFIES: usize = 22;
const SERVER_NOTIFIES: usize = 23;
const GRANTS: usize = 24;

/// `VCHAN_NOTIFY_WRITE` and `VCHAN_NOTIFY_READ`.
const WRITTEN: u8 = 1;
const READ: u8 = 2;

/// `cli_live` before the first client.
const NOT_YET: u8 = 2;

/// The client did what the protocol forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The own indices, which are never read from the page: what a successor of the server has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indices {
    /// Bytes that were taken from the client.
    pub consumed: u32,
    /// Bytes that were written for it.
    pub produced: u32,
}

/// The server's end.
#[derive(Debug)]
pub struct Server {
    page: Memory,
    /// The client writes it.
    left: Reader,
    /// The client reads it.
    right: Writer,
    /// Whether to send the event.
    is_due: bool,
}

/// Tells a client that an earlier server left behind that nobody serves it.
pub fn leave(pages: Memory) {
    if let Some(page) = pages.part(0, PAGE) {
        page.write(SERVER_LIVE, &0u8);
    }
}

impl Server {
    /// A vchan in `pages`, which must be [`Shape::pages`] many, whose first is granted as `reference`, the second as the next
    /// number, and so on; all but those of the right ring for writing too. `None` if the pages are too few.
    #[must_use]
    pub fn create(pages: Memory, shape: Shape, reference: u32) -> Option<Self> {
        let page = pages.part(0, PAGE)?;
        let (left, right) = shape.rings(pages)?;
        page.fill(0, GRANTS, 0);
        page.write(LEFT_ORDER, &shape.left_order().to_le_bytes());
        page.write(RIGHT_ORDER, &shape.right_order().to_le_bytes());
        for (at, reference) in (1..shape.pages()).zip(reference.wrapping_add(1)..) {
            page.store_u32_relaxed(GRANTS + (at - 1) * size_of::<u32>(), reference);
        }
        page.write(CLIENT_LIVE, &NOT_YET);
        let server = Self {
            page,
            left: Reader::at(page, LEFT, left, 0),
            right: Writer::at(page, RIGHT, right, 0),
            is_due: false,
        };
        server.ask();
        server.set_live(true);
        Some(server)
    }

    /// The vchan of a predecessor with these indices; nothing is touched. `None` if the pages are too few.
    #[must_use]
    pub fn adopted(pages: Memory, shape: Shape, indices: Indices) -> Option<Self> {
        let page = pages.part(0, PAGE)?;
        let (left, right) = shape.rings(pages)?;
        Some(Self {
            page,
            left: Reader::at(page, LEFT, left, indices.consumed),
            right: Writer::at(page, RIGHT, right, indices.produced),
            // An event once too often costs the client a look.
            is_due: true,
        })
    }

    /// The own indices.
    #[must_use]
    pub const fn indices(&self) -> Indices {
        Indices { consumed: self.left.index(), produced: self.right.index() }
    }

    /// Whether a client is connected.
    #[must_use]
    pub fn has_client(&self) -> bool {
        self.page.read::<u8>(CLIENT_LIVE) == 1
    }

    /// Tells the own indices once more, as a client begins that may have written already: an earlier one may have changed them.
    pub fn restate(&mut self) {
        self.left.restate();
        self.right.forget();
    }

    /// Forgets what both rings hold: it was an earlier client's.
    pub fn begin(&mut self) {
        self.left.forget();
        self.right.forget();
        self.ask();
        self.set_live(true);
    }

    /// Tells the client that nobody serves it any more.
    pub fn hang_up(&mut self) {
        self.set_live(false);
        self.is_due = true;
    }

    /// Copies what the client wrote into `to`, as much as fits; gives the number of bytes.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Broken> {
        let count = self.left.read(to)?;
        self.done(count, READ);
        Ok(count)
    }

    /// Writes as much of `from` as there is room for; gives the number of bytes.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn write(&mut self, from: &[u8]) -> Result<usize, Broken> {
        let count = self.right.write(from)?;
        self.done(count, WRITTEN);
        Ok(count)
    }

    /// Whether the client has read all that was written.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn is_read(&self) -> Result<bool, Broken> {
        Ok(self.right.unread()? == 0)
    }

    /// Asks for an event when the client reads or writes. To be called before a last look at the rings.
    pub fn ask(&self) {
        self.page.write(CLIENT_NOTIFIES, &(WRITTEN | READ));
        full_fence();
    }

    /// Whether to send the event.
    #[must_use = "the client sleeps until it gets the event"]
    pub fn take_due(&mut self) -> bool {
        core::mem::take(&mut self.is_due)
    }

    fn done(&mut self, count: usize, bit: u8) {
        if count > 0 {
            full_fence();
            self.is_due |= self.page.read::<u8>(SERVER_NOTIFIES) & bit != 0;
        }
    }

    fn set_live(&self, is_live: bool) {
        self.page.write(SERVER_LIVE, &u8::from(is_live));
        full_fence();
    }
}

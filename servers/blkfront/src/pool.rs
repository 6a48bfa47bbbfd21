//! [`Pool`]: where data and ring lie in the wire's memory, and by which grants the backend reaches them.
//!
//! References are counted from the window's first: the client's pages, the server's pages, the ring's page.

use alloc::vec::Vec;

use front::Span;
use ipc::block::{Complete, DATA_PAGES, QUEUE, RING_PAGES, Request};
use shared::{Memory, PAGE};

/// The pages of the wire that the backend gets.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    down: Memory,
    up_address: u64,
    down_address: u64,
}

impl Pool {
    /// References that it needs.
    pub const REFERENCES: u32 = 2 * DATA_PAGES + RING_PAGES;
    /// Reference of the ring's page.
    pub const RING: u32 = 2 * DATA_PAGES;

    /// The pages of a wire whose server's part is `down`, with the parts at these addresses.
    #[must_use]
    pub const fn new(down: Memory, up_address: u64, down_address: u64) -> Self {
        Self { down, up_address, down_address }
    }

    /// What is granted: the backend may only read what is written to the disk.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let up = self.up_address + QUEUE.data::<Request>() as u64;
        let down = self.down_address + QUEUE.data::<Complete>() as u64;
        let pages = DATA_PAGES + RING_PAGES;
        alloc::vec![
            Span { first: 0, address: up, pages: DATA_PAGES, read_only: true },
            Span { first: DATA_PAGES, address: down, pages, read_only: false },
        ]
    }

    /// The ring's page; empty if the wire is too small.
    #[must_use]
    pub fn ring(&self) -> Memory {
        let at = QUEUE.data::<Complete>() + DATA_PAGES as usize * PAGE;
        self.down.part(at, PAGE).unwrap_or_default()
    }

    /// Reference of a page of the client's data.
    #[must_use]
    pub const fn to_disk(page: u32) -> u32 {
        page
    }

    /// Reference of a page of the server's data.
    #[must_use]
    pub const fn from_disk(page: u32) -> u32 {
        DATA_PAGES + page
    }
}

//! [`Pool`]: where buffers and rings lie in the wire's memory, and by which grants the backend reaches them.
//!
//! References are counted from the window's first: pages of buffers to be sent, pages to be filled, the two ring pages.

use alloc::vec::Vec;

use front::Span;
use ipc::nic::{
    Complete, QUEUE, RECEIVE_BUFFERS, RING_PAGES, Submit, TRANSMIT_BUFFERS, TRANSMIT_BYTES,
};
use shared::{Memory, PAGE};

const TRANSMIT_PAGES: u32 = (TRANSMIT_BUFFERS as usize * TRANSMIT_BYTES / PAGE) as u32;
const RECEIVE_PAGES: u32 = RECEIVE_BUFFERS as u32;
const RINGS_FIRST: u32 = TRANSMIT_PAGES + RECEIVE_PAGES;
/// Buffers in a page.
const IN_PAGE: u16 = (PAGE / TRANSMIT_BYTES) as u16;

/// The pages of the wire that the backend gets.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    down: Memory,
    up_address: u64,
    down_address: u64,
}

impl Pool {
    /// References that it needs.
    pub const REFERENCES: u32 = RINGS_FIRST + RING_PAGES;

    /// The pages of a wire whose server's part is `down`, with the parts at these addresses.
    #[must_use]
    pub const fn new(down: Memory, up_address: u64, down_address: u64) -> Self {
        Self { down, up_address, down_address }
    }

    /// What is granted: the backend may only read what is sent.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let up = self.up_address + QUEUE.data::<Submit>() as u64;
        let down = self.down_address + QUEUE.data::<Complete>() as u64;
        let pages = RECEIVE_PAGES + RING_PAGES;
        alloc::vec![
            Span { first: 0, address: up, pages: TRANSMIT_PAGES, read_only: true },
            Span { first: TRANSMIT_PAGES, address: down, pages, read_only: false },
        ]
    }

    /// The page of ring `number`; empty if the wire is too small.
    #[must_use]
    pub fn ring(&self, number: u32) -> Memory {
        let at = QUEUE.data::<Complete>() + (RECEIVE_PAGES + number) as usize * PAGE;
        self.down.part(at, PAGE).unwrap_or_default()
    }

    /// The reference of ring `number`, counted from the window's first.
    #[must_use]
    pub const fn ring_reference(number: u32) -> u32 {
        RINGS_FIRST + number
    }

    /// Reference and offset of a buffer to be sent.
    #[must_use]
    pub const fn transmit(buffer: u16) -> (u32, u16) {
        ((buffer / IN_PAGE) as u32, buffer % IN_PAGE * TRANSMIT_BYTES as u16)
    }

    /// Reference of a page to be filled.
    #[must_use]
    pub const fn receive(buffer: u16) -> u32 {
        TRANSMIT_PAGES + buffer as u32
    }
}

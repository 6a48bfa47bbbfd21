//! [`Kernel`]: the grants, the port and the time, as the kernel keeps them for the driver.
//!
//! Invariant: at most one set of grants and one port exist at a time; [`Kernel::release`] may be called at any time, also
//! for what an earlier incarnation left behind.

use abi::kernel::{own, port, window};
use abi::{Handle, Traps};

use crate::Span;

/// Most pages of one call.
const PAGES: u32 = 32;
/// Bytes of a page.
const PAGE: u64 = abi::layout::PAGE;

/// The driver's kernel handles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel<T> {
    own: own::Client<T>,
    port: port::Client<T>,
    window: window::Client<T>,
    /// References in the window.
    references: u32,
}

impl<T: Traps> Kernel<T> {
    pub const fn new(traps: T, port: Handle, window: Handle, references: u32) -> Self {
        Self {
            own: own::Client::new(traps, Handle::OWN),
            port: port::Client::new(traps, port),
            window: window::Client::new(traps, window),
            references,
        }
    }

    /// Nanoseconds since boot.
    pub fn now(&self) -> u64 {
        self.own.now().unwrap_or_default()
    }

    /// Sets the timer; 0 disarms it.
    pub fn timer(&self, at: u64) {
        let _ = self.own.timer(at);
    }

    /// Closes the port and takes all grants back; says how many pages the backend still has.
    pub fn release(&self) -> u32 {
        let _ = self.port.close();
        let runs = (0..self.references).step_by(PAGES as usize);
        let revoke = |first| self.window.revoke(first, PAGES.min(self.references - first));
        runs.map(|first| revoke(first).unwrap_or_default()).sum()
    }

    /// Grants `spans`; gives the reference of the window's first.
    pub fn grant(&self, spans: &[Span]) -> Option<u32> {
        let mut base = None;
        for span in spans {
            for done in (0..span.pages).step_by(PAGES as usize) {
                let first = span.first + done;
                let address = span.address + u64::from(done) * PAGE;
                let count = PAGES.min(span.pages - done);
                let reference = self.window.grant(first, address, count, span.read_only).ok()?;
                base = Some(reference.wrapping_sub(first));
            }
        }
        base
    }

    /// Opens the port; gives the event channel's number.
    pub fn open(&self) -> Option<u32> {
        self.port.open().ok()
    }
}

//! Back ends for tests on the host: what domain 0 does, done honestly, in the same process.
//!
//! Invariant: they keep to the protocols and complain, by a panic, of a front end that does not. They are for tests
//! alone and are not part of what runs in the domain. A back end that lies is made by writing into its pages, or
//! between any two loads of the front end with [`shared::with_peer`].

mod blkback;
mod console;
mod netback;
mod ring;
mod xenstored;

pub use blkback::Blkback;
pub use console::Terminal;
pub use netback::{Frame, Netback};
pub use ring::Back;
pub use xenstored::Xenstored;

use shared::Memory;
use std::collections::BTreeMap;

/// The pages that a front end granted, by reference.
#[derive(Clone, Debug, Default)]
pub struct Grants(BTreeMap<u32, Memory>);

impl Grants {
    /// Grants each page of `pages`, the first under the reference `base`, and so on.
    pub fn grant(&mut self, base: u32, pages: Memory) {
        for (page, reference) in (0..pages.len() / shared::PAGE).zip(base..) {
            let page = pages.part(page * shared::PAGE, shared::PAGE);
            self.0.insert(reference, page.expect("whole pages"));
        }
    }

    /// Takes a grant back.
    pub fn revoke(&mut self, reference: u32) {
        self.0.remove(&reference);
    }

    /// The page of a grant.
    ///
    /// # Panics
    /// When there is no such grant: the front end named a reference that it has not made.
    #[must_use]
    pub fn page(&self, reference: u32) -> Memory {
        *self.0.get(&reference).unwrap_or_else(|| panic!("grant {reference} was never made"))
    }
}

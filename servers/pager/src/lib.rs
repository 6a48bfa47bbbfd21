//! A pager: fills the memory of the servers that it manages page by page, as they touch it, out of a few frames.
//!
//! A page that was never written is zeros, or the page of a sealed image that all see; its first write makes a copy. When
//! frames run out, one is taken from whoever has it: what was written goes to the disk first.
//!
//! Invariant: a frame belongs to one page or to nobody, and a page's content is in one place: in a frame, in a request on its
//! way to the disk, or on the disk. Two requests for one page are never on their way together.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod pager;
pub mod store;

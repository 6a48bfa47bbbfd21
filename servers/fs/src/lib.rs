//! The file system: files of a FAT12, FAT16 or FAT32 volume, for reading.
//!
//! The crate that knows the format (`hadris-fat`) reads synchronously, but this server never waits: what it reads comes from
//! a cache, and when a block is missing there, the read fails, the block is fetched through the disk's queue, and the step
//! is taken again when it has come. Each step is short and can be repeated. The contents of files go past that crate:
//! from the chain of clusters follows where they lie, and they are fetched in large pieces, ahead of who reads in sequence.
//!
//! Invariant: whatever is on the disk, nothing panics, loops for ever or takes more memory than planned; a request that meets
//! nonsense is answered so. No client's request waits for another client's, except for the disk itself.
//!
//! It hands sessions, open files and requests over to a successor; the cache begins empty there.
//!
//! It does not write, and knows no partitions: the volume begins with the disk.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(xylem_user))]
extern crate std;

mod cache;
mod disk;
mod file;
mod list;
mod lookup;
mod medium;
#[cfg(not(xylem_user))]
pub mod platter;
mod read;
mod server;
mod session;
pub mod state;
mod step;
mod volume;

pub use server::Fs;

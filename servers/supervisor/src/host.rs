//! What the supervisor's logic wants from its main: the time, the two ways to say something, and its memory.

use core::fmt::Arguments;

use ipc::system::WireMemory;
use shared::Memory;

/// The supervisor's surroundings.
pub trait Host {
    /// Nanoseconds since boot.
    fn now(&mut self) -> u64;
    /// Takes the log ring in `memory` into use, whose reader is behind the handle of the need `log`.
    fn open_log(&mut self, memory: WireMemory);
    /// A line for the log.
    fn log(&mut self, line: Arguments<'_>);
    /// A line for the hypervisor's debug console.
    fn debug(&mut self, line: Arguments<'_>);
    /// The [`abi::layout::SCRATCH_PAGES`] pages at [`abi::layout::SCRATCH`].
    fn scratch(&self) -> Memory;
    /// `pages` pages of shared memory at an address of the supervisor's own; empty outside the shared part of the layout.
    fn shared(&self, address: u64, pages: u32) -> Memory;
}

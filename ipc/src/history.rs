//! What happened in the system: channel 3 of the supervisor. The supervisor keeps the last events and the last deaths.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use shared::Memory;

/// Events and deaths are written to the part of the supervisor.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(0, 3);

/// Number of the supervisor's channel.
pub const CHANNEL: u8 = 3;

/// Words of [`Death::registers`].
pub const REGISTERS: usize = 20;

abi::interface! {
    /// What happened, for reading.
    interface "history";
    /// Why it refused.
    error Error {
        /// The shared memory is too small for anything.
        TooLarge = 1,
    }
    /// Writes a list of [`Event`]s, those with this number and later ones as far as they fit, to the start of the shared memory;
    /// returns its length in bytes.
    1 now (retry) fn events(from: u64) -> u32;
    /// The same for [`Death`]s.
    2 now (retry) fn deaths(from: u64) -> u32;
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its number; each event has the next.
    pub number: u64,
    /// When, in nanoseconds since boot.
    pub at: u64,
    /// Name of the slot; empty if it is about the whole system.
    pub server: String,
    /// What happened.
    pub text: String,
}

/// The end of a server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Death {
    /// Its number; each death has the next.
    pub number: u64,
    /// When, in nanoseconds since boot.
    pub at: u64,
    /// Name of the slot.
    pub server: String,
    /// How often it was started before.
    pub incarnation: u32,
    /// How long it lived, in nanoseconds.
    pub age: u64,
    /// Name of its image.
    pub image: String,
    /// Version of its image.
    pub version: String,
    /// SHA-256 of its image.
    pub build: [u8; 32],
    /// Why.
    pub reason: String,
    /// The sets of [`abi::kernel::control`]'s `thread_registers`, one after the other: rip rsp rflags rax rbx, rcx rdx rsi rdi rbp,
    /// r8 to r12, r13 r14 r15 cr2 and the error code.
    pub registers: [u64; REGISTERS],
    /// Where it was: the address of the instruction, then the return addresses of the frames above it.
    pub trace: Vec<u64>,
    /// The last lines that it wrote to its log.
    pub lines: Vec<String>,
}

/// Writes as many of `items` as fit, in order; returns their length in bytes, or `None` if not even an empty list fits.
pub fn write<'a, T: Serialize + Clone + 'a>(
    items: impl Iterator<Item = &'a T>,
    memory: Memory,
) -> Option<u32> {
    let mut list: Vec<T> = items.cloned().collect();
    loop {
        let bytes = postcard::to_allocvec(&list).ok()?;
        if bytes.len() <= memory.len() {
            memory.copy_to(0, &bytes);
            return u32::try_from(bytes.len()).ok();
        }
        list.truncate(list.len() / 2);
    }
}

/// Reads a list of `length` bytes: copies it, then decodes the copy.
pub fn read<T: for<'a> Deserialize<'a>>(memory: Memory, length: u32) -> Option<Vec<T>> {
    let length = length as usize;
    if length > memory.len() {
        return None;
    }
    let mut bytes = alloc::vec![0; length];
    memory.copy_from(0, &mut bytes);
    postcard::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Event, read, write};
    use shared::HostMemory;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn the_oldest_that_fit_are_written() {
        let memory = HostMemory::leak(1);
        let event =
            |number| Event { number, at: 7, server: String::from("x"), text: "y".repeat(90) };
        let events: Vec<Event> = (0..100).map(event).collect();
        let length = write(events.iter(), memory).unwrap();
        let found: Vec<Event> = read(memory, length).unwrap();
        assert!(found.len() >= 20 && events.starts_with(&found), "{}", found.len());
        assert_eq!(read::<Event>(memory, 5000), None);
        assert_eq!(
            read::<Event>(memory, write(events[..3].iter(), memory).unwrap()).unwrap().len(),
            3
        );
    }
}

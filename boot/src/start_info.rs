//! Reads `hvm_start_info` (Xen public/arch-x86/hvm/start_info.h) and what it points to.
//!
//! Version 0 of the record ends before the memory map and is never read beyond that. Everything is copied out; addresses
//! and counts that cannot be read are errors, or (command line, module list) mean that there is none.
//!
//! It knows nothing of Xen's hypercalls: without a memory map the map stays empty, and the caller asks for it elsewhere.

use abi::layout::COMMAND_LINE;
use heapless::Vec;

/// First four bytes of the record.
pub const MAGIC: u32 = 0x336e_c578;
/// Most entries of a memory map that are kept.
pub const MEMORY_ENTRIES: usize = 128;
/// Most modules that are kept.
pub const MODULES: usize = 4;

/// Bytes of one entry of the memory map.
const MEMORY_ENTRY: u64 = 24;
/// Bytes of one entry of the module list.
const MODULE_ENTRY: u64 = 32;

/// What a stretch of memory is: RAM.
pub const KIND_RAM: u32 = 1;

/// One entry of the memory map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryEntry {
    /// First byte.
    pub address: u64,
    /// Number of bytes.
    pub size: u64,
    /// As in an e820 map: 1 RAM, 2 reserved, 3 ACPI, 4 NVS, 5 unusable, …
    pub kind: u32,
}

impl MemoryEntry {
    /// First byte after it.
    pub const fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }
}

/// A file that the loader put into memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Module {
    /// First byte.
    pub address: u64,
    /// Number of bytes.
    pub size: u64,
}

/// What the loader said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StartInfo {
    /// `SIF_*` flags: 1 privileged, 2 initial domain.
    pub flags: u32,
    /// Physical address of ACPI's RSDP, or 0.
    pub rsdp: u64,
    /// The command line, cut at [`COMMAND_LINE`] bytes.
    pub command_line: Vec<u8, COMMAND_LINE>,
    /// The modules, as many as are kept.
    pub modules: Vec<Module, MODULES>,
    /// The memory map; empty if there was none.
    pub memory: Vec<MemoryEntry, MEMORY_ENTRIES>,
}

/// Why the record was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartInfoError {
    /// It, or something that it points to, lies where nothing can be read.
    Unreadable,
    /// It does not begin with [`MAGIC`].
    Magic,
    /// The memory map has more than [`MEMORY_ENTRIES`] entries.
    TooManyEntries,
}

impl StartInfoError {
    /// One line for the console.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "start_info points to memory that cannot be read",
            Self::Magic => "start_info has no magic number: not loaded by a PVH loader?",
            Self::TooManyEntries => "the memory map has too many entries",
        }
    }
}

/// Reads the record at `address`. `read` fills a buffer from a physical address and says whether it could.
///
/// # Errors
/// Everything that [`StartInfoError`] names.
pub fn read(
    address: u64,
    read: impl Fn(u64, &mut [u8]) -> bool,
) -> Result<StartInfo, StartInfoError> {
    let memory = Memory(read);
    if memory.word32(address, 0)? != MAGIC {
        return Err(StartInfoError::Magic);
    }
    let mut info = StartInfo {
        flags: memory.word32(address, 8)?,
        rsdp: memory.word64(address, 32)?,
        ..StartInfo::default()
    };
    memory.command_line(memory.word64(address, 24)?, &mut info.command_line)?;
    let modules = memory.word32(address, 12)?;
    memory.modules(memory.word64(address, 16)?, modules, &mut info.modules)?;
    if memory.word32(address, 4)? >= 1 {
        let entries = memory.word32(address, 48)?;
        memory.map(memory.word64(address, 40)?, entries, &mut info.memory)?;
    }
    Ok(info)
}

/// Physical memory, as far as it can be read.
struct Memory<R>(R);

impl<R: Fn(u64, &mut [u8]) -> bool> Memory<R> {
    fn bytes<const N: usize>(&self, base: u64, offset: u64) -> Result<[u8; N], StartInfoError> {
        let mut bytes = [0; N];
        let address = base.checked_add(offset).ok_or(StartInfoError::Unreadable)?;
        if (self.0)(address, &mut bytes) { Ok(bytes) } else { Err(StartInfoError::Unreadable) }
    }

    fn word32(&self, base: u64, offset: u64) -> Result<u32, StartInfoError> {
        self.bytes(base, offset).map(u32::from_le_bytes)
    }

    fn word64(&self, base: u64, offset: u64) -> Result<u64, StartInfoError> {
        self.bytes(base, offset).map(u64::from_le_bytes)
    }

    fn command_line(
        &self,
        address: u64,
        line: &mut Vec<u8, COMMAND_LINE>,
    ) -> Result<(), StartInfoError> {
        if address == 0 {
            return Ok(());
        }
        for offset in 0.. {
            let [byte] = self.bytes(address, offset)?;
            if byte == 0 || line.push(byte).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn modules(
        &self,
        address: u64,
        count: u32,
        modules: &mut Vec<Module, MODULES>,
    ) -> Result<(), StartInfoError> {
        for i in 0..u64::from(count) {
            let at = i * MODULE_ENTRY;
            let module =
                Module { address: self.word64(address, at)?, size: self.word64(address, at + 8)? };
            if modules.push(module).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn map(
        &self,
        address: u64,
        count: u32,
        map: &mut Vec<MemoryEntry, MEMORY_ENTRIES>,
    ) -> Result<(), StartInfoError> {
        for i in 0..u64::from(count) {
            let at = i * MEMORY_ENTRY;
            let entry = MemoryEntry {
                address: self.word64(address, at)?,
                size: self.word64(address, at + 8)?,
                kind: self.word32(address, at + 16)?,
            };
            map.push(entry).map_err(|_| StartInfoError::TooManyEntries)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAGIC, MODULES, MemoryEntry, Module, StartInfo, StartInfoError, read};

    /// A record at 0x100 with whatever it points to behind it; all that is not written is unreadable.
    struct Sample(Vec<u8>);

    impl Sample {
        const AT: u64 = 0x100;

        fn new(version: u32) -> Self {
            let mut sample = Self(vec![0; 0x100]);
            sample.put32(&[MAGIC, version, 3, 0]);
            sample.put64(&[0, 0, 0xfc00_6000]);
            if version >= 1 {
                sample.put64(&[0, 0]);
            }
            sample
        }

        fn put32(&mut self, words: &[u32]) {
            words.iter().for_each(|word| self.0.extend_from_slice(&word.to_le_bytes()));
        }

        fn put64(&mut self, words: &[u64]) {
            words.iter().for_each(|word| self.0.extend_from_slice(&word.to_le_bytes()));
        }

        /// Makes the field at `offset` point to what comes next.
        fn point(&mut self, offset: usize) {
            let end = self.0.len() as u64;
            self.0[0x100 + offset..][..8].copy_from_slice(&end.to_le_bytes());
        }

        fn set32(&mut self, offset: usize, value: u32) {
            self.0[0x100 + offset..][..4].copy_from_slice(&value.to_le_bytes());
        }

        fn read(&self) -> Result<StartInfo, StartInfoError> {
            read(Self::AT, |address, into| {
                let found = usize::try_from(address)
                    .ok()
                    .and_then(|from| self.0.get(from..from.checked_add(into.len())?));
                found.is_some_and(|bytes| {
                    into.copy_from_slice(bytes);
                    true
                })
            })
        }
    }

    #[test]
    fn version_0_is_not_read_beyond_its_end() {
        let info = Sample::new(0).read().unwrap();
        assert_eq!((info.flags, info.rsdp, info.memory.len()), (3, 0xfc00_6000, 0));
    }

    #[test]
    fn everything_is_copied_out() {
        let mut sample = Sample::new(1);
        sample.point(24);
        sample.0.extend_from_slice(b"upcall-twice console=hvc0\0");
        sample.set32(12, 1);
        sample.point(16);
        sample.put64(&[0x20_0000, 0x1234, 0, 0]);
        sample.set32(48, 2);
        sample.point(40);
        sample.put64(&[0, 0xa0000, 1]);
        sample.put64(&[0xfc00_0000, 0x1000, 4]);
        let info = sample.read().unwrap();
        assert_eq!(info.command_line.as_slice(), b"upcall-twice console=hvc0");
        assert_eq!(info.modules.as_slice(), [Module { address: 0x20_0000, size: 0x1234 }]);
        let second = MemoryEntry { address: 0xfc00_0000, size: 0x1000, kind: 4 };
        assert_eq!((info.memory.len(), info.memory[1]), (2, second));
    }

    #[test]
    fn a_wrong_magic_number_is_refused() {
        let mut sample = Sample::new(1);
        sample.set32(0, MAGIC + 1);
        assert_eq!(sample.read(), Err(StartInfoError::Magic));
    }

    #[test]
    fn a_map_longer_than_memory_is_refused() {
        let mut sample = Sample::new(1);
        sample.set32(48, 3);
        sample.point(40);
        sample.put64(&[0, 0x1000, 1]);
        assert_eq!(sample.read(), Err(StartInfoError::Unreadable));
    }

    #[test]
    fn a_map_with_too_many_entries_is_refused() {
        let mut sample = Sample::new(1);
        sample.set32(48, 129);
        sample.point(40);
        (0..129).for_each(|_| sample.put64(&[0, 0x1000, 1]));
        assert_eq!(sample.read(), Err(StartInfoError::TooManyEntries));
    }

    #[test]
    fn addresses_at_the_end_of_the_world_are_refused() {
        let mut sample = Sample::new(1);
        sample.0[0x100 + 24..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(sample.read(), Err(StartInfoError::Unreadable));
    }

    #[test]
    fn surplus_modules_are_left_out() {
        let mut sample = Sample::new(1);
        sample.set32(12, 9);
        sample.point(16);
        (0..9).for_each(|i| sample.put64(&[i << 12, 1, 0, 0]));
        assert_eq!(sample.read().unwrap().modules.len(), MODULES);
    }
}

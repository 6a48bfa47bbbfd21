//! What a server finds when it starts: its start record, the memory of its wires, its device's page; for the supervisor, the
//! boot page and the boot image.
//!
//! Invariant: the addresses are those that the kernel and the supervisor map by contract (`abi::layout`) before the first
//! instruction, and stay mapped as long as the server lives. What lies there and is not shared is never written again, so
//! it may be referred to.

use abi::layout::{
    BOOT_IMAGE, BootPage, DEVICE, FILLED, FILLED_END, KEEP, PAGE, SCRATCH, SCRATCH_PAGES, SHARED,
    SHARED_END, START,
};
use abi::start::{HEADER, Start, WireMemory};
use abi::wiring::Numbers;
use ipc::Wire;
use ipc::serve::Need;
use shared::Memory;

/// The first instruction of every server: an aligned stack, and the end of the chain of frames.
#[cfg(xylem_user)]
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text._start")]
extern "C" fn _start() -> ! {
    unsafe extern "C" {
        safe fn xylem_main() -> !;
    }
    core::arch::naked_asm!(
        "xor ebp, ebp",
        "and rsp, -16",
        "call {main}",
        "ud2",
        main = sym xylem_main,
    )
}

/// What the kernel tells the supervisor.
#[derive(Clone, Copy, Debug)]
pub struct Boot {
    /// The kernel's command line.
    pub command_line: &'static str,
    /// The boot image, whose header and root the kernel has checked.
    pub image: &'static [u8],
}

/// Prepares heap and log. The macro `main!` calls it once, first.
#[doc(hidden)]
pub fn begin(log: Option<Need>) {
    claim_heap(start().header.heap_pages);
    match log {
        Some(need) if state().is_none() => crate::log::open(&self::need(need)),
        // A successor has no log before it has taken over.
        _ => crate::serve::put_off(log),
    }
}

/// The state that this server is to adopt from its predecessor; `None` if it begins afresh. It is there until the server has
/// taken over.
pub(crate) fn state() -> Option<&'static [u8]> {
    let header = start().header;
    (header.state != 0).then(|| constant(header.state, header.state_bytes as usize))
}

/// Prepares the supervisor's heap. The macro `main!` calls it once, first.
#[doc(hidden)]
pub fn begin_root() {
    let header = abi::image::Header::fields(boot().image);
    claim_heap(header.map_or(0, |header| header.heap_pages));
}

#[cfg(xylem_user)]
fn claim_heap(pages: u32) {
    // SAFETY: called once, before anything is allocated; the loader maps as many pages as it says.
    unsafe { crate::heap::claim(pages) };
}

#[cfg(not(xylem_user))]
fn claim_heap(_: u32) {}

/// This server's start record.
#[must_use]
pub fn start() -> Start<'static> {
    let length = abi::start::length(constant(START, HEADER)).unwrap_or(HEADER);
    match Start::read(constant(START, length)) {
        Some(start) => start,
        None => crate::exit(NO_RECORD),
    }
}

/// Exit code of a server that found no start record.
const NO_RECORD: u64 = 102;

/// The supervisor's boot page and boot image; empty for other servers.
#[must_use]
pub fn boot() -> Boot {
    let page = constant(START, PAGE as usize);
    let word = |at: usize| {
        let bytes = page.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    if page.get(..8) != Some(&BootPage::MAGIC.to_le_bytes()) {
        return Boot { command_line: "", image: &[] };
    }
    let line = BootPage::COMMAND_LINE..BootPage::COMMAND_LINE + word(BootPage::COMMAND_LINE_LENGTH);
    let command_line = page.get(line).and_then(|line| core::str::from_utf8(line).ok());
    Boot {
        command_line: command_line.unwrap_or_default(),
        image: constant(BOOT_IMAGE, word(BootPage::IMAGE_BYTES)),
    }
}

/// How a server begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// Nothing is kept: what [`keep`] gives is zeros, and the devices are closed.
    First,
    /// After a crash or a restart: what was kept, and the devices, are as they were.
    Again,
    /// As the successor of a server that runs, in a swap.
    Successor,
}

/// How this server begins.
#[must_use]
pub fn beginning() -> Beginning {
    match start().header {
        header if header.state != 0 => Beginning::Successor,
        header if header.is_kept => Beginning::Again,
        _ => Beginning::First,
    }
}

/// What this server keeps over a crash (`keep N pages` in its wiring); empty if it keeps nothing. A successor may not write
/// there before it has taken over.
#[must_use]
pub fn keep() -> Memory {
    match start().header.keep_pages {
        0 => Memory::empty(),
        pages => wide(KEEP, pages),
    }
}

/// This server's end of a need.
#[must_use]
pub fn need(need: Need) -> Wire {
    let memory = start().need(need.index).unwrap_or_default();
    wire(need.handle, need.bits, memory)
}

/// This server's end of the wire to its client number `client`.
#[must_use]
pub fn client(numbers: Numbers, client: u16) -> Wire {
    let memory = start().client(client).unwrap_or_default();
    wire(numbers.bell(client), numbers.client_bits(client), memory)
}

/// The ring page that the toolstack made for this server's device (XenStore or console).
#[must_use]
pub fn device_page() -> Memory {
    wide(DEVICE, 1)
}

fn wire(handle: abi::Handle, bits: u64, memory: WireMemory) -> Wire {
    Wire {
        handle,
        bits,
        up: wide(memory.up, memory.up_pages),
        down: wide(memory.down, memory.down_pages),
    }
}

/// Memory in the shared part of the layout, which the supervisor maps for itself; empty if it is not all there.
#[must_use]
pub fn shared(address: u64, pages: u32) -> Memory {
    let end = address.checked_add(u64::from(pages) * PAGE);
    if address >= SHARED && end.is_some_and(|end| end <= SHARED_END) {
        wide(address, pages)
    } else {
        Memory::empty()
    }
}

/// Memory that this server's manager fills as it is touched, from page `first` on; or where a manager has memory of its own
/// regions. Empty if it is not all in the room for it.
#[must_use]
pub fn filled(first: u32, pages: u32) -> Memory {
    let address = FILLED + u64::from(first) * PAGE;
    let end = address + u64::from(pages) * PAGE;
    if end <= FILLED_END { wide(address, pages) } else { Memory::empty() }
}

/// The pages of others that the supervisor maps to fill them.
#[must_use]
pub fn scratch() -> Memory {
    wide(SCRATCH, SCRATCH_PAGES)
}

/// Memory that others may write.
fn wide(address: u64, pages: u32) -> Memory {
    let base = core::ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: these addresses are in parts of the layout where nothing that Rust knows of ever lies, so nothing refers to
    // them but this. The loader maps what the start record names for as long as the server lives; the supervisor maps the
    // rest before it looks. A wrong address is a page fault: the end of this server, not undefined behaviour.
    unsafe { Memory::new(base, pages as usize * PAGE as usize) }
}

/// Memory that nobody writes while the server lives.
fn constant(address: u64, length: usize) -> &'static [u8] {
    let base = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: mapped read only by the loader before the start, for good, and never written afterwards: the start record
    // and the boot page are private to this server, the boot image is sealed. A predecessor's state is mapped until this
    // server takes over, and its owner stands still until then; `serve` keeps no reference for longer.
    unsafe { core::slice::from_raw_parts(base, length) }
}

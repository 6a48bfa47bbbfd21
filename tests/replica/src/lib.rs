//! Servers made of the code of whoever stands in the supervisor's place: the same pages of the boot image, another address space.
//!
//! Such a server has code and constants, a stack and what is mapped for it: no data of its own, no heap, no start record.
#![no_std]
#![forbid(unsafe_code)]

use abi::kernel::control::{Access, Client, Error, REGION_IMAGE, REGIONS_FIXED, SUPERVISOR_SLOT};
use abi::layout::{PAGE, STACK_END};
use abi::{CallError, Handle, Word};
use rt::Trap;

/// What the kernel answers.
pub type Result<T> = core::result::Result<T, CallError<Error>>;

/// The kernel.
#[must_use]
pub fn control() -> Client<Trap> {
    Client::new(Trap, Handle::CONTROL)
}

/// Makes a region, with its memory.
///
/// # Errors
/// As the kernel says.
pub fn region(pages: u32, flags: u32) -> Result<u16> {
    let region = control().region_create(SUPERVISOR_SLOT, pages, flags)?;
    while control().region_extend(region)? != 0 {}
    Ok(region)
}

/// Maps `count` pages of a region from `first` on.
///
/// # Errors
/// As the kernel says.
pub fn map(
    server: u16,
    region: u16,
    address: u64,
    (first, count): (u32, u32),
    access: Access,
) -> Result<()> {
    let mut done = 0;
    while done < count {
        let part = (count - done) | (access.to_word() as u32) << 16;
        let at = address + u64::from(done) * PAGE;
        done += control().map(server, region, at, first + done, part)?;
    }
    Ok(())
}

/// Maps the own code and constants for a server.
///
/// # Errors
/// As the kernel says.
pub fn map_code(server: u16) -> Result<()> {
    let header = abi::image::Header::fields(rt::boot().image).map_err(|_| CallError::Protocol)?;
    for segment in header.segments.iter().flatten() {
        let pages = segment.pages as u32;
        if segment.access == Access::Write {
            // The own data, for the constants in it: the first region that the kernel made.
            map(server, REGIONS_FIXED, segment.address, (0, pages), Access::Read)?;
        } else {
            let first = (segment.offset / PAGE) as u32;
            map(server, REGION_IMAGE, segment.address, (first, pages), segment.access)?;
        }
    }
    Ok(())
}

/// Maps a region of `pages` pages as a server's stack.
///
/// # Errors
/// As the kernel says.
pub fn map_stack(server: u16, region: u16, pages: u32) -> Result<()> {
    map(server, region, STACK_END - u64::from(pages) * PAGE, (0, pages), Access::Write)
}

/// Starts a server, with its argument. As behind a call, the address that a function would return to is pushed.
///
/// # Errors
/// As the kernel says.
pub fn start(server: u16, entry: extern "C" fn(u64) -> !, argument: u64) -> Result<()> {
    control().thread_start(server, entry as usize as u64, STACK_END - 8, argument)
}

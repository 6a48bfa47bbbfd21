//! What is checked before anything of the image runs: that the system table is sound, that it fits the kernel's counts, and
//! that every image is the one that was packed.
//!
//! The kernel has checked the header, and with it the table's digest.

use core::fmt;

use abi::image::{HEADER, Header, ImageError, sha256};
use ipc::system::{DevicePage, Fault, Image, Rights, System};

use crate::kernel::{Refused, text};

/// Why the system is not started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal<'a> {
    /// The header does not decode.
    Header(ImageError),
    /// The table breaks a rule.
    Table(Fault),
    /// There are more objects of a kind than the header says.
    Counts(&'static str),
    /// Two slots would have the same page of the toolstack's.
    Device(&'static str),
    /// The bytes of an image are not those that were packed; its name.
    Digest(&'a str),
    /// An image does not start in its own code; its name.
    Entry(&'a str),
    /// The kernel refused a step; what it was for.
    Kernel(&'a str, Refused),
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => f.write_str(error.text()),
            Self::Table(Fault::Malformed) => f.write_str("the system table cannot be read"),
            Self::Table(Fault::Number(of)) => {
                write!(f, "the system table names something that does not exist: {of}")
            }
            Self::Table(Fault::Outside) => {
                f.write_str("an image or segment lies outside the boot image")
            }
            Self::Table(Fault::Address) => {
                f.write_str("the system table maps memory where it may not")
            }
            Self::Table(Fault::Writers) => f.write_str("two slots would write the same memory"),
            Self::Table(Fault::Priority) => f.write_str("a wire does not go up in priority"),
            Self::Table(Fault::Manager) => f.write_str("a slot is not below its manager"),
            Self::Table(Fault::Handle) => {
                f.write_str("a handle lies outside its table or on another")
            }
            Self::Counts(of) => write!(f, "the boot image has more {of} than its header says"),
            Self::Device(of) => write!(f, "two slots would have the page of {of}"),
            Self::Digest(name) => write!(f, "the image of {name} was changed after packing"),
            Self::Entry(name) => write!(f, "the image of {name} does not start in its own code"),
            Self::Kernel(what, refused) => write!(f, "cannot start {what}: {}", text(*refused)),
        }
    }
}

/// The header and the table of a boot image, checked.
///
/// # Errors
/// The first rule that is broken.
pub fn decode(image: &[u8]) -> Result<(Header, System), Refusal<'static>> {
    let header = Header::fields(image).map_err(Refusal::Header)?;
    let end = (HEADER as u64).saturating_add(header.table_bytes);
    let end = usize::try_from(end).map_err(|_| Refusal::Header(ImageError::Size))?;
    let table = image.get(HEADER..end).ok_or(Refusal::Header(ImageError::Truncated))?;
    let system = System::decode(table, header.image_bytes.min(image.len() as u64))
        .map_err(Refusal::Table)?;
    counts(&header, &system)?;
    devices(&system)?;
    Ok((header, system))
}

/// Whether each of the toolstack's pages goes to one slot at most.
fn devices(system: &System) -> Result<(), Refusal<'static>> {
    for (page, name) in [(DevicePage::Store, "xenstore"), (DevicePage::Console, "console")] {
        if system.slots.iter().filter(|slot| slot.device_page == Some(page)).count() > 1 {
            return Err(Refusal::Device(name));
        }
    }
    Ok(())
}

/// Whether the kernel has made enough objects.
fn counts(header: &Header, system: &System) -> Result<(), Refusal<'static>> {
    let grants = system.windows.iter().map(|window| u64::from(window.references)).sum::<u64>();
    let handles = system.slots.iter().map(|slot| u64::from(slot.handles)).sum::<u64>();
    let made = &header.counts;
    let rules = [
        ("slots", system.slots.len() as u64, made.slots),
        ("servers", system.slots.len() as u64, made.servers),
        ("regions", system.regions.len() as u64, made.regions),
        ("handles", handles, made.handles),
        ("ports", system.ports.len() as u64, made.ports),
        ("windows", system.windows.len() as u64, made.windows),
        ("grants", grants, made.grants),
    ];
    match rules.into_iter().find(|(_, wanted, made)| *wanted > u64::from(*made)) {
        Some((of, ..)) => Err(Refusal::Counts(of)),
        None if system.slots.is_empty() => Err(Refusal::Table(Fault::Number("slot"))),
        None => Ok(()),
    }
}

/// Whether the images that servers are or may be started from are the ones that were packed: all but the supervisor's own,
/// which the kernel has checked.
///
/// # Errors
/// The first one that is not.
pub fn images<'a>(bytes: &[u8], system: &'a System) -> Result<(), Refusal<'a>> {
    let own = system.slots.first().map(|slot| usize::from(slot.image));
    let mut images = system.images.iter().enumerate().filter(|(number, _)| Some(*number) != own);
    images.try_for_each(|(_, image)| check_image(bytes, image))
}

fn check_image<'a>(bytes: &[u8], image: &'a Image) -> Result<(), Refusal<'a>> {
    let packed = part(bytes, image.offset, image.bytes).map(sha256);
    if packed != Some(image.sha256) {
        return Err(Refusal::Digest(&image.name));
    }
    let in_code = image.segments.iter().any(|segment| {
        segment.rights == Rights::Execute
            && image.entry.wrapping_sub(segment.address) < segment.bytes
    });
    if in_code { Ok(()) } else { Err(Refusal::Entry(&image.name)) }
}

/// `length` bytes of the boot image from `offset` on.
#[must_use]
pub fn part(bytes: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let end = offset.checked_add(length)?;
    bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
}

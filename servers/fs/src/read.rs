//! Reads the contents of files: from the data cache, and ahead of who reads in sequence.

use ipc::files::WRONG_KIND;
use shared::Memory;

use crate::cache::{BLOCK, Cache};
use crate::file::{Cursor, OpenFile};
use crate::step::{Kind, Need, Stop};
use crate::volume::Volume;

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// From which byte of the file on.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// How many of them are done.
    pub done: u64,
}

impl Read {
    /// Goes on; the end is the number of bytes, which are in `to` then. `window` is how many blocks to fetch at once.
    pub fn step(
        &mut self,
        volume: &Volume,
        file: &mut OpenFile,
        cache: &mut Cache,
        to: Memory,
        window: u32,
    ) -> Result<u64, Stop> {
        if file.is_directory() {
            return Err(Stop::Refused(WRONG_KIND));
        }
        let length = self.length.min(file.size().saturating_sub(self.offset));
        while self.done < length {
            let position = self.offset + self.done;
            let cursor = file.follow(volume, position)?;
            let (place, left) = locate(volume, cursor, position)?;
            let offset = (place % BLOCK as u64) as usize;
            let count = (length - self.done).min(left).min((BLOCK - offset) as u64);
            let Some(block) = cache.get(place / BLOCK as u64) else {
                return Err(Stop::Wait(run(volume, cursor, position, file.size(), window)?));
            };
            let bytes = block.get(offset..offset + count as usize).unwrap_or_default();
            to.copy_to(self.done as usize, bytes);
            self.done += count;
        }
        let end = self.offset + length;
        if core::mem::replace(&mut file.end, end) == self.offset && end < file.size() {
            file.next = end;
        }
        Ok(length)
    }
}

/// What to fetch for who reads on from `position`, if anything is missing in the half window before it.
pub fn ahead(
    volume: &Volume,
    file: &mut OpenFile,
    cache: &Cache,
    position: u64,
    window: u32,
) -> Option<Need> {
    let probe = position + u64::from(window) * BLOCK as u64 / 2;
    let probe = probe.min(file.size().checked_sub(1)?);
    if probe < position {
        return None;
    }
    let at = file.follow(volume, position).ok()?;
    let mut cursor = at;
    while cursor.index < probe / volume.geometry().cluster {
        cursor = cursor.next(volume).ok()?;
    }
    let (place, _) = locate(volume, cursor, probe).ok()?;
    if cache.has(place / BLOCK as u64) {
        return None;
    }
    run(volume, cursor, probe, file.size(), window).ok()
}

/// Where byte `position` of a file lies on the disk, and how many more of its bytes follow there for sure.
fn locate(volume: &Volume, cursor: Cursor, position: u64) -> Result<(u64, u64), Stop> {
    let size = volume.geometry().cluster;
    let offset = position % size;
    Ok((volume.place(cursor.cluster)? + offset, size - offset))
}

/// The blocks from `position` on that lie side by side on the disk, as far as the chain is known without another fetch.
fn run(
    volume: &Volume,
    mut cursor: Cursor,
    position: u64,
    size: u64,
    window: u32,
) -> Result<Need, Stop> {
    let (place, mut length) = locate(volume, cursor, position)?;
    let first = place / BLOCK as u64;
    let wanted = (u64::from(window) * BLOCK as u64 - place % BLOCK as u64).min(size - position);
    while length < wanted {
        let Ok(next) = cursor.next(volume) else { break };
        if next.cluster != cursor.cluster + 1 || volume.place(next.cluster).is_err() {
            break;
        }
        cursor = next;
        length += volume.geometry().cluster;
    }
    let last = (place + length.min(wanted) - 1) / BLOCK as u64;
    Ok(Need { kind: Kind::Data, first, count: (last - first + 1) as u32 })
}

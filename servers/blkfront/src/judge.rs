//! Whether a client's request makes sense on a disk, and what the backend is asked then.

use ipc::block::{DATA_PAGES, FLUSH, INVALID, READ, REQUEST_PAGES, Request, UNSUPPORTED, WRITE};
use xen::blkif::{self, Disk, PAGE_SECTORS, SEGMENTS, Transfer};

use crate::Pool;

const _: () = assert!(REQUEST_PAGES as usize == SEGMENTS);

/// The transfer that does `request` on `disk`, with the window's first reference.
///
/// # Errors
/// The status with which the request is to be answered.
pub(crate) fn judge(request: &Request, disk: &Disk, reference: u32) -> Result<Transfer, u32> {
    let (operation, page) = match request.operation {
        READ => (blkif::READ, Pool::from_disk(request.page)),
        WRITE if disk.is_read_only => return Err(UNSUPPORTED),
        WRITE => (blkif::WRITE, Pool::to_disk(request.page)),
        FLUSH if !disk.can_flush => return Err(UNSUPPORTED),
        FLUSH => (blkif::FLUSH, 0),
        _ => return Err(UNSUPPORTED),
    };
    let pages = request.sectors.div_ceil(PAGE_SECTORS);
    let has_pages = request.page.checked_add(pages).is_some_and(|end| end <= DATA_PAGES);
    if !has_pages || !disk.allows(operation, request.sector, request.sectors) {
        return Err(INVALID);
    }
    Ok(Transfer {
        sector: request.sector,
        sectors: request.sectors,
        grant: reference + page,
        tag: request.id,
        operation,
        ..Transfer::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = 100;

    fn disk() -> Disk {
        Disk { sectors: 1000, sector_size: 512, is_read_only: false, can_flush: true }
    }

    fn request(operation: u32, sector: u64, sectors: u32, page: u32) -> Request {
        Request { id: 9, operation, sector, sectors, page }
    }

    fn status(operation: u32, sector: u64, sectors: u32, page: u32) -> Option<u32> {
        judge(&request(operation, sector, sectors, page), &disk(), BASE).err()
    }

    #[test]
    fn reads_fill_the_servers_pages_and_writes_take_the_clients() {
        let read = judge(&request(READ, 8, 16, 3), &disk(), BASE).unwrap();
        assert_eq!((read.grant, read.operation, read.tag), (BASE + 64 + 3, 0, 9));
        let write = judge(&request(WRITE, 8, 16, 3), &disk(), BASE).unwrap();
        assert_eq!((write.grant, write.operation), (BASE + 3, 1));
        let flush = judge(&request(FLUSH, 0, 0, 0), &disk(), BASE).unwrap();
        assert_eq!((flush.operation, flush.sectors), (3, 0));
    }

    #[test]
    fn requests_beyond_the_disk_or_the_data_are_invalid() {
        assert_eq!(status(READ, 999, 1, 63), None);
        assert_eq!(status(READ, 999, 2, 0), Some(INVALID));
        assert_eq!(status(READ, u64::MAX, 1, 0), Some(INVALID));
        assert_eq!(status(WRITE, 0, 9, 63), Some(INVALID));
        assert_eq!(status(WRITE, 0, 8, u32::MAX), Some(INVALID));
        assert_eq!(status(READ, 0, 0, 0), Some(INVALID));
        assert_eq!(status(READ, 0, 88, 0), None);
        assert_eq!(status(READ, 0, 89, 0), Some(INVALID));
        assert_eq!(status(READ, 0, u32::MAX, 0), Some(INVALID));
        assert_eq!(status(FLUSH, 0, 1, 0), Some(INVALID));
    }

    #[test]
    fn what_the_disk_cannot_do_is_unsupported() {
        assert_eq!(status(3, 0, 1, 0), Some(UNSUPPORTED));
        let read_only = Disk { is_read_only: true, can_flush: false, ..disk() };
        let status =
            |operation, sectors| judge(&request(operation, 0, sectors, 0), &read_only, BASE).err();
        assert_eq!(status(WRITE, 1), Some(UNSUPPORTED));
        assert_eq!(status(FLUSH, 0), Some(UNSUPPORTED));
        assert_eq!(status(READ, 1), None);
    }

    #[test]
    fn requests_are_aligned_to_the_disks_own_sectors() {
        let disk = Disk { sector_size: 4096, ..disk() };
        assert_eq!(judge(&request(READ, 4, 8, 0), &disk, BASE), Err(INVALID));
        assert!(judge(&request(READ, 8, 8, 0), &disk, BASE).is_ok());
    }
}

//! Writes a whole disk, reads it back, and compares: `scribe: 8192 sectors are as they were written`.
//!
//! Requests have all lengths up to the largest, several are open at the same time, and their answers may come in any order.
//! What is written depends on the place alone ([`word`]), so that others can check the disk too. Requests that a disk must
//! refuse come first. It knows no restart of the driver: that would be told as a failure.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::{CallError, Status, Traps, kernel::control::Shutdown};
use ipc::block::{
    self, Complete, DATA_PAGES, FLUSH, INVALID, OK, QUEUE, READ, REQUEST_PAGES, Request, SECTOR,
    UNSUPPORTED, WRITE,
};
use shared::queue::Client;

ipc::wiring! {
    needs { log: ipc::log, disk: ipc::block, operator: ipc::operator }
    stack 16;
    heap 64;
}

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Parts of the data areas, one for each open request.
const UNITS: u32 = DATA_PAGES / REQUEST_PAGES;
/// Most sectors of a request.
const MOST: u64 = REQUEST_PAGES as u64 * PAGE / SECTOR;

/// The word at a place of the disk, given in words of 8 bytes (a step of SplitMix64).
const fn word(place: u64) -> u64 {
    let mut z = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The disk, and the requests that are open.
struct Disk {
    queue: Client<Request, Complete>,
    /// Of the open requests, by unit: first sector and number of sectors.
    open: [Option<(u64, u64)>; UNITS as usize],
    /// Sectors that differ from what was written, or could not be moved.
    wrong: u64,
}

impl Disk {
    /// Begins a session; gives the number of sectors too.
    fn begin() -> Option<(Self, u64)> {
        let wire = rt::need(wiring::disk);
        let mut queue = Client::open(QUEUE, wire.up, wire.down).ok()?;
        let server = block::Client::new(rt::Trap, wire.handle);
        let sectors = loop {
            match server.open() {
                Ok((sectors, _, false, _)) => break sectors,
                Ok(_) => return None,
                Err(CallError::Refused(_)) => {
                    rt::Trap.reply_wait(None);
                }
                Err(CallError::Status(Status::Reset)) => {}
                Err(_) => return None,
            }
        };
        while queue.complete().ok()?.is_some() {}
        Some((Self { queue, open: [None; UNITS as usize], wrong: 0 }, sectors))
    }

    /// Submits a request.
    fn submit(&mut self, id: u32, operation: u32, sector: u64, sectors: u64) {
        let page = id * REQUEST_PAGES;
        let request = Request { id, operation, sector, sectors: sectors as u32, page };
        let _ = self.queue.submit(&request);
    }

    /// Waits for the next answer.
    fn answer(&mut self) -> Option<Complete> {
        loop {
            if let Some(complete) = self.queue.complete().ok()? {
                return Some(complete);
            }
            if self.queue.publish() {
                rt::need(wiring::disk).ring(&rt::Trap);
            }
            if !self.queue.arm().ok()? {
                rt::Trap.reply_wait(None);
            }
        }
    }

    /// The status of one request alone.
    fn alone(&mut self, operation: u32, sector: u64, sectors: u64) -> Option<u32> {
        self.submit(0, operation, sector, sectors);
        self.answer().map(|complete| complete.status)
    }

    /// Moves the whole disk, in pieces of changing length.
    fn pass(&mut self, operation: u32, sectors: u64) -> Option<()> {
        let (mut next, mut length) = (0, 1);
        while next < sectors || self.open.iter().any(Option::is_some) {
            let free = self.open.iter().position(Option::is_none);
            if let (Some(unit), true) = (free, next < sectors) {
                length = (length * 7 + 3) % MOST + 1;
                let piece = length.min(sectors - next);
                self.start(unit, operation, (next, piece));
                next += piece;
            } else {
                let complete = self.answer()?;
                self.finish(operation, complete)?;
            }
        }
        Some(())
    }

    fn start(&mut self, unit: usize, operation: u32, (sector, sectors): (u64, u64)) {
        if operation == WRITE {
            let at = unit as u64 * u64::from(REQUEST_PAGES) * PAGE;
            for index in 0..sectors * SECTOR / 8 {
                let value = word(sector * SECTOR / 8 + index);
                self.queue.up().write((at + index * 8) as usize, &value);
            }
        }
        self.submit(unit as u32, operation, sector, sectors);
        if let Some(open) = self.open.get_mut(unit) {
            *open = Some((sector, sectors));
        }
    }

    fn finish(&mut self, operation: u32, complete: Complete) -> Option<()> {
        let (sector, sectors) = self.open.get_mut(complete.id as usize)?.take()?;
        if complete.status != OK {
            self.wrong += sectors;
        } else if operation == READ {
            let at = u64::from(complete.id * REQUEST_PAGES) * PAGE;
            let is_right = |sector: u64, at: u64| {
                (0..SECTOR / 8).all(|index| {
                    let found: u64 = self.queue.down().read((at + index * 8) as usize);
                    found == word(sector * SECTOR / 8 + index)
                })
            };
            let wrong = (0..sectors).filter(|n| !is_right(sector + n, at + n * SECTOR)).count();
            self.wrong += wrong as u64;
        }
        Some(())
    }
}

/// All of it; the sentence that tells how it went.
fn work() -> Option<()> {
    let (mut disk, sectors) = Disk::begin()?;
    let refused = [
        (READ, sectors, 1, INVALID),
        (WRITE, sectors - 1, 2, INVALID),
        (READ, u64::MAX, 1, INVALID),
        (WRITE, 0, MOST + 1, INVALID),
        (9, 0, 1, UNSUPPORTED),
    ];
    for (operation, sector, count, expected) in refused {
        let status = disk.alone(operation, sector, count)?;
        if status != expected {
            rt::log!("scribe: request {operation} of {count} at {sector} had status {status}");
            return None;
        }
    }
    disk.pass(WRITE, sectors)?;
    if disk.alone(FLUSH, 0, 0)? != OK {
        rt::log!("scribe: the flush failed");
        return None;
    }
    disk.pass(READ, sectors)?;
    if disk.wrong == 0 {
        rt::log!("scribe: {sectors} sectors are as they were written");
    } else {
        rt::log!("scribe: {} of {sectors} sectors are wrong", disk.wrong);
    }
    Some(())
}

fn run() -> ! {
    if work().is_none() {
        rt::log!("scribe: gave up");
    }
    rt::timer(rt::clock::now() + 200_000_000);
    while rt::Trap.reply_wait(None).bits & abi::trap::BIT_TIMER == 0 {}
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    let _ = operator.shutdown(Shutdown::Poweroff);
    loop {
        rt::Trap.reply_wait(None);
    }
}

rt::main!(run);

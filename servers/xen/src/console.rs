//! The console ring: text out, keys in (Xen public/io/console.h).
//!
//! The page belongs to this domain and to the console's backend at once, so both ends' indices lie in it. Invariant:
//! the own indices are kept privately; an index of the backend that cannot be makes the console [`Broken`]. Nothing here
//! waits: what does not fit is the caller's to drop or to keep.

use crate::Broken;
use shared::Memory;

const IN: usize = 0;
const IN_SIZE: u32 = 1024;
const OUT: usize = 1024;
const OUT_SIZE: u32 = 2048;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const CONNECTION: usize = 3088;

/// The front end of a console.
#[derive(Debug)]
pub struct Console {
    page: Memory,
    in_cons: u32,
    out_prod: u32,
}

impl Console {
    /// Takes the ring as it is, with what was written before (by the boot loader, the kernel, or a server that died).
    ///
    /// # Errors
    /// When the indices in the page contradict each other.
    pub fn open(page: Memory) -> Result<Self, Broken> {
        let in_cons = page.load_u32_acquire(IN_CONS);
        let out_prod = page.load_u32_acquire(OUT_PROD);
        let console = Self { page, in_cons, out_prod };
        console.room()?;
        console.waiting()?;
        Ok(console)
    }

    /// Whether somebody reads the other end; without a reader the ring fills and stays full.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.page.read::<u8>(CONNECTION) == 0
    }

    /// How many bytes can be written now.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn room(&self) -> Result<usize, Broken> {
        let used = self.out_prod.wrapping_sub(self.page.load_u32_acquire(OUT_CONS));
        Ok(OUT_SIZE.checked_sub(used).ok_or(Broken)? as usize)
    }

    /// How many bytes can be read now.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn waiting(&self) -> Result<usize, Broken> {
        let waiting = self.page.load_u32_acquire(IN_PROD).wrapping_sub(self.in_cons);
        if waiting > IN_SIZE { Err(Broken) } else { Ok(waiting as usize) }
    }

    /// Writes text, each line feed as carriage return and line feed, as much as fits. Gives how many bytes of `text`
    /// were taken; if any, ring the backend.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn write(&mut self, text: &[u8]) -> Result<usize, Broken> {
        let mut room = self.room()?;
        let mut taken = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let body = line.strip_suffix(b"\n").unwrap_or(line);
            let fitting = body.get(..room).unwrap_or(body);
            self.put(fitting);
            room -= fitting.len();
            taken += fitting.len();
            if fitting.len() < body.len() {
                break;
            }
            if body.len() < line.len() {
                if room < 2 {
                    break;
                }
                self.put(b"\r\n");
                room -= 2;
                taken += 1;
            }
        }
        self.page.store_u32_release(OUT_PROD, self.out_prod);
        Ok(taken)
    }

    /// Reads keys into `to`, as many as there are. Gives how many; if any, ring the backend: it may wait for room.
    ///
    /// # Errors
    /// When the backend's index cannot be.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Broken> {
        let len = self.waiting()?.min(to.len());
        let (start, first) = pieces(self.in_cons, IN_SIZE, len);
        let (head, tail) = to.split_at_mut(first);
        self.page.copy_from(IN + start, head);
        self.page.copy_from(IN, tail.get_mut(..len - first).unwrap_or_default());
        self.in_cons = self.in_cons.wrapping_add(len as u32);
        self.page.store_u32_release(IN_CONS, self.in_cons);
        Ok(len)
    }

    /// Copies bytes that fit behind those written so far.
    fn put(&mut self, bytes: &[u8]) {
        let (start, first) = pieces(self.out_prod, OUT_SIZE, bytes.len());
        let (head, tail) = bytes.split_at(first);
        self.page.copy_to(OUT + start, head);
        self.page.copy_to(OUT, tail);
        self.out_prod = self.out_prod.wrapping_add(bytes.len() as u32);
    }
}

/// Where `len` bytes from `position` on lie in a ring of `size`: the start, and how many come before its end.
pub(crate) fn pieces(position: u32, size: u32, len: usize) -> (usize, usize) {
    let start = (position & (size - 1)) as usize;
    (start, len.min(size as usize - start))
}

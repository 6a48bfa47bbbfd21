//! The kernel's control interface in whole steps: each loops over calls that do a bounded number of pages.

use abi::kernel::PAGES_PER_CALL;
use abi::kernel::control::{Access, Client, Error, MADE, REGIONS_FIXED};
use abi::layout::PAGE;
use abi::{CallError, Traps};

/// Why a step failed.
pub type Refused = CallError<Error>;

/// What is wrong, for people.
#[must_use]
pub const fn text(refused: Refused) -> &'static str {
    match refused {
        CallError::Refused(Error::Invalid) => "the kernel knows no such object",
        CallError::Refused(Error::Exhausted) => "no object of that kind is left",
        CallError::Refused(Error::Memory) => "no memory is left",
        CallError::Refused(Error::Mapped) => "something is mapped there already",
        CallError::Refused(Error::Sealed) => "the region is sealed",
        CallError::Refused(Error::Busy) => "the region is in use",
        CallError::Refused(Error::Address) => "the address is not allowed",
        CallError::Refused(Error::Priority) => "a call would not go up in priority",
        CallError::Refused(Error::NotAllowed) => "that is not allowed",
        CallError::Status(_) | CallError::Protocol => "the kernel did not answer",
    }
}

/// The control interface.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<T> {
    /// Its single calls.
    pub control: Client<T>,
}

impl<T: Traps> Kernel<T> {
    /// Through the supervisor's handle.
    pub const fn new(traps: T) -> Self {
        Self { control: Client::new(traps, abi::Handle::CONTROL) }
    }

    /// Makes a region of zeroed pages, which counts for `slot`.
    ///
    /// # Errors
    /// No region or no memory is left, or the slot holds too much; nothing was made.
    pub fn region(&self, slot: u16, pages: u32, flags: u32) -> Result<u16, Refused> {
        let region = self.control.region_create(slot, pages, flags)?;
        let mut missing = pages;
        while missing > 0 {
            match self.control.region_extend(region) {
                Ok(left) if left < missing => missing = left,
                Ok(_) => return Err(self.undo(region, CallError::Refused(Error::Memory))),
                Err(refused) => return Err(self.undo(region, refused)),
            }
        }
        Ok(region)
    }

    fn undo(&self, region: u16, refused: Refused) -> Refused {
        self.free(region);
        refused
    }

    /// Frees a region that nothing maps. One that the kernel will not free stays.
    pub fn free(&self, region: u16) {
        let mut left = u32::MAX;
        while let Ok(now) = self.control.region_free(region)
            && now > 0
            && now < left
        {
            left = now;
        }
    }

    /// Maps `pages` pages of a region, from page `first` on, at `address`.
    ///
    /// # Errors
    /// As the kernel says; some pages may be mapped then.
    pub fn map(
        &self,
        server: u16,
        region: u16,
        address: u64,
        (first, pages): (u32, u32),
        access: Access,
    ) -> Result<(), Refused> {
        let mut done = 0;
        while done < pages {
            let count = (pages - done).min(PAGES_PER_CALL);
            let at = address.saturating_add(u64::from(done) * PAGE);
            let count_access = count | (access as u32) << 16;
            match self.control.map(server, region, at, first.saturating_add(done), count_access)? {
                0 => return Err(CallError::Refused(Error::Memory)),
                mapped => done += mapped.min(count),
            }
        }
        Ok(())
    }

    /// Unmaps `pages` pages from `address` on.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn unmap(&self, server: u16, address: u64, pages: u32) -> Result<(), Refused> {
        let mut done = 0;
        while done < pages {
            let count = (pages - done).min(PAGES_PER_CALL);
            let at = address.saturating_add(u64::from(done) * PAGE);
            match self.control.unmap(server, at, count)? {
                0 => return Err(CallError::Refused(Error::Address)),
                unmapped => done += unmapped.min(count),
            }
        }
        Ok(())
    }

    /// Frees the regions that a manager made for itself; nobody has them mapped any more.
    pub fn free_made(&self, slot: u16, regions: u16) {
        for region in REGIONS_FIXED..regions {
            if let Ok((_, flags, 0, holder)) = self.control.region_info(region)
                && holder == slot
                && flags & MADE != 0
            {
                self.free(region);
            }
        }
    }

    /// Takes a server apart.
    pub fn destroy(&self, server: u16) {
        while self.control.server_destroy(server) == Ok(false) {}
    }

    /// Takes back the grants of a window as far as its peer lets go.
    pub fn reset_window(&self, window: u16) {
        let mut left = u32::MAX;
        while let Ok(now) = self.control.window_reset(window)
            && now > 0
            && now < left
        {
            left = now;
        }
    }
}

//! The kernel, as a driver sees it: time, a port, a window.

use std::collections::{BTreeMap, BTreeSet};

use abi::Badge;
use abi::kernel::{own, port, window};
use shared::{Memory, PAGE};
use xen::fake::Grants;

/// The number of the window's first reference.
const BASE: u32 = 512;

/// What the kernel keeps for a driver.
#[derive(Default)]
pub struct Machine {
    /// The time, in nanoseconds.
    pub now: u64,
    /// What the timer is set to; 0 when it is not.
    pub timer: u64,
    /// Whether the port is open.
    pub is_open: bool,
    /// How often the port was opened.
    pub opened: u32,
    /// The grants there are, by reference.
    pub granted: BTreeMap<u32, (Memory, bool)>,
    /// References that the backend still has mapped: they cannot be taken back.
    pub mapped: BTreeSet<u32>,
    memory: BTreeMap<u64, Memory>,
}

impl Machine {
    /// Maps `memory` at `address`.
    pub fn map(&mut self, address: u64, memory: Memory) {
        for page in 0..memory.len() / PAGE {
            let part = memory.part(page * PAGE, PAGE).expect("whole pages");
            self.memory.insert(address + (page * PAGE) as u64, part);
        }
    }

    /// The grants, for a back end.
    #[must_use]
    pub fn grants(&self) -> Grants {
        let mut grants = Grants::default();
        for (reference, (memory, _)) in &self.granted {
            grants.grant(*reference, *memory);
        }
        grants
    }

    /// The page behind a reference.
    ///
    /// # Panics
    /// When it was not granted.
    #[must_use]
    pub fn page(&self, reference: u32) -> Memory {
        self.granted.get(&reference).expect("the front end granted what it published").0
    }

    /// Whether the backend may only read the page behind a reference.
    #[must_use]
    pub fn is_read_only(&self, reference: u32) -> bool {
        self.granted.get(&reference).is_some_and(|(_, read_only)| *read_only)
    }
}

impl own::Server for Machine {
    fn exit(&mut self, _: Badge, _: u64) -> Result<(), own::Error> {
        Ok(())
    }
    fn timer(&mut self, _: Badge, deadline: u64) -> Result<(), own::Error> {
        self.timer = deadline;
        Ok(())
    }
    fn now(&mut self, _: Badge) -> Result<u64, own::Error> {
        Ok(self.now)
    }
    fn debug(
        &mut self,
        _: Badge,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
    ) -> Result<(), own::Error> {
        Ok(())
    }
    fn pause(&mut self, _: Badge) -> Result<(), own::Error> {
        Ok(())
    }
}

impl port::Server for Machine {
    fn open(&mut self, _: Badge) -> Result<u32, port::Error> {
        if self.is_open {
            return Err(port::Error::Open);
        }
        self.is_open = true;
        self.opened += 1;
        Ok(7 + self.opened)
    }
    fn close(&mut self, _: Badge) -> Result<(), port::Error> {
        let was_open = core::mem::take(&mut self.is_open);
        if was_open { Ok(()) } else { Err(port::Error::Closed) }
    }
    fn hold(&mut self, _: Badge) -> Result<(), port::Error> {
        Ok(())
    }
    fn arm(&mut self, _: Badge, _: u64) -> Result<(), port::Error> {
        Ok(())
    }
}

impl window::Server for Machine {
    fn grant(
        &mut self,
        _: Badge,
        first: u32,
        address: u64,
        count: u32,
        read_only: bool,
    ) -> Result<u32, window::Error> {
        if count > 32 {
            return Err(window::Error::Range);
        }
        for (reference, page) in (BASE + first..).zip(0..count) {
            let address = address + u64::from(page) * PAGE as u64;
            let memory = *self.memory.get(&address).ok_or(window::Error::Page)?;
            if self.granted.insert(reference, (memory, read_only)).is_some() {
                return Err(window::Error::Busy);
            }
        }
        Ok(BASE + first)
    }
    fn revoke(&mut self, _: Badge, first: u32, count: u32) -> Result<u32, window::Error> {
        if count > 32 {
            return Err(window::Error::Range);
        }
        let range = BASE + first..BASE + first + count;
        let mapped = self.mapped.range(range.clone()).count() as u32;
        let keep = |reference: &u32| !range.contains(reference) || self.mapped.contains(reference);
        self.granted.retain(|reference, _| keep(reference));
        Ok(mapped)
    }
    fn extent(&mut self, _: Badge) -> Result<(u32, u32), window::Error> {
        Ok((BASE, u32::MAX))
    }
}

//! Handles: what a server may reach. A server's table is a run of entries of one common array.
//!
//! Kind and rights are the first two bytes, so that one compare of 16 bits finds a wire that may be called and leads to a
//! server of this vCPU. A wire leads from a lower priority to a higher one, always: that is checked when it is installed,
//! and a slot's priority and vCPU do not change.

use abi::Word;
use abi::kernel::control::{Error, HandleKind, MAY_PRINT, SUPERVISOR_SERVER};

use super::Core;
use super::table::{PortId, SlotId, ThreadId, WindowId, clamp};
use super::thread::{Life, Thread};

/// Right: may be called.
pub const CALL: u8 = 1;
/// Right: may be notified.
pub const NOTIFY: u8 = 2;
/// Of a wire that may be called: its slot is on another vCPU.
pub const FAR: u8 = 8;
/// Right (of `Own`): may print on the debug console.
pub const DEBUG: u8 = 4;

/// A handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C, align(16))]
pub struct Handle {
    /// A [`HandleKind`].
    pub kind: u8,
    /// Rights.
    pub rights: u8,
    /// Slot (wire, bell) or object (port, window).
    pub object: u16,
    /// Badge of a wire.
    pub badge: u32,
    /// Bits that a notification sets.
    pub bits: u64,
}

const _: () = assert!(size_of::<Handle>() == 16);

impl Handle {
    /// A handle without badge and bits.
    pub fn new(kind: HandleKind, rights: u8, object: u16) -> Self {
        Self { rights, object, ..Self::default() }.with_kind(kind)
    }

    /// What it leads to.
    pub fn kind(&self) -> HandleKind {
        HandleKind::from_word(u64::from(self.kind)).unwrap_or(HandleKind::Empty)
    }

    /// The same, as another kind.
    pub fn with_kind(self, kind: HandleKind) -> Self {
        let [kind, ..] = kind.to_word().to_le_bytes();
        Self { kind, ..self }
    }
}

/// What a call of `handle_install` says, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Kind of the handle; none if there is no such kind.
    pub kind: Option<HandleKind>,
    /// Slot or object.
    pub object: u16,
    /// Badge.
    pub badge: u32,
}

impl Target {
    /// Takes the word apart.
    pub fn from_word(word: u64) -> Self {
        let [a, b, c, d, badge @ ..] = word.to_le_bytes();
        Self {
            kind: HandleKind::from_word(u64::from(u16::from_le_bytes([a, b]))),
            object: u16::from_le_bytes([c, d]),
            badge: u32::from_le_bytes(badge),
        }
    }
}

impl Core<'_> {
    /// An entry of a thread's table that it reaches; `None` beyond the last of those.
    pub(super) fn handle_mut(&mut self, thread: ThreadId, index: u64) -> Option<&mut Handle> {
        let Thread { handles, handles_count, .. } = self.threads[thread];
        self.handle_at(handles, handles_count, index)
    }

    /// An entry of a thread's table, whether it reaches it or not; `None` beyond its end.
    pub(super) fn held_mut(&mut self, thread: ThreadId, index: u16) -> Option<&mut Handle> {
        let Thread { handles, handles_held, .. } = self.threads[thread];
        self.handle_at(handles, handles_held, u64::from(index))
    }

    /// An entry of a table that begins with entry `first` of the common array and has `count` of them.
    #[inline(always)]
    pub(super) fn handle_at(&mut self, first: u32, count: u16, index: u64) -> Option<&mut Handle> {
        let index = u16::try_from(index).ok().filter(|index| *index < count)?;
        let index = clamp(index, count);
        self.handles.get_mut(usize::try_from(first + u32::from(index)).ok()?)
    }

    /// A copy of an entry of a thread's table.
    pub(super) fn handle(&mut self, thread: ThreadId, index: u16) -> Option<Handle> {
        self.handle_mut(thread, u64::from(index)).copied()
    }

    /// Fills an entry.
    pub(super) fn handle_install(
        &mut self,
        server: ThreadId,
        index: u16,
        target: Target,
        bits: u64,
    ) -> Result<(), Error> {
        let kind = target.kind.ok_or(Error::Invalid)?;
        let rights = self.rights(server, index, kind, target.object, bits)?;
        let bits = if kind == HandleKind::Own { 0 } else { bits };
        let badge = if kind == HandleKind::Wire { target.badge } else { 0 };
        let handle = Handle { badge, bits, ..Handle::new(kind, rights, target.object) };
        *self.held_mut(server, index).ok_or(Error::Invalid)? = handle;
        Ok(())
    }

    /// The rights of a handle that may be installed there.
    fn rights(
        &self,
        server: ThreadId,
        index: u16,
        kind: HandleKind,
        object: u16,
        bits: u64,
    ) -> Result<u8, Error> {
        let only = |good: bool| if good { Ok(()) } else { Err(Error::Invalid) };
        match kind {
            HandleKind::Wire => {
                let slot = self.configured_slot(object)?;
                let (client, to) = (&self.threads[server], &self.slots[slot]);
                let far = if client.vcpu == to.vcpu { 0 } else { FAR };
                let rises = client.priority < to.priority;
                if rises { Ok(CALL | NOTIFY | far) } else { Err(Error::Priority) }
            }
            HandleKind::Bell => self.configured_slot(object).map(|_| NOTIFY),
            HandleKind::Port => {
                only(self.ports.check(object).is_some_and(|_: PortId| true)).map(|()| CALL | NOTIFY)
            }
            HandleKind::Window => {
                only(self.windows.check(object).is_some_and(|_: WindowId| true)).map(|()| CALL)
            }
            HandleKind::Own => {
                only(index == 0 && bits & !MAY_PRINT == 0)?;
                let prints = bits != 0 || server.0 == SUPERVISOR_SERVER;
                Ok(if prints { CALL | DEBUG } else { CALL })
            }
            HandleKind::Control => only(object == self.threads[server].own.0).map(|()| CALL),
            HandleKind::Empty | HandleKind::Stale => Err(Error::Invalid),
        }
    }

    /// A slot that was set up.
    #[inline(never)]
    pub(super) fn configured_slot(&self, raw: u16) -> Result<SlotId, Error> {
        let slot = self.slots.check(raw).ok_or(Error::Invalid)?;
        if self.slots[slot].configured { Ok(slot) } else { Err(Error::Invalid) }
    }

    /// Finds `count` entries in a row that belong to no table.
    pub(super) fn handles_gap(&self, count: u16) -> Option<u32> {
        let mut start = 0_u32;
        // Each round steps over one table, so there are at most as many rounds as tables.
        loop {
            let end = start.checked_add(u32::from(count))?;
            if usize::try_from(end).ok()? > self.handles.len() {
                return None;
            }
            let blocking = self.threads.iter().find(|thread| {
                let last = thread.handles + u32::from(thread.handles_held);
                thread.life != Life::Free && thread.handles < end && start < last
            });
            match blocking {
                Some(thread) => start = thread.handles + u32::from(thread.handles_held),
                None => return Some(start),
            }
        }
    }

    /// Empties a table.
    pub(super) fn handles_clear(&mut self, server: ThreadId) {
        for index in 0..self.threads[server].handles_held {
            if let Some(handle) = self.held_mut(server, index) {
                *handle = Handle::default();
            }
        }
    }
}

//! A machine made of maps: page tables, index pages, channels, grants, a clock that the test turns.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use abi::kernel::control::{Access, PortKind, Shutdown};

use crate::core::hardware::{Frame, Hardware, Refused, TablesExhausted, Vcpu};

/// The model.
#[derive(Debug, Default)]
pub struct Model {
    pub now: u64,
    pub stolen: u64,
    pub timer: Option<u64>,
    pub timers_set: u32,
    pub kicks: Vec<Vcpu>,
    /// How often translation buffers had to be emptied.
    pub flushes: usize,
    pub spaces: BTreeMap<u16, BTreeMap<u64, (Frame, Access)>>,
    /// Spaces whose tables are there: a table for each 2 MiB that was ever mapped, and one at the top.
    pub tables: BTreeMap<u16, BTreeSet<u64>>,
    pub tables_left: usize,
    /// Spaces whose shared memory cannot be written.
    pub read_only: BTreeSet<u16>,
    pub clean: BTreeSet<u32>,
    pub copied: Vec<(Frame, Frame, u16)>,
    pub indexes: BTreeMap<u32, Vec<u32>>,
    pub next_index: u32,
    pub started: BTreeMap<u16, (u64, u64, u64)>,
    /// Open channels and whether they are masked.
    pub channels: BTreeMap<u32, bool>,
    /// vCPUs to which channels were bound.
    pub bound: BTreeMap<u32, u16>,
    pub next_channel: u32,
    pub sent: Vec<u32>,
    pub refuse_channels: bool,
    pub grants: BTreeMap<u32, (u16, Frame, bool)>,
    /// References that the peer has mapped.
    pub held: BTreeSet<u32>,
    pub printed: Vec<u8>,
    pub ended: Option<Shutdown>,
}

impl Model {
    /// Tables and index pages in use.
    pub fn tables_used(&self) -> usize {
        self.tables.values().map(|tables| tables.len() + 1).sum::<usize>() + self.indexes.len()
    }

    fn take_table(&mut self) -> Result<(), TablesExhausted> {
        self.tables_left = self.tables_left.checked_sub(1).ok_or(TablesExhausted)?;
        Ok(())
    }
}

impl Hardware for Model {
    fn now(&mut self) -> u64 {
        self.now
    }

    fn stolen(&mut self, _: Vcpu) -> u64 {
        self.stolen
    }

    fn set_timer(&mut self, deadline: Option<u64>) {
        self.timer = deadline;
        self.timers_set += 1;
    }

    fn kick(&mut self, vcpu: Vcpu) {
        self.kicks.push(vcpu);
    }

    fn space_create(&mut self, server: u16) -> Result<u64, TablesExhausted> {
        self.take_table()?;
        assert!(self.tables.insert(server, BTreeSet::new()).is_none(), "space {server} made twice");
        self.spaces.insert(server, BTreeMap::new());
        Ok(u64::from(server) << 12 | 1 << 32)
    }

    fn space_map(
        &mut self,
        server: u16,
        address: u64,
        frame: Frame,
        access: Access,
        tables: u32,
    ) -> Result<(), TablesExhausted> {
        let missing = !self.tables[&server].contains(&(address >> 21));
        assert_eq!(tables, u32::from(missing), "tables for {address:#x}");
        if missing {
            self.take_table()?;
            self.tables.get_mut(&server).unwrap().insert(address >> 21);
        }
        let old = self.spaces.get_mut(&server).unwrap().insert(address, (frame, access));
        assert!(old.is_none(), "mapped twice: {address:#x}");
        Ok(())
    }

    fn space_unmap(&mut self, server: u16, address: u64) -> Option<(Frame, Access)> {
        self.spaces.get_mut(&server)?.remove(&address)
    }

    fn space_flush(&mut self) {
        self.flushes += 1;
    }

    fn space_lookup(&mut self, server: u16, address: u64) -> Result<(Frame, Access), u32> {
        let found = self.spaces.get(&server).and_then(|space| space.get(&address)).copied();
        let table = self.tables.get(&server).is_some_and(|it| it.contains(&(address >> 21)));
        found.ok_or(u32::from(!table))
    }

    /// Looks at 1 TiB at most.
    fn space_next(
        &mut self,
        server: u16,
        address: u64,
    ) -> Result<Option<(u64, Frame, Access)>, u64> {
        let Some((at, (frame, access))) = self.spaces[&server].range(address..).next() else {
            return Ok(None);
        };
        let limit = address + (1 << 40);
        if *at < limit { Ok(Some((*at, *frame, *access))) } else { Err(limit) }
    }

    fn space_shared(&mut self, server: u16, writable: bool) {
        if writable {
            self.read_only.remove(&server);
        } else {
            self.read_only.insert(server);
        }
    }

    fn space_destroy(&mut self, server: u16) -> bool {
        assert!(self.spaces[&server].is_empty(), "pages left in space {server}");
        let tables = self.tables.get_mut(&server).unwrap();
        self.tables_left += 1;
        if tables.pop_first().is_some() {
            return false;
        }
        self.tables.remove(&server);
        self.spaces.remove(&server);
        true
    }

    fn thread_reset(&mut self, thread: u16, rip: u64, rsp: u64, argument: u64) {
        self.started.insert(thread, (rip, rsp, argument));
    }

    /// Registers tell which thread and set they are of.
    fn thread_registers(&mut self, thread: u16, set: u8) -> [u64; 5] {
        core::array::from_fn(|i| u64::from(thread) << 16 | u64::from(set) << 8 | i as u64)
    }

    fn zero(&mut self, frame: Frame) {
        self.clean.insert(frame.0);
    }

    fn copy(&mut self, from: Frame, to: Frame, bytes: u16) {
        self.copied.push((from, to, bytes));
    }

    fn index_take(&mut self) -> Result<u32, TablesExhausted> {
        self.take_table()?;
        self.next_index += 1;
        self.indexes.insert(self.next_index, std::vec![0; 1024]);
        Ok(self.next_index)
    }

    fn index_give(&mut self, page: u32) {
        assert!(self.indexes.remove(&page).is_some(), "index page {page} given back twice");
        self.tables_left += 1;
    }

    fn index_read(&mut self, page: u32, entry: u16) -> u32 {
        self.indexes[&page][usize::from(entry)]
    }

    fn index_write(&mut self, page: u32, entry: u16, value: u32) {
        self.indexes.get_mut(&page).unwrap()[usize::from(entry)] = value;
    }

    fn channel_open(&mut self, kind: PortKind, _: u16) -> Result<u32, Refused> {
        if self.refuse_channels {
            return Err(Refused);
        }
        let number = match kind {
            PortKind::Store => 1,
            PortKind::Console => 2,
            PortKind::Peer => {
                self.next_channel += 1;
                9 + self.next_channel
            }
        };
        assert!(self.channels.insert(number, true).is_none(), "channel {number} opened twice");
        Ok(number)
    }

    fn channel_bind(&mut self, channel: u32, vcpu: Vcpu) {
        assert!(self.channels.contains_key(&channel));
        self.bound.insert(channel, vcpu.0);
    }

    fn channel_close(&mut self, channel: u32) {
        assert!(self.channels.remove(&channel).is_some(), "channel {channel} is not open");
    }

    fn channel_send(&mut self, channel: u32) {
        assert!(self.channels.contains_key(&channel));
        self.sent.push(channel);
    }

    fn channel_unmask(&mut self, channel: u32) {
        let masked = self.channels.get_mut(&channel).expect("an open channel");
        assert!(*masked, "channel {channel} unmasked twice");
        *masked = false;
    }

    fn grant(&mut self, reference: u32, peer: u16, frame: Frame, read_only: bool) {
        let old = self.grants.insert(reference, (peer, frame, read_only));
        assert!(old.is_none() && reference >= 8, "reference {reference}");
    }

    fn ungrant(&mut self, reference: u32) -> bool {
        assert!(self.grants.contains_key(&reference), "reference {reference} is not granted");
        if self.held.contains(&reference) {
            return false;
        }
        self.grants.remove(&reference);
        true
    }

    fn debug(&mut self, bytes: &[u8]) {
        self.printed.extend_from_slice(bytes);
    }

    fn shutdown(&mut self, reason: Shutdown) {
        self.ended = Some(reason);
    }

    fn domain_info(&mut self, set: u8) -> [u64; 5] {
        [u64::from(set), 1, 2, 3, 4]
    }
}

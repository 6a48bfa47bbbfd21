//! A model of the kernel's control interface: it keeps the same books, and can be told to fail.

use std::collections::BTreeMap;

use abi::kernel::control::{
    Access, Error, ObjectKind, PortKind, REGION_CLOCK, REGION_CONSOLE, REGION_IMAGE, REGION_STORE,
    REGIONS_FIXED, Server, Shutdown, SlotState, ThreadState,
};
use abi::kernel::own;
use abi::layout::SCRATCH;
use abi::{Answer, Badge, Call, Message};
use shared::Memory;

type Result<R> = std::result::Result<R, Error>;

/// Answers a call to a kernel interface.
pub fn answer(dispatch: impl FnOnce(&Call) -> Option<Answer>, message: Message) -> Message {
    dispatch(&super::bare(message)).expect("kernel interfaces answer at once").message
}

#[derive(Clone, Debug)]
pub struct Region {
    pub pages: u32,
    pub flags: u32,
    pub slot: u16,
    pub filled: u32,
    pub maps: u32,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub slot: u16,
    pub handles: BTreeMap<u16, (u64, u64)>,
    pub size: u16,
    /// By page address: region, page, access.
    pub maps: BTreeMap<u64, (u16, u32, Access)>,
    pub started: Option<(u64, u64)>,
    /// A candidate, or a server whose place another took.
    pub is_aside: bool,
}

pub struct Fake {
    pub servers: BTreeMap<u16, Model>,
    pub regions: BTreeMap<u16, Region>,
    pub slots: BTreeMap<u16, SlotState>,
    pub configured: BTreeMap<u16, (u8, u16)>,
    /// Budget and period.
    pub accounts: BTreeMap<u16, (u64, u64)>,
    pub managers: BTreeMap<u16, u16>,
    pub quotas: BTreeMap<(u16, u64), u32>,
    pub started: Vec<u16>,
    pub notified: Vec<(u16, u64)>,
    pub ports: BTreeMap<u16, (PortKind, u16, u16, u64)>,
    pub windows: BTreeMap<u16, (u32, u16)>,
    pub reset: Vec<u16>,
    pub ended: Option<Shutdown>,
    pub free: u32,
    /// What all threads do.
    pub state: ThreadState,
    /// The registers of all threads.
    pub registers: [u64; 20],
    /// The call after this many fails.
    pub fail_after: Option<u32>,
    scratch: Memory,
}

impl Fake {
    pub fn new(scratch: Memory) -> Self {
        let page =
            |pages| Region { pages, flags: 0, slot: 0, filled: pages, maps: 0, bytes: vec![] };
        let regions = [
            (REGION_IMAGE, page(1000)),
            (REGION_CLOCK, page(1)),
            (REGION_STORE, page(1)),
            (REGION_CONSOLE, page(1)),
        ];
        Self {
            servers: BTreeMap::from([(0, Model { size: 64, ..Model::default() })]),
            regions: regions.into(),
            slots: BTreeMap::new(),
            configured: BTreeMap::new(),
            accounts: BTreeMap::new(),
            managers: BTreeMap::new(),
            quotas: BTreeMap::new(),
            started: vec![],
            notified: vec![],
            ports: BTreeMap::new(),
            windows: BTreeMap::new(),
            reset: vec![],
            ended: None,
            free: 10_000,
            state: ThreadState::Waiting,
            registers: [0; 20],
            fail_after: None,
            scratch,
        }
    }

    pub fn server_of(&self, slot: u16) -> Option<u16> {
        let fills = |model: &Model| model.slot == slot && !model.is_aside;
        self.servers.iter().find(|(_, model)| fills(model)).map(|(server, _)| *server)
    }

    /// The candidate of a slot, or the server whose place it took.
    pub fn aside(&self, slot: u16) -> Option<u16> {
        let is_aside = |model: &Model| model.slot == slot && model.is_aside;
        self.servers.iter().find(|(_, model)| is_aside(model)).map(|(server, _)| *server)
    }

    pub fn model(&self, slot: u16) -> &Model {
        &self.servers[&self.server_of(slot).expect("it runs")]
    }

    /// What a server has mapped from `address` on, `length` bytes.
    pub fn bytes(&self, slot: u16, address: u64, length: usize) -> Vec<u8> {
        let (region, page, _) = self.model(slot).maps[&(address & !0xfff)];
        let from = page as usize * 4096 + (address & 0xfff) as usize;
        self.regions[&region].bytes[from..from + length].to_vec()
    }

    /// Writes a word where a server has mapped it.
    pub fn poke(&mut self, slot: u16, address: u64, word: u64) {
        let (region, page, _) = self.model(slot).maps[&(address & !0xfff)];
        let from = page as usize * 4096 + (address & 0xfff) as usize;
        let bytes = &mut self.regions.get_mut(&region).unwrap().bytes;
        bytes[from..from + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// Regions that the supervisor made.
    pub fn made(&self) -> usize {
        self.regions.keys().filter(|number| **number >= REGIONS_FIXED).count()
    }

    fn tick(&mut self) -> Result<()> {
        match &mut self.fail_after {
            Some(0) => Err(Error::Memory),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn number<V>(map: &BTreeMap<u16, V>, from: u16) -> u16 {
        (from..).find(|number| !map.contains_key(number)).unwrap()
    }

    /// What was written to the scratch pages goes to the region that was mapped there.
    fn keep_scratch(&mut self, address: u64, page: (u16, u32, Access)) {
        if (SCRATCH..SCRATCH + 32 * 4096).contains(&address) {
            let region = self.regions.get_mut(&page.0).unwrap();
            let at = page.1 as usize * 4096;
            let from = (address - SCRATCH) as usize;
            self.scratch.copy_from(from, &mut region.bytes[at..at + 4096]);
            self.scratch.fill(from, 4096, 0xaa);
        }
    }

    fn load_scratch(&mut self, address: u64, page: (u16, u32)) {
        if (SCRATCH..SCRATCH + 32 * 4096).contains(&address) {
            let at = page.1 as usize * 4096;
            let bytes = &self.regions[&page.0].bytes[at..at + 4096];
            self.scratch.copy_to((address - SCRATCH) as usize, bytes);
        }
    }
}

impl Server for Fake {
    fn server_candidate(&mut self, _: Badge, slot: u16, handles: u16) -> Result<u16> {
        self.tick()?;
        assert!(self.server_of(slot).is_some() && self.aside(slot).is_none());
        let server = Self::number(&self.servers, 1);
        let model = Model { slot, size: handles, is_aside: true, ..Model::default() };
        self.servers.insert(server, model);
        Ok(server)
    }

    fn server_commit(&mut self, _: Badge, server: u16) -> Result<u16> {
        self.tick()?;
        let slot = self.servers[&server].slot;
        let old = self.server_of(slot).ok_or(Error::Invalid)?;
        self.servers.get_mut(&old).unwrap().is_aside = true;
        self.servers.get_mut(&server).unwrap().is_aside = false;
        Ok(old)
    }

    fn slot_configure(&mut self, _: Badge, slot: u16, priority: u8, vcpu: u16) -> Result<()> {
        self.tick()?;
        self.configured.insert(slot, (priority, vcpu));
        Ok(())
    }
    fn slot_state(&mut self, _: Badge, slot: u16, state: SlotState) -> Result<()> {
        self.slots.insert(slot, state);
        Ok(())
    }
    fn slot_notify(&mut self, _: Badge, slot: u16, bits: u64) -> Result<()> {
        self.notified.push((slot, bits));
        Ok(())
    }
    fn server_create(&mut self, _: Badge, slot: u16, handles: u16) -> Result<u16> {
        self.tick()?;
        assert!(self.server_of(slot).is_none(), "slot {slot} has a server already");
        let server = Self::number(&self.servers, 1);
        self.servers.insert(server, Model { slot, size: handles, ..Model::default() });
        Ok(server)
    }
    fn server_destroy(&mut self, _: Badge, server: u16) -> Result<bool> {
        let model = self.servers.get_mut(&server).ok_or(Error::Invalid)?;
        model.started = None;
        let some: Vec<u64> = model.maps.keys().copied().take(32).collect();
        for address in &some {
            let (region, ..) = model.maps.remove(address).unwrap();
            self.regions.get_mut(&region).unwrap().maps -= 1;
        }
        if some.is_empty() {
            self.servers.remove(&server);
        }
        Ok(some.is_empty())
    }
    fn thread_start(&mut self, _: Badge, server: u16, rip: u64, rsp: u64, _: u64) -> Result<()> {
        self.tick()?;
        let model = self.servers.get_mut(&server).ok_or(Error::Invalid)?;
        // Address 0 is what the operator may send a server to.
        assert!(rip == 0 || model.maps.contains_key(&(rip & !0xfff)));
        assert!(model.maps.contains_key(&((rsp - 1) & !0xfff)));
        model.started = Some((rip, rsp));
        assert_eq!(self.slots.get(&model.slot), Some(&SlotState::Up));
        self.started.push(model.slot);
        Ok(())
    }
    fn thread_stop(&mut self, _: Badge, _: u16) -> Result<()> {
        Ok(())
    }
    fn thread_cancel(&mut self, _: Badge, _: u16) -> Result<bool> {
        Ok(false)
    }
    fn thread_registers(&mut self, _: Badge, _: u16, set: u8) -> Result<(u64, u64, u64, u64, u64)> {
        let [a, b, c, d, e] =
            *self.registers.as_chunks().0.get(usize::from(set)).ok_or(Error::Invalid)?;
        Ok((a, b, c, d, e))
    }
    fn server_usage(&mut self, _: Badge, server: u16) -> Result<(ThreadState, u64, u64, u64, u64)> {
        let model = self.servers.get(&server).ok_or(Error::Invalid)?;
        Ok((self.state, 11, 22, 33, model.maps.len() as u64))
    }
    fn region_create(&mut self, _: Badge, slot: u16, pages: u32, flags: u32) -> Result<u16> {
        self.tick()?;
        let number = Self::number(&self.regions, REGIONS_FIXED);
        let region = Region { pages, flags, slot, filled: 0, maps: 0, bytes: vec![] };
        self.regions.insert(number, region);
        Ok(number)
    }
    fn region_extend(&mut self, _: Badge, region: u16) -> Result<u32> {
        self.tick()?;
        let region = self.regions.get_mut(&region).ok_or(Error::Invalid)?;
        let more = (region.pages - region.filled).min(32);
        self.free = self.free.checked_sub(more).ok_or(Error::Memory)?;
        region.filled += more;
        region.bytes.resize(region.filled as usize * 4096, 0);
        Ok(region.pages - region.filled)
    }
    fn region_seal(&mut self, _: Badge, _: u16) -> Result<()> {
        Ok(())
    }
    fn region_free(&mut self, _: Badge, number: u16) -> Result<u32> {
        let region = self.regions.get_mut(&number).ok_or(Error::Invalid)?;
        if region.maps > 0 {
            return Err(Error::Busy);
        }
        let fewer = region.filled.min(32);
        region.filled -= fewer;
        self.free += fewer;
        let left = region.filled;
        if left == 0 {
            self.regions.remove(&number);
        }
        Ok(left)
    }
    fn region_info(&mut self, _: Badge, region: u16) -> Result<(u32, u32, u32, u16)> {
        let region = self.regions.get(&region).ok_or(Error::Invalid)?;
        Ok((region.pages, region.flags, region.maps, region.slot))
    }
    fn map(
        &mut self,
        _: Badge,
        server: u16,
        region: u16,
        address: u64,
        first: u32,
        count_access: u32,
    ) -> Result<u32> {
        self.tick()?;
        let access = abi::Word::from_word(u64::from(count_access >> 16)).ok_or(Error::Invalid)?;
        let count = (count_access & 0xffff).min(32);
        let filled = self.regions.get(&region).ok_or(Error::Invalid)?.filled;
        assert!(region != REGION_IMAGE || access != Access::Write, "the image is sealed");
        if !address.is_multiple_of(4096) || first + count > filled {
            return Err(Error::Address);
        }
        for at in 0..count {
            let page = address + u64::from(at) * 4096;
            let maps = &mut self.servers.get_mut(&server).ok_or(Error::Invalid)?.maps;
            if maps.insert(page, (region, first + at, access)).is_some() {
                return Err(Error::Mapped);
            }
            self.regions.get_mut(&region).unwrap().maps += 1;
            self.load_scratch(page, (region, first + at));
        }
        Ok(count)
    }
    fn unmap(&mut self, _: Badge, server: u16, address: u64, count: u32) -> Result<u32> {
        for at in 0..count.min(32) {
            let page = address + u64::from(at) * 4096;
            let maps = &mut self.servers.get_mut(&server).ok_or(Error::Invalid)?.maps;
            if let Some(mapped) = maps.remove(&page) {
                self.keep_scratch(page, mapped);
                self.regions.get_mut(&mapped.0).unwrap().maps -= 1;
            }
        }
        Ok(count.min(32))
    }
    fn handle_install(
        &mut self,
        _: Badge,
        server: u16,
        index: u16,
        target: u64,
        bits: u64,
    ) -> Result<()> {
        self.tick()?;
        let model = self.servers.get_mut(&server).ok_or(Error::Invalid)?;
        assert!(index < model.size);
        model.handles.insert(index, (target, bits));
        Ok(())
    }
    fn handle_revoke(&mut self, _: Badge, _: u16, _: u16) -> Result<()> {
        Ok(())
    }
    fn port_configure(
        &mut self,
        _: Badge,
        port: u16,
        kind: PortKind,
        peer: u16,
        slot: u16,
        bits: u64,
    ) -> Result<()> {
        self.tick()?;
        self.ports.insert(port, (kind, peer, slot, bits));
        Ok(())
    }
    fn window_configure(
        &mut self,
        _: Badge,
        window: u16,
        _: u16,
        count: u32,
        peer: u16,
    ) -> Result<()> {
        self.tick()?;
        self.windows.insert(window, (count, peer));
        Ok(())
    }
    fn domain_info(&mut self, _: Badge, set: u8) -> Result<(u64, u64, u64, u64, u64)> {
        Ok(match set {
            0 => (4 << 16 | 20, 7, 1, 4096, u64::from(self.free)),
            1 => (90, 1000, 0, 0, 0),
            _ => (1, 100, 20, 3, 0),
        })
    }
    fn domain_shutdown(&mut self, _: Badge, reason: Shutdown) -> Result<()> {
        self.ended.get_or_insert(reason);
        Ok(())
    }
    fn port_reset(&mut self, _: Badge, port: u16) -> Result<()> {
        self.reset.push(port);
        Ok(())
    }
    fn window_reset(&mut self, _: Badge, _: u16) -> Result<u32> {
        Ok(0)
    }
    fn account_set(&mut self, _: Badge, slot: u16, budget: u64, period: u64) -> Result<()> {
        self.accounts.insert(slot, (budget, period));
        self.tick()
    }
    fn account_read(&mut self, _: Badge, slot: u16) -> Result<(u64, u64, u64, u64, u64)> {
        let (budget, period) = self.accounts.get(&slot).copied().unwrap_or_default();
        Ok((budget, period, 7, budget * 3, 0))
    }
    fn slot_manager(&mut self, _: Badge, slot: u16, manager: u16) -> Result<()> {
        assert!(self.configured.contains_key(&manager) && self.server_of(slot).is_none());
        self.managers.insert(slot, manager);
        self.tick()
    }
    fn slot_info(&mut self, _: Badge, _: u16) -> Result<(SlotState, u16, u8, u16)> {
        Err(Error::Invalid)
    }
    fn quota_set(&mut self, _: Badge, slot: u16, kind: ObjectKind, limit: u32) -> Result<()> {
        self.quotas.insert((slot, kind as u64), limit);
        self.tick()
    }
    fn quota_read(&mut self, _: Badge, slot: u16, kind: ObjectKind) -> Result<(u32, u32)> {
        let held = self.regions.values().filter(|region| region.slot == slot).count() as u32;
        let used = if kind == ObjectKind::Region { held } else { 0 };
        Ok((used, self.quotas.get(&(slot, kind as u64)).copied().unwrap_or(u32::MAX)))
    }
    fn thread_resume(&mut self, _: Badge, _: u16) -> Result<()> {
        Ok(())
    }
    fn slot_longest(&mut self, _: Badge, _: u16, _: u64) -> Result<()> {
        self.tick()
    }
}

/// A model of the kernel's interface to the supervisor itself.
#[derive(Default)]
pub struct Own {
    pub deadline: u64,
}

impl own::Server for Own {
    fn exit(&mut self, _: Badge, _: u64) -> std::result::Result<(), own::Error> {
        panic!("the supervisor ended")
    }
    fn timer(&mut self, _: Badge, deadline: u64) -> std::result::Result<(), own::Error> {
        self.deadline = deadline;
        Ok(())
    }
    fn now(&mut self, _: Badge) -> std::result::Result<u64, own::Error> {
        Ok(0)
    }
    fn debug(
        &mut self,
        _: Badge,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
        _: u64,
    ) -> std::result::Result<(), own::Error> {
        Ok(())
    }
    fn pause(&mut self, _: Badge) -> std::result::Result<(), own::Error> {
        Ok(())
    }
}

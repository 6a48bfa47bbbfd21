//! The control interface, served: who may reach what, then what it does.
//!
//! The supervisor's handle reaches everything. A manager's reaches the slots that it manages, their servers, and the regions
//! that it made; whatever else is named, whether there is such a thing or not, answers `NotAllowed`.

use abi::kernel::control::{
    self, Access, Error, MADE, ObjectKind, PortKind, SUPERVISOR_SERVER, Shutdown, SlotState,
    ThreadState,
};
use abi::{Badge, Word};

use super::Core;
use super::handle::{Handle, Target};
use super::hardware::Hardware;
use super::interfaces::Kernel;
use super::port::Port;
use super::quota::Holdings;
use super::slot::{SUPERVISOR, Slot};
use super::space::Mapping;
use super::table::{Number, RegionId, SlotId, ThreadId};
use super::thread::Life;

type Result<T, E = Error> = core::result::Result<T, E>;

impl Core<'_> {
    /// Whether a manager made a region.
    #[inline(never)]
    pub(super) fn made_by(&self, manager: SlotId, region: RegionId) -> bool {
        self.regions[region].holder == manager && self.regions[region].flags & MADE != 0
    }
}

impl<H: Hardware> Kernel<'_, '_, H> {
    /// The manager whose handle this is; none: it is the supervisor's.
    fn manager(&self) -> Option<SlotId> {
        Some(SlotId(self.handle.object)).filter(|slot| *slot != SUPERVISOR)
    }

    /// Only through the supervisor's handle.
    fn whole(&self) -> Result<()> {
        self.manager().map_or(Ok(()), |_| Err(Error::NotAllowed))
    }

    /// What was found, if the handle reaches it.
    fn reached<T: Copy>(
        &self,
        found: Result<T>,
        reaches: impl FnOnce(SlotId, T) -> bool,
    ) -> Result<T> {
        match (self.manager(), found) {
            (None, found) => found,
            (Some(manager), Ok(found)) if reaches(manager, found) => Ok(found),
            _ => Err(Error::NotAllowed),
        }
    }

    /// A slot that was set up, and that the handle reaches.
    #[inline(never)]
    fn slot(&self, raw: u16) -> Result<SlotId> {
        self.reached(self.core.configured_slot(raw), |manager, slot| {
            self.core.manages(manager, slot)
        })
    }

    /// A slot that the handle may look at: the manager's own too.
    #[inline(never)]
    fn seen_slot(&self, raw: u16) -> Result<SlotId> {
        self.reached(self.core.configured_slot(raw), |manager, slot| {
            manager == slot || self.core.manages(manager, slot)
        })
    }

    /// A server that the handle reaches: for a manager, one that fills its slot.
    #[inline(never)]
    fn server(&self, raw: u16) -> Result<ThreadId> {
        self.reached(self.core.live_server(raw), |manager, server| {
            let thread = &self.core.threads[server];
            thread.life == Life::Live && self.core.manages(manager, thread.own)
        })
    }

    /// A live server whose space the handle reaches: the manager's own too.
    #[inline(never)]
    fn space(&self, raw: u16) -> Result<ThreadId> {
        self.reached(self.core.live_server(raw), |manager, server| {
            let own = self.core.threads[server].own;
            manager == own || self.core.manages(manager, own)
        })
    }

    /// A live region that the handle reaches.
    #[inline(never)]
    fn region(&self, raw: u16) -> Result<RegionId> {
        self.reached(self.core.live_region(raw), |manager, id| self.core.made_by(manager, id))
    }
}

impl<H: Hardware> control::Server for Kernel<'_, '_, H> {
    fn slot_configure(&mut self, _: Badge, slot: u16, priority: u8, vcpu: u16) -> Result<()> {
        self.whole()?;
        let slot = self.core.slots.check(slot).ok_or(Error::Invalid)?;
        self.core.slot_configure(slot, priority, vcpu)
    }

    fn slot_state(&mut self, _: Badge, slot: u16, state: SlotState) -> Result<()> {
        self.whole()?;
        let slot = self.core.slots.check(slot).ok_or(Error::Invalid)?;
        self.core.slot_state(self.hardware, slot, state)
    }

    fn slot_notify(&mut self, _: Badge, slot: u16, bits: u64) -> Result<()> {
        self.whole()?;
        let slot = self.core.configured_slot(slot)?;
        self.core.raise(self.hardware, slot, bits);
        Ok(())
    }

    fn slot_longest(&mut self, _: Badge, slot: u16, nanoseconds: u64) -> Result<()> {
        self.whole()?;
        let slot = self.core.configured_slot(slot)?;
        self.core.slot_longest(slot, nanoseconds);
        Ok(())
    }

    fn account_set(&mut self, _: Badge, slot: u16, budget: u64, period: u64) -> Result<()> {
        let slot = self.slot(slot)?;
        self.core.account_set(self.hardware, slot, budget, period)
    }

    fn account_read(&mut self, _: Badge, slot: u16) -> Result<(u64, u64, u64, u64, u64)> {
        let slot = self.slot(slot)?;
        let Slot { account, used, .. } = self.core.slots[slot];
        Ok((account.budget, account.period, used, account.granted, u64::from(account.rests)))
    }

    fn slot_manager(&mut self, _: Badge, slot: u16, manager: u16) -> Result<()> {
        self.whole()?;
        let slot = self.core.configured_slot(slot)?;
        let manager = self.core.configured_slot(manager)?;
        self.core.slot_manager(slot, manager)
    }

    fn slot_info(&mut self, _: Badge, slot: u16) -> Result<(SlotState, u16, u8, u16)> {
        let slot = self.seen_slot(slot)?;
        let Slot { state, server, priority, .. } = self.core.slots[slot];
        let manager = self.core.holdings[slot].manager.some().unwrap_or(SUPERVISOR);
        Ok((state, server.raw(), priority, manager.raw()))
    }

    fn quota_set(&mut self, _: Badge, slot: u16, kind: ObjectKind, limit: u32) -> Result<()> {
        self.whole()?;
        let slot = self.core.configured_slot(slot)?;
        self.core.holdings[slot].set_limit(kind, limit);
        Ok(())
    }

    fn quota_read(&mut self, _: Badge, slot: u16, kind: ObjectKind) -> Result<(u32, u32)> {
        let slot = self.seen_slot(slot)?;
        let holdings: &Holdings = &self.core.holdings[slot];
        Ok((holdings.used(kind), holdings.limit(kind)))
    }

    fn server_create(&mut self, _: Badge, slot: u16, handles: u16) -> Result<u16> {
        self.whole()?;
        let slot = self.core.configured_slot(slot)?;
        self.core.server_create(self.hardware, slot, handles).map(|server| server.0)
    }

    fn server_candidate(&mut self, _: Badge, slot: u16, handles: u16) -> Result<u16> {
        self.whole()?;
        let slot = self.core.configured_slot(slot)?;
        self.core.server_candidate(self.hardware, slot, handles).map(|server| server.0)
    }

    fn server_commit(&mut self, _: Badge, server: u16) -> Result<u16> {
        self.whole()?;
        let server = self.core.live_server(server)?;
        self.core.server_commit(self.hardware, server).map(|old| old.0)
    }

    fn server_destroy(&mut self, _: Badge, server: u16) -> Result<bool> {
        self.whole()?;
        let server = self.core.threads.check(server).ok_or(Error::Invalid)?;
        self.core.server_destroy(self.hardware, server)
    }

    fn thread_start(
        &mut self,
        _: Badge,
        server: u16,
        rip: u64,
        rsp: u64,
        argument: u64,
    ) -> Result<()> {
        let server = self.server(server)?;
        self.core.thread_start(self.hardware, server, (rip, rsp, argument))
    }

    fn thread_stop(&mut self, _: Badge, server: u16) -> Result<()> {
        let server = self.server(server)?;
        if server.0 == SUPERVISOR_SERVER {
            return Err(Error::Invalid);
        }
        self.core.stop(self.hardware, server);
        Ok(())
    }

    fn thread_resume(&mut self, _: Badge, server: u16) -> Result<()> {
        let server = self.server(server)?;
        self.core.thread_resume(self.hardware, server)
    }

    fn thread_cancel(&mut self, _: Badge, server: u16) -> Result<bool> {
        let server = self.server(server)?;
        Ok(self.core.cancel(self.hardware, server))
    }

    fn thread_registers(
        &mut self,
        _: Badge,
        server: u16,
        set: u8,
    ) -> Result<(u64, u64, u64, u64, u64)> {
        let server = self.server(server)?;
        let [a, b, c, d, e] = self.core.thread_registers(self.hardware, server, set)?;
        Ok((a, b, c, d, e))
    }

    fn server_usage(&mut self, _: Badge, server: u16) -> Result<(ThreadState, u64, u64, u64, u64)> {
        let server = self.server(server)?;
        let thread = &self.core.threads[server];
        Ok((thread.state.public(), thread.cpu, thread.calls, thread.taken, u64::from(thread.pages)))
    }

    fn region_create(&mut self, _: Badge, slot: u16, pages: u32, flags: u32) -> Result<u16> {
        let (slot, made) = match self.manager() {
            Some(manager) if manager.raw() == slot && flags == 0 => (manager, MADE),
            None => (self.core.configured_slot(slot)?, 0),
            _ => return Err(Error::NotAllowed),
        };
        let region = self.core.region_create(self.hardware, slot, pages, flags)?;
        self.core.regions[region].flags |= made;
        Ok(region.0)
    }

    fn region_extend(&mut self, _: Badge, region: u16) -> Result<u32> {
        let region = self.region(region)?;
        self.core.region_extend(self.hardware, region)
    }

    fn region_seal(&mut self, _: Badge, region: u16) -> Result<()> {
        let region = self.region(region)?;
        self.core.region_seal(region)
    }

    fn region_free(&mut self, _: Badge, region: u16) -> Result<u32> {
        let region = self.core.regions.check(region).ok_or(Error::Invalid);
        let region = self.reached(region, |manager, id| self.core.made_by(manager, id))?;
        self.core.region_free(self.hardware, region)
    }

    fn region_info(&mut self, _: Badge, region: u16) -> Result<(u32, u32, u32, u16)> {
        let region = self.region(region)?;
        Ok(self.core.region_info(region))
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
        let server = self.space(server)?;
        let region = self.region(region)?;
        let access = Access::from_word(u64::from(count_access >> 16)).ok_or(Error::Invalid)?;
        let mapping = Mapping { region, first, count: count_access & 0xffff, address, access };
        self.core.map(self.hardware, server, &mapping)
    }

    fn unmap(&mut self, _: Badge, server: u16, address: u64, count: u32) -> Result<u32> {
        let server = self.space(server)?;
        let manager = self.manager();
        self.core.unmap(self.hardware, server, address, count, manager)
    }

    fn handle_install(
        &mut self,
        _: Badge,
        server: u16,
        index: u16,
        target: u64,
        bits: u64,
    ) -> Result<()> {
        self.whole()?;
        let server = self.core.live_server(server)?;
        self.core.handle_install(server, index, Target::from_word(target), bits)
    }

    fn handle_revoke(&mut self, _: Badge, server: u16, index: u16) -> Result<()> {
        self.whole()?;
        let server = self.core.live_server(server)?;
        let handle = self.core.held_mut(server, index).ok_or(Error::Invalid)?;
        *handle = Handle::default();
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
        self.whole()?;
        let port = self.core.ports.check(port).ok_or(Error::Invalid)?;
        let slot = self.core.configured_slot(slot)?;
        let setup = Port { kind, peer, slot, bits, ..Port::default() };
        self.core.port_configure(port, setup)
    }

    fn window_configure(
        &mut self,
        _: Badge,
        window: u16,
        slot: u16,
        count: u32,
        peer: u16,
    ) -> Result<()> {
        self.whole()?;
        let window = self.core.windows.check(window).ok_or(Error::Invalid)?;
        let slot = self.core.configured_slot(slot)?;
        self.core.window_configure(window, slot, count, peer)
    }

    fn domain_info(&mut self, _: Badge, set: u8) -> Result<(u64, u64, u64, u64, u64)> {
        self.whole()?;
        if set > 2 {
            return Err(Error::Invalid);
        }
        let [a, b, c, d, e] = self.hardware.domain_info(set);
        Ok((a, b, c, d, if set == 0 { u64::from(self.core.frames_free) } else { e }))
    }

    fn domain_shutdown(&mut self, _: Badge, reason: Shutdown) -> Result<()> {
        self.whole()?;
        self.hardware.shutdown(reason);
        Ok(())
    }

    fn port_reset(&mut self, _: Badge, port: u16) -> Result<()> {
        self.whole()?;
        let port = self.core.ports.check(port).ok_or(Error::Invalid)?;
        // A port that is closed already is as it should be.
        let _ = self.core.port_close(self.hardware, port);
        Ok(())
    }

    fn window_reset(&mut self, _: Badge, window: u16) -> Result<u32> {
        self.whole()?;
        let window = self.core.windows.check(window).ok_or(Error::Invalid)?;
        Ok(self.core.window_reset(self.hardware, window))
    }
}

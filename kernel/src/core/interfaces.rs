//! The kernel's own interfaces, served: decoding in, results out; what they do is with the objects.

use abi::fault::FaultKind;
use abi::interface::{BAD_ARGUMENT, UNKNOWN_METHOD};
use abi::kernel::control::{
    self, Access, Error, HandleKind, PortKind, SUPERVISOR_SERVER, Shutdown, SlotState, ThreadState,
};
use abi::kernel::{own, port, window};
use abi::{Answer, Badge, Call, Message, Status, Token, Word};

use super::Core;
use super::handle::{CALL, DEBUG, Handle, Target};
use super::hardware::Hardware;
use super::port::Port;
use super::slot::Slot;
use super::space::Mapping;
use super::table::{PortId, ThreadId, WindowId};
use super::window::Request;

/// A call of the kernel on its way.
struct Kernel<'k, 'a, H> {
    core: &'k mut Core<'a>,
    hardware: &'k mut H,
    caller: ThreadId,
    handle: Handle,
    /// The caller broke the contract or ends: kind and address of the fault.
    fault: Option<(FaultKind, u64)>,
}

impl Core<'_> {
    /// Serves a call of a server's own interface.
    pub(super) fn own_call<H: Hardware>(
        &mut self,
        hardware: &mut H,
        thread: ThreadId,
        handle: Handle,
    ) {
        self.served(hardware, thread, handle, |kernel, call| own::dispatch(kernel, call));
    }

    /// Serves a call through another handle to the kernel.
    #[inline(never)]
    pub(super) fn kernel_call<H: Hardware>(
        &mut self,
        hardware: &mut H,
        thread: ThreadId,
        index: u64,
    ) {
        let handle = self.handle_mut(thread, index).copied().unwrap_or_default();
        self.served(hardware, thread, handle, |kernel, call| match handle.kind() {
            HandleKind::Port => port::dispatch(kernel, call),
            HandleKind::Window => window::dispatch(kernel, call),
            HandleKind::Control => control::dispatch(kernel, call),
            _ => None,
        });
    }

    #[inline(always)]
    fn served<H: Hardware>(
        &mut self,
        hardware: &mut H,
        thread: ThreadId,
        handle: Handle,
        dispatch: impl FnOnce(&mut Kernel<'_, '_, H>, &Call) -> Option<Answer>,
    ) {
        let registers = self.threads[thread].registers;
        let call = Call {
            token: Token::NONE,
            badge: Badge::from_bits(handle.badge),
            message: Message::new(registers.rdi, registers.words),
        };
        let mut kernel =
            Kernel { core: self, hardware: &mut *hardware, caller: thread, handle, fault: None };
        let may = handle.rights & CALL != 0;
        let answer = if may { dispatch(&mut kernel, &call) } else { None };
        match (kernel.fault, answer) {
            (Some((kind, address)), _) => self.fault_trap(hardware, thread, kind, address),
            (None, Some(Answer { message, .. }))
                if !matches!(message.label, UNKNOWN_METHOD | BAD_ARGUMENT) =>
            {
                self.answer(thread, Status::Ok, message);
            }
            _ => self.fault_trap(hardware, thread, FaultKind::BadCall, registers.rdi),
        }
    }
}

impl<H: Hardware> own::Server for Kernel<'_, '_, H> {
    fn exit(&mut self, _: Badge, code: u64) -> Result<(), own::Error> {
        self.fault = Some((FaultKind::Exit, code));
        Ok(())
    }

    fn timer(&mut self, _: Badge, deadline: u64) -> Result<(), own::Error> {
        self.core.set_deadline(self.hardware, self.caller, deadline);
        Ok(())
    }

    fn now(&mut self, _: Badge) -> Result<u64, own::Error> {
        Ok(self.hardware.now())
    }

    fn debug(
        &mut self,
        _: Badge,
        count: u64,
        a: u64,
        b: u64,
        c: u64,
        d: u64,
    ) -> Result<(), own::Error> {
        if self.handle.rights & DEBUG == 0 {
            return Err(own::Error::NotAllowed);
        }
        if !print(self.hardware, count, [a, b, c, d]) {
            self.fault = Some((FaultKind::BadCall, DEBUG_METHOD));
        }
        Ok(())
    }

    fn pause(&mut self, _: Badge) -> Result<(), own::Error> {
        self.core.pause(self.hardware, self.caller);
        Ok(())
    }
}

/// Prints the first `count` bytes of some words; false if there are not so many.
#[inline(never)]
fn print(hardware: &mut impl Hardware, count: u64, words: [u64; 4]) -> bool {
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().zip(words.into_iter().flat_map(u64::to_le_bytes)) {
        *place = byte;
    }
    let wanted = usize::try_from(count).ok().and_then(|count| bytes.get(..count));
    wanted.map(|bytes| hardware.debug(bytes)).is_some()
}

/// Number of `kernel.own.debug`.
const DEBUG_METHOD: u64 = 4;

impl<H: Hardware> Kernel<'_, '_, H> {
    fn port(&self) -> PortId {
        PortId(self.handle.object)
    }

    fn window(&self) -> WindowId {
        WindowId(self.handle.object)
    }
}

impl<H: Hardware> port::Server for Kernel<'_, '_, H> {
    fn open(&mut self, _: Badge) -> Result<u32, port::Error> {
        self.core.port_open(self.hardware, self.port())
    }

    fn close(&mut self, _: Badge) -> Result<(), port::Error> {
        self.core.port_close(self.hardware, self.port())
    }

    fn hold(&mut self, _: Badge) -> Result<(), port::Error> {
        self.core.port_hold(self.port())
    }

    fn arm(&mut self, _: Badge, after: u64) -> Result<(), port::Error> {
        self.core.port_arm(self.hardware, self.port(), after)
    }
}

impl<H: Hardware> window::Server for Kernel<'_, '_, H> {
    fn grant(
        &mut self,
        _: Badge,
        first: u32,
        address: u64,
        count: u32,
        read_only: bool,
    ) -> Result<u32, window::Error> {
        let request = Request { first, address, count, read_only };
        self.core.window_grant(self.hardware, self.window(), self.caller, &request)
    }

    fn revoke(&mut self, _: Badge, first: u32, count: u32) -> Result<u32, window::Error> {
        self.core.window_revoke(self.hardware, self.window(), first, count)
    }

    fn extent(&mut self, _: Badge) -> Result<(u32, u32), window::Error> {
        Ok(self.core.window_extent(self.window()))
    }
}

type Result<T, E = Error> = core::result::Result<T, E>;

impl<H: Hardware> control::Server for Kernel<'_, '_, H> {
    fn slot_configure(&mut self, _: Badge, slot: u16, priority: u8, vcpu: u16) -> Result<()> {
        let slot = self.core.slots.check(slot).ok_or(Error::Invalid)?;
        self.core.slot_configure(slot, priority, vcpu)
    }

    fn slot_state(&mut self, _: Badge, slot: u16, state: SlotState) -> Result<()> {
        let slot = self.core.slots.check(slot).ok_or(Error::Invalid)?;
        self.core.slot_state(self.hardware, slot, state)
    }

    fn slot_notify(&mut self, _: Badge, slot: u16, bits: u64) -> Result<()> {
        let slot = self.core.configured_slot(slot)?;
        self.core.raise(self.hardware, slot, bits);
        Ok(())
    }

    fn slot_longest(&mut self, _: Badge, slot: u16, nanoseconds: u64) -> Result<()> {
        let slot = self.core.configured_slot(slot)?;
        self.core.slot_longest(slot, nanoseconds);
        Ok(())
    }

    fn account_set(&mut self, _: Badge, slot: u16, budget: u64, period: u64) -> Result<()> {
        let slot = self.core.configured_slot(slot)?;
        self.core.account_set(self.hardware, slot, budget, period)
    }

    fn account_read(&mut self, _: Badge, slot: u16) -> Result<(u64, u64, u64, u64, u64)> {
        let slot = self.core.configured_slot(slot)?;
        let Slot { account, used, .. } = self.core.slots[slot];
        Ok((account.budget, account.period, used, account.granted, u64::from(account.rests)))
    }

    fn server_create(&mut self, _: Badge, slot: u16, handles: u16) -> Result<u16> {
        let slot = self.core.configured_slot(slot)?;
        self.core.server_create(self.hardware, slot, handles).map(|server| server.0)
    }

    fn server_destroy(&mut self, _: Badge, server: u16) -> Result<bool> {
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
        let server = self.core.live_server(server)?;
        self.core.thread_start(self.hardware, server, (rip, rsp, argument))
    }

    fn thread_stop(&mut self, _: Badge, server: u16) -> Result<()> {
        let server = self.core.live_server(server)?;
        if server.0 == SUPERVISOR_SERVER {
            return Err(Error::Invalid);
        }
        self.core.stop(self.hardware, server);
        Ok(())
    }

    fn thread_cancel(&mut self, _: Badge, server: u16) -> Result<bool> {
        let server = self.core.live_server(server)?;
        Ok(self.core.cancel(self.hardware, server))
    }

    fn thread_registers(
        &mut self,
        _: Badge,
        server: u16,
        set: u8,
    ) -> Result<(u64, u64, u64, u64, u64)> {
        let server = self.core.live_server(server)?;
        let [a, b, c, d, e] = self.core.thread_registers(self.hardware, server, set)?;
        Ok((a, b, c, d, e))
    }

    fn server_usage(&mut self, _: Badge, server: u16) -> Result<(ThreadState, u64, u64, u64, u64)> {
        let server = self.core.live_server(server)?;
        let thread = &self.core.threads[server];
        Ok((thread.state.public(), thread.cpu, thread.calls, thread.taken, u64::from(thread.pages)))
    }

    fn region_create(&mut self, _: Badge, pages: u32, flags: u32) -> Result<u16> {
        self.core.region_create(self.hardware, pages, flags).map(|region| region.0)
    }

    fn region_extend(&mut self, _: Badge, region: u16) -> Result<u32> {
        let region = self.core.live_region(region)?;
        self.core.region_extend(self.hardware, region)
    }

    fn region_seal(&mut self, _: Badge, region: u16) -> Result<()> {
        let region = self.core.live_region(region)?;
        self.core.region_seal(region)
    }

    fn region_free(&mut self, _: Badge, region: u16) -> Result<u32> {
        let region = self.core.regions.check(region).ok_or(Error::Invalid)?;
        self.core.region_free(self.hardware, region)
    }

    fn region_info(&mut self, _: Badge, region: u16) -> Result<(u32, u32, u32)> {
        let region = self.core.live_region(region)?;
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
        let server = self.core.live_server(server)?;
        let region = self.core.live_region(region)?;
        let access = Access::from_word(u64::from(count_access >> 16)).ok_or(Error::Invalid)?;
        let mapping = Mapping { region, first, count: count_access & 0xffff, address, access };
        self.core.map(self.hardware, server, &mapping)
    }

    fn unmap(&mut self, _: Badge, server: u16, address: u64, count: u32) -> Result<u32> {
        let server = self.core.live_server(server)?;
        self.core.unmap(self.hardware, server, address, count)
    }

    fn handle_install(
        &mut self,
        _: Badge,
        server: u16,
        index: u16,
        target: u64,
        bits: u64,
    ) -> Result<()> {
        let server = self.core.live_server(server)?;
        self.core.handle_install(server, index, Target::from_word(target), bits)
    }

    fn handle_revoke(&mut self, _: Badge, server: u16, index: u16) -> Result<()> {
        let server = self.core.live_server(server)?;
        let handle = self.core.handle_mut(server, u64::from(index)).ok_or(Error::Invalid)?;
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
        let port = self.core.ports.check(port).ok_or(Error::Invalid)?;
        let slot = self.core.configured_slot(slot)?;
        let setup = Port { kind, peer, slot, bits, ..Port::default() };
        if self.core.port_configure(port, setup) { Ok(()) } else { Err(Error::Invalid) }
    }

    fn window_configure(&mut self, _: Badge, window: u16, count: u32, peer: u16) -> Result<()> {
        let window = self.core.windows.check(window).ok_or(Error::Invalid)?;
        self.core.window_configure(window, count, peer)
    }

    fn domain_info(&mut self, _: Badge, set: u8) -> Result<(u64, u64, u64, u64, u64)> {
        if set > 1 {
            return Err(Error::Invalid);
        }
        let [a, b, c, d, e] = self.hardware.domain_info(set);
        Ok((a, b, c, d, if set == 0 { u64::from(self.core.frames_free) } else { e }))
    }

    fn domain_shutdown(&mut self, _: Badge, reason: Shutdown) -> Result<()> {
        self.hardware.shutdown(reason);
        Ok(())
    }

    fn port_reset(&mut self, _: Badge, port: u16) -> Result<()> {
        let port = self.core.ports.check(port).ok_or(Error::Invalid)?;
        // A port that is closed already is as it should be.
        let _ = self.core.port_close(self.hardware, port);
        Ok(())
    }

    fn window_reset(&mut self, _: Badge, window: u16) -> Result<u32> {
        let window = self.core.windows.check(window).ok_or(Error::Invalid)?;
        Ok(self.core.window_reset(self.hardware, window))
    }
}

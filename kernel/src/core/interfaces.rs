//! The kernel's own interfaces, served: decoding in, results out; what they do is with the objects. (`control` is served in a
//! file of its own.)

use abi::fault::FaultKind;
use abi::interface::{BAD_ARGUMENT, UNKNOWN_METHOD};
use abi::kernel::control::{self, HandleKind};
use abi::kernel::{own, port, window};
use abi::{Answer, Badge, Call, Message, Status, Token};

use super::Core;
use super::handle::{CALL, DEBUG, Handle};
use super::hardware::Hardware;
use super::table::{PortId, ThreadId, WindowId};
use super::window::Request;

/// A call of the kernel on its way.
pub(super) struct Kernel<'k, 'a, H> {
    pub(super) core: &'k mut Core<'a>,
    pub(super) hardware: &'k mut H,
    caller: ThreadId,
    pub(super) handle: Handle,
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

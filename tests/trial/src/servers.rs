//! Servers made of the supervisor's own code: the same pages of the boot image, another address space, one page that all share.

use abi::kernel::control::{Access, HandleKind, SlotState, ThreadState, WIRE};
use abi::layout::SHARED;
use abi::token::Kind;
use abi::{Event, Handle, Message, Token, Traps, Word};
pub use replica::control;
use rt::Trap;

/// Pages of a stack.
const STACK: u32 = 4;
/// Entries of a handle table.
pub const HANDLES: u16 = 8;
/// To the supervisor.
pub const ROOT: Handle = Handle(1);
/// To whoever a test says.
pub const NEXT: Handle = Handle(2);

/// Ends the run: something that must work does not.
pub fn must<T, E>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|_| {
        crate::tell(format_args!("trial: failed: {what}"));
        crate::end()
    })
}

/// Makes a region, with its memory.
pub fn region(pages: u32) -> u16 {
    must(replica::region(pages, WIRE), "a region")
}

/// Maps pages of a region.
pub fn map(server: u16, region: u16, address: u64, pages: (u32, u32), access: Access) {
    must(replica::map(server, region, address, pages, access), "a mapping");
}

/// A server, and what it needs to be started again.
#[derive(Clone, Copy)]
pub struct Server {
    /// Its number.
    pub number: u16,
    /// Its slot.
    pub slot: u16,
    stack: u16,
}

impl Server {
    /// A server in a slot that was never used, with `NEXT` leading to `next`.
    pub fn new(slot: u16, priority: u8, next: Option<(HandleKind, u16)>, board: u16) -> Self {
        must(control().slot_configure(slot, priority, 0), "a slot");
        let server = Self { number: 0, slot, stack: region(STACK) };
        server.again(next, board)
    }

    /// Makes it anew, in its slot, which is up then.
    pub fn again(self, next: Option<(HandleKind, u16)>, board: u16) -> Self {
        let number = must(control().server_create(self.slot, HANDLES), "a server");
        let server = Self { number, ..self };
        must(control().slot_state(self.slot, SlotState::Up), "a slot that is up");
        server.install(ROOT, HandleKind::Wire, 0);
        if let Some((kind, slot)) = next {
            server.install(NEXT, kind, slot);
        }
        must(replica::map_code(number), "the code");
        must(replica::map_stack(number, self.stack, STACK), "the stack");
        map(number, board, SHARED, (0, 1), Access::Write);
        server
    }

    /// Installs a handle; its badge is the slot.
    pub fn install(&self, at: Handle, kind: HandleKind, object: u16) {
        let target = kind.to_word() | u64::from(object) << 16 | u64::from(self.slot) << 32;
        let bits = if kind == HandleKind::Own { 0 } else { 1 };
        must(control().handle_install(self.number, at.0, target, bits), "a handle");
    }

    /// Starts it, stopped before if need be, with its first argument.
    pub fn start(&self, entry: extern "C" fn(u64) -> !, argument: u64) {
        must(control().thread_stop(self.number), "a stop");
        must(replica::start(self.number, entry, argument), "a start");
    }

    /// What its thread does.
    pub fn state(&self) -> ThreadState {
        must(control().server_usage(self.number), "a state").0
    }

    /// Takes it apart.
    pub fn destroy(&self) {
        while !must(control().server_destroy(self.number), "an end") {}
    }
}

/// The next call or fault of a server; an end of the run if none comes for a while.
pub fn next() -> Event {
    let late = rt::clock::now() + 60_000_000_000;
    rt::timer(late);
    loop {
        let event = Trap.reply_wait(None);
        if event.token.kind() != Kind::None {
            rt::timer(0);
            return event;
        }
        // The bit may be that of an earlier deadline.
        if event.bits & abi::trap::BIT_TIMER != 0 && rt::clock::now() >= late {
            crate::tell(format_args!("trial: failed: nothing came"));
            crate::end()
        }
    }
}

/// Lets others run for a while; whether nothing came for the supervisor meanwhile.
pub fn quiet(nanoseconds: u64) -> bool {
    rt::timer(rt::clock::now() + nanoseconds);
    let event = Trap.reply_wait(None);
    rt::timer(0);
    event.token.kind() == Kind::None
}

/// Answers a call with a label.
pub fn answer(token: Token, label: u64) {
    Trap.reply(abi::Answer { token, message: Message::new(label, [0; 5]) });
}

/// Answers a fault: the server ends.
pub fn kill(token: Token) {
    Trap.reply(abi::Answer { token, message: Message::new(0, [1, 0, 0, 0, 0]) });
}

//! Servers made of the supervisor's own code, each in a slot of its own on a vCPU of its own: the same pages of the boot image,
//! another address space.

use abi::kernel::control::{
    Access, HandleKind, SUPERVISOR_SERVER, SUPERVISOR_SLOT, SlotState, ThreadState, WIRE,
};
use abi::layout::SHARED;
use abi::token::Kind;
use abi::trap::BIT_TIMER;
use abi::{Event, Message, Traps, Word as _};
pub use replica::control;
use rt::Trap;
use rt::clock::now;

use crate::board::{Board, PAGES};
use crate::roles::{Role, begin};
use crate::{fail, tell};

/// A microsecond, in nanoseconds.
pub const US: u64 = 1_000;
/// A millisecond, in nanoseconds.
pub const MS: u64 = 1_000_000;

/// Pages of a stack.
const STACK: u32 = 4;
/// Entries of a handle table.
const HANDLES: u16 = 4;
/// What something that must happen may take: an emulator can stand still.
const PATIENCE: u64 = 10_000 * MS;

/// Ends the run: something that must work does not.
pub fn must<T, E>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|_| fail(format_args!("{what}")))
}

/// Where all is played.
pub struct Stage {
    /// The memory that all share.
    pub board: Board,
    region: u16,
    /// vCPUs that are used.
    pub vcpus: u16,
}

/// Makes a region, with its memory.
pub fn region(pages: u32, flags: u32) -> u16 {
    must(replica::region(pages, flags), "a region")
}

/// Maps pages of a region.
pub fn map(server: u16, region: u16, address: u64, pages: (u32, u32), access: Access) {
    must(replica::map(server, region, address, pages, access), "a mapping");
}

impl Stage {
    /// Makes the board.
    pub fn new() -> Self {
        let region = region(PAGES, WIRE);
        map(SUPERVISOR_SERVER, region, SHARED, (0, PAGES), Access::Write);
        let vcpus = must(control().domain_info(2), "the number of vCPUs").0 as u16;
        Self { board: Board::new(), region, vcpus }
    }

    /// Sets a slot up, and fills it. What is wired goes to handle 2, and a bell to handle 3; 0 is nothing.
    pub fn player(&self, slot: u16, priority: u8, vcpu: u16, wire: u16, bell: u16) -> Player {
        must(control().slot_configure(slot, priority, vcpu % self.vcpus), "a slot");
        must(control().slot_state(slot, SlotState::Up), "a slot");
        self.board.set_of(slot, crate::board::Of::Seed, u64::from(slot) * 77 + 1);
        let mut player = Player { slot, wire, bell, stack: region(STACK, 0), server: 0 };
        player.create(self);
        player
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let start = now();
        while !holds() {
            if now() > start + PATIENCE {
                self.tell_states();
                fail(format_args!("waited in vain until {what}"));
            }
            sleep(2 * MS);
        }
    }

    /// Tells what every server does.
    fn tell_states(&self) {
        for server in 1..16 {
            if let Ok((state, cpu, calls, taken, _)) = control().server_usage(server) {
                tell(format_args!(
                    "crowd: server {server} {state:?}, {} us, {calls} calls, {taken} taken",
                    cpu / US
                ));
            }
        }
        self.tell_contention();
    }

    /// Tells how often the kernel's lock was waited for.
    pub fn tell_contention(&self) {
        let (_, at_once, waited, yielded, flushes) = must(control().domain_info(2), "the lock");
        tell(format_args!(
            "crowd: lock taken {at_once} times at once and {waited} times after a wait, {yielded} yields, {flushes} flushes"
        ));
    }
}

/// A slot and the server in it.
pub struct Player {
    /// The slot.
    pub slot: u16,
    wire: u16,
    bell: u16,
    stack: u16,
    /// The server.
    pub server: u16,
}

impl Player {
    /// Fills its slot with a server that does nothing yet.
    pub fn create(&mut self, stage: &Stage) {
        let server = must(control().server_create(self.slot, HANDLES), "a server");
        let kinds = [
            (1, HandleKind::Wire, SUPERVISOR_SLOT),
            (2, HandleKind::Wire, self.wire),
            (3, HandleKind::Bell, self.bell),
        ];
        for (index, kind, slot) in kinds {
            let target = kind.to_word() | u64::from(slot) << 16 | u64::from(self.slot) << 32;
            if index == 1 || slot != 0 {
                must(control().handle_install(server, index, target, 1), "a handle");
            }
        }
        must(replica::map_code(server), "the code");
        must(replica::map_stack(server, self.stack, STACK), "the stack");
        map(server, stage.region, SHARED, (0, PAGES), Access::Write);
        self.server = server;
    }

    /// Starts it in a role.
    pub fn start(&self, role: Role) {
        let argument = role as u64 | u64::from(self.slot) << 8;
        must(replica::start(self.server, begin, argument), "a start");
    }

    /// Stops it; it has let go of its vCPU when this returns.
    pub fn stop(&self) {
        must(control().thread_stop(self.server), "a stop");
        let start = now();
        while control().thread_registers(self.server, 0).is_err() {
            if now() > start + PATIENCE {
                fail(format_args!("slot {} does not stop", self.slot));
            }
        }
    }

    /// Kills it; it is gone when this returns.
    pub fn kill(&self) {
        let start = now();
        while !must(control().server_destroy(self.server), "an end") {
            if now() > start + PATIENCE {
                fail(format_args!("slot {} does not go", self.slot));
            }
        }
    }

    /// Fills its slot anew and lets calls come in again.
    pub fn revive(&mut self, stage: &Stage) {
        self.create(stage);
        must(control().slot_state(self.slot, SlotState::Up), "a slot");
    }

    /// The slot that it is wired to.
    pub const fn wire(&self) -> u16 {
        self.wire
    }

    /// Gives it a bell to a slot that was not there when it was made.
    pub fn ring(&self, slot: u16) {
        let target = HandleKind::Bell.to_word() | u64::from(slot) << 16;
        must(control().handle_install(self.server, 3, target, 1), "a bell");
    }

    /// What it does.
    pub fn state(&self) -> ThreadState {
        must(control().server_usage(self.server), "a state").0
    }

    /// CPU time charged to its account, in nanoseconds.
    pub fn paid(&self) -> u64 {
        must(control().account_read(self.slot), "an account").2
    }
}

/// Waits; faults that come meanwhile end the run.
pub fn sleep(nanoseconds: u64) {
    rt::timer(now() + nanoseconds);
    loop {
        let event = Trap.reply_wait(None);
        if event.token.kind() == Kind::Fault {
            fail(format_args!("a fault: {:x?}", event.message));
        }
        if event.bits & BIT_TIMER != 0 {
            return;
        }
    }
}

/// The next fault.
pub fn fault() -> Event {
    rt::timer(now() + PATIENCE);
    loop {
        let event = Trap.reply_wait(None);
        if event.token.kind() == Kind::Fault {
            rt::timer(0);
            return event;
        }
        if event.bits & BIT_TIMER != 0 {
            fail(format_args!("waited in vain for a fault"));
        }
    }
}

/// Stops whoever faulted.
pub fn dismiss(event: &Event) {
    let message = Message::new(0, [1, 0, 0, 0, 0]);
    Trap.reply(abi::Answer { token: event.token, message });
}

//! A booted core over a model, and the four traps as a thread sees them.

use std::boxed::Box;
use std::vec;

use abi::image::{Counts, Header, Segment};
use abi::kernel::control::{Access, HandleKind, SlotState};
use abi::{Message, Status, Token, trap};

use super::model::Model;
use crate::core::boot::Boot;
use crate::core::hardware::{Exception, Frame, Next, Resume, TrapRegisters, Vcpu};
use crate::core::table::{SlotId, ThreadId};
use crate::core::{CHANNELS, Core, Tables};

/// The only vCPU of most tests.
pub const HERE: Vcpu = Vcpu(0);
/// First page of memory.
pub const FIRST: u32 = 0x100;
/// First page of the image, of four.
pub const IMAGE: u32 = FIRST + 16;
/// Free memory.
pub const FREE: core::ops::Range<u64> = 0x120..0x900;
/// End of memory.
const END: u32 = 0x900;
/// Pages of the supervisor: two of data, two of stack, one of heap.
pub const ROOT_PAGES: u32 = 5;

/// Objects of most tests.
pub const COUNTS: Counts = Counts {
    slots: 8,
    servers: 8,
    regions: 24,
    handles: 96,
    ports: 4,
    windows: 2,
    grants: 40,
    tables: 60,
};

pub fn header(counts: Counts) -> Header {
    let segment = |access, page: u64, bytes, pages| Segment {
        access,
        offset: page << 12,
        bytes,
        address: 0x40_0000 + ((page - 1) << 12),
        pages,
    };
    Header {
        image_bytes: 4 << 12,
        root_bytes: 2 << 12,
        table_bytes: 0,
        counts,
        entry: 0x40_0000,
        stack_pages: 2,
        heap_pages: 1,
        handles: 8,
        segments: [
            Some(segment(Access::Execute, 1, 4096, 1)),
            Some(segment(Access::Write, 2, 5000, 2)),
            None,
            None,
        ],
    }
}

/// Counts a slice of objects as a wide number.
fn some<T: Default + Clone>(count: u32) -> &'static mut [T] {
    Box::leak(vec![T::default(); count as usize].into_boxed_slice())
}

/// Memory for a core; it is never given back, as in the kernel.
pub fn tables(counts: Counts, vcpus: u32) -> Tables<'static> {
    Tables {
        slots: some(counts.slots),
        holdings: some(counts.slots),
        threads: some(counts.servers),
        handles: some(counts.handles),
        regions: some(counts.regions),
        ports: some(counts.ports),
        windows: some(counts.windows),
        grants: some(counts.grants),
        vcpus: some(vcpus),
        frames: some(END - FIRST),
        first_frame: Frame(FIRST),
        channels: some(CHANNELS as u32),
    }
}

/// A core, its machine, and what runs.
#[derive(Debug)]
pub struct World {
    pub core: Core<'static>,
    pub model: Model,
    pub next: Next,
    /// Only what calls and waits change is checked after each step: for tests that leave memory and ports alone.
    pub calls_alone: bool,
    /// The vCPU that is looked at.
    pub here: Vcpu,
}

impl World {
    /// Just booted: the supervisor runs its first instruction.
    pub fn boot() -> Self {
        Self::boot_with(COUNTS, 1)
    }

    pub fn boot_with(counts: Counts, vcpus: u32) -> Self {
        let mut core = Core::new(tables(counts, vcpus));
        let mut model =
            Model { tables_left: counts.tables as usize, now: 1000, ..Model::default() };
        let header = header(counts);
        let boot = Boot {
            header: &header,
            image: Frame(IMAGE),
            free: &[FREE],
            clock: Frame(FIRST + 8),
            boot_page: Frame(FIRST + 9),
            store: Some(Frame(0xf_effc)),
            console: Some(Frame(0xf_effd)),
        };
        core.boot(&mut model, &boot).expect("the supervisor is built");
        let next = core.next(&mut model, HERE);
        Self { core, model, next, calls_alone: false, here: HERE }
    }

    /// Adds a server in a slot of its own, started; it has run to nothing yet.
    pub fn server(&mut self, slot: u16, priority: u8) -> ThreadId {
        self.core.slot_configure(SlotId(slot), priority, 0).expect("a fresh slot");
        let server = self.core.server_create(&mut self.model, SlotId(slot), 12).expect("a server");
        self.core.slot_state(&mut self.model, SlotId(slot), SlotState::Up).unwrap();
        self.core.thread_start(&mut self.model, server, (0x40_0000, 0x2000_0000, 7)).unwrap();
        server
    }

    /// Installs a wire or bell with `badge` and `bits`.
    pub fn wire(
        &mut self,
        from: ThreadId,
        index: u16,
        kind: HandleKind,
        to: u16,
        badge: u32,
        bits: u64,
    ) {
        let target = kind as u64 | u64::from(to) << 16 | u64::from(badge) << 32;
        let target = crate::core::handle::Target::from_word(target);
        self.core.handle_install(from, index, target, bits).expect("a handle");
    }

    /// Says what runs now.
    pub fn settle(&mut self) {
        self.next = self.core.next(&mut self.model, self.here);
        // Miri takes a minute for each look at all pages.
        if self.calls_alone || cfg!(miri) {
            super::audit::check_calls(&self.core);
        } else {
            super::audit::check(&self.core, &mut self.model);
        }
    }

    /// The thread that runs.
    pub fn current(&self) -> Option<ThreadId> {
        match self.next {
            Next::Run { thread, .. } => Some(ThreadId(thread)),
            _ => None,
        }
    }

    /// The current thread traps.
    pub fn trap(&mut self, rax: u64, message: Message) {
        let rip = 0x40_1002;
        let rsp = 0x1fff_f000;
        let registers = TrapRegisters {
            rax,
            rdi: message.label,
            words: message.words,
            rip,
            rsp,
            r12: 9,
            r13: 9,
        };
        self.core.trap(&mut self.model, self.here, registers);
        self.settle();
    }

    /// The current thread, which must be `thread`, traps.
    pub fn trap_as(&mut self, thread: ThreadId, rax: u64, message: Message) {
        assert_eq!(self.current(), Some(thread), "who runs");
        self.trap(rax, message);
    }

    pub fn call(&mut self, thread: ThreadId, handle: u64, label: u64) {
        self.trap_as(thread, handle << 8 | u64::from(trap::CALL), message(label));
    }

    pub fn wait(&mut self, thread: ThreadId) {
        self.trap_as(thread, u64::from(trap::REPLY_WAIT), Message::default());
    }

    pub fn reply_wait(&mut self, thread: ThreadId, token: u64, label: u64) {
        let rax = token & !0xff | u64::from(trap::REPLY_WAIT);
        self.trap_as(thread, rax, message(label));
    }

    pub fn reply(&mut self, thread: ThreadId, token: u64, label: u64) {
        self.trap_as(thread, token & !0xff | u64::from(trap::REPLY), message(label));
    }

    pub fn notify(&mut self, thread: ThreadId, handle: u64) {
        self.trap_as(thread, handle << 8 | u64::from(trap::NOTIFY), Message::default());
    }

    /// The registers with which `thread`, which must run, goes on after its trap.
    pub fn registers(&self, thread: ThreadId) -> TrapRegisters {
        let registers = self.resumed().filter(|_| self.current() == Some(thread));
        registers
            .unwrap_or_else(|| panic!("{thread:?} does not return from a trap: {:?}", self.next))
    }

    /// The registers with which who runs goes on, if that is after a trap.
    pub fn resumed(&self) -> Option<TrapRegisters> {
        match self.next {
            Next::Run { thread, resume: Resume::Trap, .. } => {
                Some(self.core.threads[ThreadId(thread)].registers)
            }
            _ => None,
        }
    }

    /// Status and reply of a call that has returned.
    pub fn returned(&self, thread: ThreadId) -> (Status, Message) {
        let registers = self.registers(thread);
        assert_eq!((registers.r12, registers.r13), (0, 0), "a call returns no badge and no bits");
        (Status::from_word(registers.rax), Message::new(registers.rdi, registers.words))
    }

    /// Token, badge, bits and label of a wait that has returned.
    pub fn event(&self, thread: ThreadId) -> (Token, u64, u64, u64) {
        let registers = self.registers(thread);
        (Token::from_bits(registers.rax), registers.r12, registers.r13, registers.rdi)
    }

    /// An interrupt with one event.
    pub fn interrupt(&mut self, channel: u32) {
        self.core.preempted(self.here);
        if let Some(masked) = self.model.channels.get_mut(&channel) {
            *masked = true;
        }
        self.core.event(&mut self.model, self.here, channel);
        self.settle();
    }

    /// The timer fires at `now`.
    pub fn tick(&mut self, now: u64) {
        self.model.now = now;
        self.model.timer = None;
        self.core.preempted(self.here);
        self.core.timer(&mut self.model, self.here);
        self.settle();
    }

    /// The current thread breaks a rule.
    pub fn exception(&mut self, kind: abi::fault::FaultKind) {
        let exception =
            Exception { kind, address: 0xbad, rip: 0x40_0123, error: 6, rsp: 0x1fff_0000 };
        self.core.exception(&mut self.model, self.here, exception);
        self.settle();
    }

    /// A kernel call by `thread` through `handle`; what it answers.
    pub fn kernel(
        &mut self,
        thread: ThreadId,
        handle: u64,
        label: u64,
        words: [u64; 5],
    ) -> Message {
        self.trap_as(thread, handle << 8 | u64::from(trap::CALL), Message::new(label, words));
        let (status, message) = self.returned(thread);
        assert_eq!(status, Status::Ok);
        message
    }
}

/// A message whose words follow from its label.
pub fn message(label: u64) -> Message {
    Message::new(label, core::array::from_fn(|i| label * 10 + i as u64))
}

//! What the tests of the supervisor share: a kernel that is a model, a small system, and a host that listens.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod image;
pub mod kernel;

use std::fmt::Arguments;
use std::sync::{Arc, Mutex, MutexGuard};

use abi::kernel::{control, own};
use abi::token::Kind;
use abi::trap::BIT_TIMER;
use abi::{Badge, Call, Event, Handle, Message, Token};
use ipc::loopback::{End, Loopback};
use ipc::system::WireMemory;
use kernel::{Fake, Own};
use shared::{HostMemory, Memory};
use supervisor::{Host, Supervisor};

pub const MS: u64 = 1_000_000;

/// What the supervisor said, and what time it is.
#[derive(Default)]
pub struct Heard {
    pub now: u64,
    pub log: Vec<String>,
    pub debug: Vec<String>,
    pub log_memory: Option<WireMemory>,
}

#[derive(Clone)]
pub struct Ears {
    heard: Arc<Mutex<Heard>>,
    scratch: Memory,
    shared: Memory,
}

impl Host for Ears {
    fn now(&mut self) -> u64 {
        self.heard.lock().unwrap().now
    }
    fn open_log(&mut self, memory: WireMemory) {
        self.heard.lock().unwrap().log_memory = Some(memory);
    }
    fn log(&mut self, line: Arguments<'_>) {
        self.heard.lock().unwrap().log.push(line.to_string());
    }
    fn debug(&mut self, line: Arguments<'_>) {
        self.heard.lock().unwrap().debug.push(line.to_string());
    }
    fn scratch(&self) -> Memory {
        self.scratch
    }
    fn shared(&self, address: u64, pages: u32) -> Memory {
        assert_eq!((address, pages), (image::STATUS_AT, 2));
        self.shared
    }
}

/// A supervisor that runs on a fake kernel.
pub struct Bench {
    pub supervisor: Supervisor<'static, End, Ears>,
    pub fake: Arc<Mutex<Fake>>,
    pub own: Arc<Mutex<Own>>,
    pub heard: Arc<Mutex<Heard>>,
    pub shared: Memory,
    end: End,
    generation: u32,
}

/// The parts of a bench before the supervisor runs.
pub struct Parts {
    pub end: End,
    pub fake: Arc<Mutex<Fake>>,
    pub own: Arc<Mutex<Own>>,
    pub ears: Ears,
}

pub fn parts() -> Parts {
    let loopback = Loopback::new();
    let end = loopback.end();
    let scratch = HostMemory::leak(32);
    let fake = Arc::new(Mutex::new(Fake::new(scratch)));
    let own = Arc::new(Mutex::new(Own::default()));
    let (kernel, of_own) = (fake.clone(), own.clone());
    loopback.kernel(&end, Handle::CONTROL, move |message| {
        kernel::answer(|call| control::dispatch(&mut *kernel.lock().unwrap(), call), message)
    });
    loopback.kernel(&end, Handle::OWN, move |message| {
        kernel::answer(|call| own::dispatch(&mut *of_own.lock().unwrap(), call), message)
    });
    let ears = Ears { heard: Arc::default(), scratch, shared: HostMemory::leak(2) };
    Parts { end, fake, own, ears }
}

impl Bench {
    pub fn new(image: &'static [u8], command_line: &str) -> Result<Self, String> {
        let parts = parts();
        Self::on(parts, image, command_line)
    }

    pub fn on(parts: Parts, image: &'static [u8], command_line: &str) -> Result<Self, String> {
        let Parts { end, fake, own, ears } = parts;
        let (heard, shared) = (ears.heard.clone(), ears.shared);
        let supervisor = supervisor::boot(end, ears, image, command_line)?;
        Ok(Self { supervisor, fake, own, heard, shared, end, generation: 0 })
    }

    pub fn started() -> Self {
        Self::new(image::sample(), "").unwrap()
    }

    pub fn kernel(&self) -> MutexGuard<'_, Fake> {
        self.fake.lock().unwrap()
    }

    /// Regions that the supervisor made, servers, and free pages.
    pub fn inventory(&self) -> (usize, usize, u32) {
        let kernel = self.kernel();
        (kernel.made(), kernel.servers.len(), kernel.free)
    }

    pub fn log(&self) -> Vec<String> {
        self.heard.lock().unwrap().log.clone()
    }

    pub fn debug(&self) -> Vec<String> {
        self.heard.lock().unwrap().debug.clone()
    }

    /// Delivers a call of a client and gives the reply's label and words.
    pub fn call(&mut self, badge: Badge, message: Message) -> Message {
        self.ask(badge, message).expect("an answer at once")
    }

    /// The same, for a call whose answer may come later.
    pub fn ask(&mut self, badge: Badge, message: Message) -> Option<Message> {
        self.generation += 1;
        let token = Token::new(Kind::Call, 9, self.generation);
        let event = Event { bits: 0, token, badge, message };
        self.supervisor.handle(&event).map(|answer| answer.message)
    }

    /// The server of `slot` faults by reading address 0.
    pub fn fault(&mut self, slot: u16) {
        let server = self.kernel().server_of(slot).expect("it runs");
        self.fault_of(server);
    }

    /// A server faults by reading address 0.
    pub fn fault_of(&mut self, server: u16) {
        let message = Message::new(5, [u64::from(server), 0, 0x40_0010, 4, 0]);
        let token = Token::new(Kind::Fault, server, 1);
        let event = Event { bits: 0, token, badge: Badge::default(), message };
        assert_eq!(self.supervisor.handle(&event), None);
    }

    /// Lets the next wait return at once.
    pub fn interrupt(&self) {
        self.end.set_bits(1);
    }

    /// The timer goes off at `now`.
    pub fn timer(&mut self, now: u64) {
        self.heard.lock().unwrap().now = now;
        self.supervisor.handle(&Event { bits: BIT_TIMER, ..Event::default() });
    }

    pub fn set_time(&self, now: u64) {
        self.heard.lock().unwrap().now = now;
    }
}

/// A call without a token, as a kernel interface gets it.
pub fn bare(message: Message) -> Call {
    Call { token: Token::NONE, badge: Badge::default(), message }
}

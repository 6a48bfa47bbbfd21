//! The server with fakes around it, and operators who speak to it.
#![allow(dead_code)]

use std::sync::{Arc, Mutex};

use abi::Handle;
use front::fake::{PORT, Rig, WINDOW};
use ipc::Wire;
use ipc::history::{Death, Event};
use ipc::loopback::{End, Swapping};
use ipc::manage::{ANSWER, Action, Answer, Frames, PROTOCOL, REQUEST, Refusal, Request};
use ipc::serve::Serve;
use ipc::state::{Damaged, Reader};
use ipc::status::{SlotStatus, Snapshot, State};
use manage::{Manage, Setup};
use shared::bytes::Producer;
use shared::{HostMemory, Memory};

use crate::client::Client;

const PAGES: usize = ipc::vchan::WIRE.up as usize;
const ADDRESS: u64 = 0x7_0000;
/// The server's start record.
const HEADER: abi::start::Header = abi::start::Header {
    slot: 1,
    needs: 0,
    clients: 0,
    incarnation: 0,
    heap_pages: 0,
    stack_pages: 0,
    state: 0,
    state_bytes: 0,
    keep_pages: 0,
    is_kept: false,
};
/// Where the fake kernel's references begin.
const REFERENCE: u32 = 512;

pub fn hello(number: u64) -> Request {
    Request::Hello { protocol: PROTOCOL, number }
}

pub fn event(number: u64) -> Event {
    Event { number, at: 5, server: "httpd".into(), text: "is stopped".into() }
}

fn snapshot() -> Snapshot {
    let server = |name: &str| SlotStatus {
        name: name.into(),
        state: State::Waiting,
        priority: 1,
        restarts: 0,
        pages: 1,
        cpu: 1,
        calls: 1,
        served: 1,
        paid: 1,
        granted: 1,
        age: 1,
        vcpu: 0,
        image: name.into(),
        version: "v1".into(),
        build: [0; 4],
        held: Default::default(),
    };
    Snapshot {
        system: "web".into(),
        uptime: 1,
        entry: 0,
        xen: (4, 20),
        domain: 1,
        vcpus: 1,
        memory: 1,
        free: 1,
        kernel: 1,
        upcalls: 1,
        lock: Default::default(),
        flushes: 0,
        servers: ["supervisor", "manage", "httpd"].map(server).to_vec(),
    }
}

pub fn status() -> Answer {
    Answer::Status(snapshot())
}

type Acts = Arc<Mutex<Vec<(u16, Action)>>>;

/// The supervisor.
pub struct Supervisor {
    traps: End,
    acts: Acts,
}

impl manage::Operator for Supervisor {
    fn now(&self) -> u64 {
        abi::kernel::own::Client::new(self.traps, Handle::OWN).now().unwrap()
    }
    fn snapshot(&mut self) -> Option<Snapshot> {
        Some(snapshot())
    }
    fn events(&mut self, from: u64) -> Option<Vec<Event>> {
        Some(vec![event(from)])
    }
    fn deaths(&mut self, _: u64) -> Option<Vec<Death>> {
        Some(vec![])
    }
    fn act(&mut self, slot: u16, action: Action) -> Result<(), Refusal> {
        self.acts.lock().unwrap().push((slot, action));
        Ok(())
    }
}

type Adopt = Box<dyn Fn(Reader<'_>) -> Result<Manage<End, Supervisor>, Damaged>>;
type Server = Swapping<Manage<End, Supervisor>, Adopt>;

/// An operator.
pub struct Operator {
    pub client: Client,
    frames: Frames,
}

impl Operator {
    pub fn try_say(&mut self, request: &Request) -> bool {
        let frame = ipc::manage::frame(request, REQUEST).unwrap();
        self.client.room() >= frame.len() && self.client.write(&frame) == frame.len()
    }

    pub fn say(&mut self, request: &Request) {
        assert!(self.try_say(request));
    }

    /// The next answer, if all of it is there and is one.
    pub fn read(&mut self) -> Option<Answer> {
        self.frames.push(&self.client.read());
        self.frames.take().ok()?.and_then(|frame| ipc::manage::value(&frame))
    }
}

pub struct Bench {
    pub rig: Rig,
    pub pages: Memory,
    server: Server,
    acts: Acts,
    log: Producer,
    source: Wire,
    is_new: bool,
    every: u64,
}

impl Bench {
    pub fn new() -> Self {
        Self::swapping(0)
    }

    /// With a server that is swapped behind one of so many turns.
    pub fn swapping(every: u64) -> Self {
        let rig = Rig::new();
        let pages = HostMemory::leak(PAGES);
        rig.machine().map(ADDRESS, pages);
        rig.machine().now = 1_000_000_000;
        let source = rig.client(HostMemory::leak(5), HostMemory::leak(1));
        let log = Producer::open(ipc::console::ring(source.up, source.down).unwrap()).unwrap();
        let acts = Acts::default();
        let server = Self::server(&rig, pages, source, (&acts, every));
        let is_new = true;
        let mut bench = Self { rig, pages, server, acts, log, source, is_new, every };
        bench.server.bits(0);
        bench.run();
        bench
    }

    fn server(rig: &Rig, pages: Memory, source: Wire, (acts, every): (&Acts, u64)) -> Server {
        let setup = Setup { port: PORT, window: WINDOW, pages, address: ADDRESS };
        let (traps, store, acts) = (rig.traps(), rig.store(), acts.clone());
        let own = move || (HEADER, Supervisor { traps, acts: acts.clone() });
        let server = Manage::new(traps, setup, store, vec![source], own());
        let adopt =
            move |state: Reader<'_>| Manage::adopt(traps, setup, store, vec![source], own(), state);
        Swapping::new(server, every, Box::new(adopt))
    }

    /// Another incarnation, while these references are still mapped.
    pub fn restart(&mut self, mapped: &[u32]) {
        self.rig.machine().mapped.extend(mapped);
        self.rig.machine().is_open = false;
        let how = (&self.acts, self.every);
        self.server = Self::server(&self.rig, self.pages, self.source, how);
        self.is_new = true;
        self.server.bits(0);
        self.run();
    }

    pub fn run(&mut self) {
        self.rig.run(&mut self.server);
    }

    /// The other domain sends its event, and the server comes to rest.
    pub fn turn(&mut self) {
        self.rig.send_event();
        self.run();
    }

    pub fn sleep(&mut self) {
        assert!(self.rig.sleep(&mut self.server));
    }

    /// Somebody connects.
    pub fn connect(&mut self) -> Operator {
        let client = Client::connect(self.pages, REFERENCE);
        self.turn();
        Operator { client, frames: Frames::new(ANSWER) }
    }

    /// Somebody connects and says hello.
    pub fn operator(&mut self) -> Operator {
        let mut operator = self.connect();
        let welcome = Answer::Welcome { protocol: PROTOCOL, number: 77 };
        assert_eq!(self.ask(&mut operator, &hello(77)), welcome);
        operator
    }

    pub fn leave(&mut self, mut operator: Operator) {
        operator.client.leave();
        self.turn();
    }

    /// What is constant in the page is as it was, after somebody overwrote it.
    pub fn mend(&self) {
        let (left, right) = ipc::vchan::ORDERS;
        self.pages.write(16, &left.to_le_bytes());
        self.pages.write(18, &right.to_le_bytes());
        for at in 0..PAGES - 1 {
            self.pages.store_u32_relaxed(24 + at * 4, REFERENCE + 1 + at as u32);
        }
    }

    pub fn ask(&mut self, operator: &mut Operator, request: &Request) -> Answer {
        operator.say(request);
        self.hear(operator)
    }

    pub fn hear(&mut self, operator: &mut Operator) -> Answer {
        self.try_hear(operator).expect("an answer")
    }

    pub fn try_hear(&mut self, operator: &mut Operator) -> Option<Answer> {
        (0..20).find_map(|_| {
            self.turn();
            operator.read()
        })
    }

    /// Writes lines to the log.
    pub fn log(&mut self, lines: &str) {
        assert_eq!(self.log.write(lines.as_bytes()), Ok(lines.len()));
        if self.log.publish() || core::mem::take(&mut self.is_new) {
            self.rig.ring();
        }
        self.run();
    }

    /// How often the server was swapped.
    pub fn swaps(&self) -> u64 {
        self.server.swaps()
    }

    /// What the supervisor was asked to do since the last call.
    pub fn acts(&self) -> Vec<(u16, Action)> {
        core::mem::take(&mut self.acts.lock().unwrap())
    }
}

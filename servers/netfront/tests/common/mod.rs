//! A driver with its client, its xenstore, and a back end.
#![allow(dead_code)]

use abi::Badge;
use front::Place;
use front::fake::{PORT, Rig, WINDOW};
use ipc::nic::{self, Complete, QUEUE, RECEIVE, Server, Submit, TRANSMIT, WIRE};
use netfront::{Card, Netfront, Pool};
use shared::queue::Client;
use shared::{HostMemory, Memory, PAGE};
use xen::fake::{Frame, Netback};

pub const MAC: &str = "00:16:3e:01:02:03";
const UP: u64 = 0x2000_0000;
const DOWN: u64 = 0x2100_0000;

pub type Nic = Netfront<ipc::loopback::End>;

pub struct Bench {
    pub rig: Rig,
    pub server: Nic,
    pub up: Memory,
    pub down: Memory,
    pub own: String,
    pub backend: String,
    pub back: Option<Netback>,
}

impl Bench {
    /// A driver that was started; no device is there.
    pub fn empty() -> Self {
        let rig = Rig::new();
        let (up, down) = (HostMemory::leak(WIRE.up as usize), HostMemory::leak(WIRE.down as usize));
        rig.machine().map(UP, up);
        rig.machine().map(DOWN, down);
        let server = start(&rig, up, down);
        let (own, backend) = (String::new(), String::new());
        Self { rig, server, up, down, own, backend, back: None }
    }

    /// A driver with a device whose backend waits for it.
    pub fn plugged() -> Self {
        let mut bench = Self::empty();
        let nodes = [("feature-rx-copy", "1"), ("mac", MAC)];
        (bench.own, bench.backend) = bench.rig.plug("vif", 0, &nodes);
        bench.run();
        bench
    }

    /// A driver that is connected.
    pub fn connected() -> Self {
        let mut bench = Self::plugged();
        bench.connect();
        bench
    }

    /// The backend connects to what was published.
    pub fn connect(&mut self) {
        assert_eq!(self.state(), "4");
        self.attach();
        self.set_backend("4");
    }

    pub fn attach(&mut self) {
        let reference = |name: &str| self.rig.tree().number(&format!("{}/{name}", self.own));
        let (transmit, receive) = (reference("tx-ring-ref"), reference("rx-ring-ref"));
        let machine = self.rig.machine();
        let pages = (machine.page(transmit), machine.page(receive));
        self.back = Some(Netback::attach(pages.0, pages.1, machine.grants()));
    }

    /// A new driver takes the place of the one that died.
    pub fn restart(&mut self) {
        self.server = start(&self.rig, self.up, self.down);
    }

    pub fn run(&mut self) -> usize {
        self.rig.run(&mut self.server)
    }

    pub fn sleep(&mut self) -> bool {
        self.rig.sleep(&mut self.server)
    }

    pub fn state(&self) -> String {
        self.own_node("state").unwrap_or_default()
    }

    pub fn own_node(&self, name: &str) -> Option<String> {
        self.rig.tree().get(&format!("{}/{name}", self.own)).map(String::from)
    }

    pub fn set_backend(&mut self, state: &str) {
        self.rig.tree().set(&format!("{}/state", self.backend), state);
        self.run();
    }

    pub fn back(&mut self) -> &mut Netback {
        self.back.as_mut().expect("the backend is connected")
    }

    pub fn open(&mut self) -> Result<(u64, u32), nic::Error> {
        self.server.open(Badge::default())
    }

    pub fn link(&mut self) -> bool {
        self.server.link(Badge::default()).unwrap()
    }

    /// A client in a new session.
    pub fn client(&mut self) -> Net {
        let queue = Client::open(QUEUE, self.up, self.down).unwrap();
        self.open().unwrap();
        let mut net = Net { queue };
        net.answers();
        net
    }

    /// Rings the driver if `is_wanted`, and lets it run.
    pub fn ring(&mut self, is_wanted: bool) {
        if is_wanted {
            self.rig.ring();
        }
        self.run();
    }

    /// All frames that the backend gets, with the event that their answers send.
    pub fn collect(&mut self) -> Vec<Frame> {
        let (frames, ring) = self.back().collect();
        if ring {
            self.rig.send_event();
        }
        self.run();
        frames
    }

    pub fn deliver(&mut self, frame: &Frame, chunk: usize) {
        if self.back().deliver(frame, chunk, 2).expect("pages are posted") {
            self.rig.send_event();
        }
        self.run();
    }
}

fn start(rig: &Rig, up: Memory, down: Memory) -> Nic {
    let setup = front::Setup {
        store: rig.store(),
        port: PORT,
        window: WINDOW,
        references: Pool::REFERENCES,
        place: Place::At("device/vif/0".into()),
    };
    let wire = rig.client(up, down);
    let card = Card::new(wire, Pool::new(down, UP, DOWN));
    let mut server = Netfront::new(rig.traps(), setup, wire.handle, card);
    server.start();
    rig.run(&mut server);
    server
}

/// The client.
pub struct Net {
    pub queue: Client<Submit, Complete>,
}

impl Net {
    /// Submits a frame; says whether to ring.
    pub fn send(&mut self, buffer: u16, bytes: &[u8]) -> bool {
        self.queue.up().copy_to(usize::from(buffer) * 2048, bytes);
        self.submit(TRANSMIT, buffer, bytes.len() as u16)
    }

    pub fn submit(&mut self, kind: u16, buffer: u16, length: u16) -> bool {
        self.queue.submit(&Submit { kind, buffer, length, ..Submit::default() }).unwrap();
        self.queue.publish()
    }

    pub fn post(&mut self, buffers: core::ops::Range<u16>) -> bool {
        buffers.map(|buffer| self.submit(RECEIVE, buffer, 0)).fold(false, |all, one| all | one)
    }

    pub fn answers(&mut self) -> Vec<Complete> {
        let mut answers = Vec::new();
        while let Some(answer) = self.queue.complete().unwrap() {
            answers.push(answer);
        }
        let _ = self.queue.publish();
        let _ = self.queue.arm();
        answers
    }

    pub fn bytes(&self, answer: &Complete) -> Vec<u8> {
        let mut bytes = vec![0; usize::from(answer.length)];
        let at = usize::from(answer.buffer) * PAGE + usize::from(answer.offset);
        self.queue.down().copy_from(at, &mut bytes);
        bytes
    }
}

pub fn frame(length: usize) -> Frame {
    Frame { bytes: (0..length).map(|at| (at * 7 + at / 256) as u8).collect(), is_blank: false }
}

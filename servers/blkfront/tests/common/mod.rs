//! A driver with its client, its xenstore, and a back end.
#![allow(dead_code)]

use abi::Badge;
use blkfront::{Blkfront, Drive, Pool};
use front::Place;
use front::fake::{PORT, Rig, WINDOW};
use ipc::block::{self, Complete, QUEUE, Request, Server, WIRE};
use shared::queue::Client;
use shared::{HostMemory, Memory, PAGE};
use xen::fake::Blkback;

pub const SECTORS: usize = 4096;
const UP: u64 = 0x2000_0000;
const DOWN: u64 = 0x2100_0000;

pub type Blk = Blkfront<ipc::loopback::End>;

pub struct Bench {
    pub rig: Rig,
    pub server: Blk,
    pub up: Memory,
    pub down: Memory,
    pub own: String,
    pub backend: String,
    pub back: Option<Blkback>,
}

/// What the backend says of the disk.
pub const DISK: [(&str, &str); 4] =
    [("sectors", "4096"), ("sector-size", "512"), ("info", "0"), ("feature-flush-cache", "1")];

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

    /// A driver with a disk whose backend waits for it.
    pub fn plugged(nodes: &[(&str, &str)]) -> Self {
        let mut bench = Self::empty();
        (bench.own, bench.backend) = bench.rig.plug("vbd", 51712, nodes);
        bench.run();
        bench
    }

    /// A driver that is connected to a disk of `SECTORS` zeros.
    pub fn connected() -> Self {
        let mut bench = Self::plugged(&DISK);
        bench.connect(vec![0; SECTORS * 512]);
        bench
    }

    /// The backend connects to what was published.
    pub fn connect(&mut self, disk: Vec<u8>) {
        assert_eq!(self.state(), "3");
        let ring = self.rig.tree().number(&format!("{}/ring-ref", self.own));
        let grants = self.rig.machine().grants();
        let page = self.rig.machine().page(ring);
        self.back = Some(Blkback::attach(page, grants, disk));
        self.set_backend("4");
    }

    /// The backend closes and waits for a new connection; gives what was on the disk.
    pub fn lose(&mut self) -> Vec<u8> {
        let disk = core::mem::take(&mut self.back().disk);
        for state in ["5", "6", "2"] {
            self.set_backend(state);
        }
        disk
    }

    /// The backend connects again, with the same disk.
    pub fn reconnect(&mut self) {
        let disk = self.lose();
        self.connect(disk);
    }

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

    pub fn back(&mut self) -> &mut Blkback {
        self.back.as_mut().expect("the backend is connected")
    }

    pub fn open(&mut self) -> Result<(u64, u32, bool, bool), block::Error> {
        self.server.open(Badge::default())
    }

    /// A client in a new session.
    pub fn client(&mut self) -> Fs {
        let queue = Client::open(QUEUE, self.up, self.down).unwrap();
        self.open().unwrap();
        let mut fs = Fs { queue };
        fs.answers();
        fs
    }

    /// Rings the driver if `is_wanted`, and lets it run.
    pub fn ring(&mut self, is_wanted: bool) {
        if is_wanted {
            self.rig.ring();
        }
        self.run();
    }

    /// The backend does all that waits.
    pub fn serve(&mut self) {
        if self.back().serve_all() {
            self.rig.send_event();
        }
        self.run();
    }
}

fn start(rig: &Rig, up: Memory, down: Memory) -> Blk {
    let setup = front::Setup {
        store: rig.store(),
        port: PORT,
        window: WINDOW,
        references: Pool::REFERENCES,
        place: Place::Below("device/vbd".into()),
    };
    let wire = rig.client(up, down);
    let drive = Drive::new(wire, Pool::new(down, UP, DOWN));
    let mut server = Blkfront::new(rig.traps(), setup, wire.handle, drive);
    server.start();
    rig.run(&mut server);
    server
}

/// The client.
pub struct Fs {
    pub queue: Client<Request, Complete>,
}

impl Fs {
    /// Submits a request; says whether to ring.
    pub fn submit(
        &mut self,
        id: u32,
        operation: u32,
        sector: u64,
        sectors: u32,
        page: u32,
    ) -> bool {
        self.queue.submit(&Request { id, operation, sector, sectors, page }).unwrap();
        self.queue.publish()
    }

    /// Writes a byte all over a page of the own data.
    pub fn fill(&self, page: usize, byte: u8) {
        self.queue.up().fill(page * PAGE, PAGE, byte);
    }

    /// The first byte of a page that was read.
    pub fn byte(&self, page: usize) -> u8 {
        self.queue.down().read(page * PAGE)
    }

    /// Number and status of each answer.
    pub fn answers(&mut self) -> Vec<(u32, u32)> {
        let mut answers = Vec::new();
        while let Some(answer) = self.queue.complete().unwrap() {
            answers.push((answer.id, answer.status));
        }
        let _ = self.queue.publish();
        let _ = self.queue.arm();
        answers
    }
}

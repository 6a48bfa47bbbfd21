//! A broker between a fake xenstored and fake clients.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fmt::Arguments;
use std::sync::{Arc, Mutex};

use abi::kernel::control::Shutdown;
use abi::{Badge, Handle, Word};
use ipc::Wire;
use ipc::loopback::{End, Loopback};
use ipc::serve::Serve;
use ipc::xenstore::{Error, Failure, Kind, Operation, Server};
use shared::{HostMemory, Memory};
use xen::fake::Xenstored;
use xen::store::{Connection, Rest};
use xenstore::{Broker, Domain, Grant};

pub const PORT: Handle = Handle(4);
pub const NET: u16 = 0;
pub const DISK: u16 = 1;
pub const NOBODY: u16 = 2;

#[derive(Default)]
pub struct Heard {
    pub peers: Vec<(u16, u16)>,
    pub ended: Vec<Shutdown>,
    pub log: Vec<String>,
    pub again: u32,
}

#[derive(Clone, Default)]
pub struct Ears(pub Arc<Mutex<Heard>>);

impl Domain for Ears {
    fn peer(&mut self, client: u16, domain: u16) -> bool {
        self.0.lock().unwrap().peers.push((client, domain));
        domain != 66
    }
    fn shutdown(&mut self, reason: Shutdown) {
        self.0.lock().unwrap().ended.push(reason);
    }
    fn again(&mut self) {
        self.0.lock().unwrap().again += 1;
    }
    fn log(&mut self, line: Arguments<'_>) {
        self.0.lock().unwrap().log.push(line.to_string());
    }
}

/// What was collected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    Done(u32, Vec<u8>),
    Failed(Failure),
    Fired(u32, String),
}

pub struct Bench {
    pub broker: Broker<End, Ears>,
    pub store: Xenstored,
    pub page: Memory,
    pub heard: Ears,
    pub end: End,
    pub wires: Vec<Wire>,
    pub incarnations: [u8; 3],
}

impl Bench {
    pub fn new() -> Self {
        let page = HostMemory::leak(1);
        let mut store = Xenstored::attach(page, 0);
        store.set("/local/domain/1/control/shutdown", "");
        for (device, domain) in [("vif/0", "0"), ("vbd/1", "3"), ("vbd/2", "0")] {
            let own = format!("/local/domain/1/device/{device}");
            let class = device.split('/').next().unwrap();
            store.set(
                &format!("{own}/backend"),
                &format!("/local/domain/{domain}/backend/{class}/1/0"),
            );
            store.set(&format!("{own}/backend-id"), domain);
            store.set(&format!("{own}/state"), "1");
        }
        store.set("/local/domain/0/backend/vif/1/0/state", "2");
        store.set("/local/domain/0/backend/vbd/1/0/state", "4");
        Self::with(page, store)
    }

    pub fn with(page: Memory, store: Xenstored) -> Self {
        let end = Loopback::new().end();
        let wire = |n: u16| Wire {
            handle: Handle(10 + n),
            bits: 1 << n,
            up: HostMemory::leak(2),
            down: HostMemory::leak(2),
        };
        let wires: Vec<Wire> = (0..3).map(wire).collect();
        let grants = ["device/vif/0", "device/vbd", ""].map(Grant::new);
        let clients = wires.iter().copied().zip(grants).map(Some).collect();
        let heard = Ears::default();
        let connection = Connection::open(page, 7, Rest::default()).ok();
        let broker = Broker::new(end, PORT, connection, clients, heard.clone());
        let mut bench = Self { broker, store, page, heard, end, wires, incarnations: [0; 3] };
        bench.run();
        bench
    }

    /// Lets both run until nothing moves.
    pub fn run(&mut self) {
        for _ in 0..1000 {
            let rung = self.end.notified(PORT);
            self.broker.bits(1);
            if !self.store.run() && self.end.notified(PORT) == rung {
                return;
            }
        }
        panic!("it never stands still");
    }

    pub fn badge(&self, client: u16) -> Badge {
        Badge::new(0, client, self.incarnations[usize::from(client)])
    }

    pub fn post(
        &mut self,
        client: u16,
        operation: Operation,
        transaction: u32,
        path: &str,
        value: &str,
    ) -> Result<u32, Error> {
        let up = self.wires[usize::from(client)].up;
        up.copy_to(0, path.as_bytes());
        up.copy_to(path.len(), value.as_bytes());
        let badge = self.badge(client);
        self.broker.post(badge, operation, transaction, path.len() as u32, value.len() as u32)
    }

    pub fn collect(&mut self, client: u16) -> Option<(u32, Got)> {
        let (kind, number, code, length) = self.broker.collect(self.badge(client)).unwrap();
        let mut bytes = vec![0; length as usize];
        self.wires[usize::from(client)].down.copy_from(0, &mut bytes);
        match kind {
            Kind::Nothing => None,
            Kind::Done => Some((number, Got::Done(code, bytes))),
            Kind::Failed => {
                Some((number, Got::Failed(Failure::from_word(u64::from(code)).unwrap())))
            }
            Kind::Fired => Some((number, Got::Fired(number, String::from_utf8(bytes).unwrap()))),
            Kind::Lost => panic!("nothing was lost"),
        }
    }

    pub fn collect_all(&mut self, client: u16) -> Vec<Got> {
        std::iter::from_fn(|| self.collect(client)).map(|(_, got)| got).collect()
    }

    /// Asks and waits for the answer; events that come before it are dropped.
    pub fn ask(
        &mut self,
        client: u16,
        operation: Operation,
        transaction: u32,
        path: &str,
        value: &str,
    ) -> Got {
        let number = self.post(client, operation, transaction, path, value).unwrap();
        self.run();
        loop {
            match self.collect(client).expect("an answer") {
                (_, Got::Fired(..)) => {}
                (answered, got) => {
                    assert_eq!(answered, number);
                    return got;
                }
            }
        }
    }

    pub fn read(&mut self, client: u16, path: &str) -> Got {
        self.ask(client, Operation::Read, 0, path, "")
    }

    pub fn begin(&mut self, client: u16) -> u32 {
        match self.ask(client, Operation::Begin, 0, "", "") {
            Got::Done(transaction, _) => transaction,
            other => panic!("{other:?}"),
        }
    }
}

pub fn bytes(text: &str) -> Got {
    Got::Done(0, text.as_bytes().to_vec())
}

pub const DONE: Got = Got::Done(0, Vec::new());

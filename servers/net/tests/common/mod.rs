//! A stack under test, its card, and its clients, each in a thread of its own.
#![allow(dead_code)]

use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::interface::Caller;
use abi::kernel::own;
use abi::{Answer, Badge, Call, Handle, Token, Traps};
use ipc::loopback::{End, Loopback, now};
use ipc::serve::{Serve, turn};
use ipc::socket::client::Sockets;
use ipc::socket::{Complete, OK};
use ipc::supervisor::{self, EventKind};
use ipc::{Host, Wire, nic, socket};
use net::peer::{Cable, Card};
use net::{Config, Net};
use shared::HostMemory;
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv4Cidr};

/// Time of the host; lines are kept.
#[derive(Clone, Default)]
pub struct Place(pub Arc<Mutex<Vec<String>>>);

impl Host for Place {
    fn now(&self) -> u64 {
        now()
    }
    fn log(&self, line: Arguments<'_>) {
        self.0.lock().unwrap().push(line.to_string());
    }
}

/// The stack's address, and its peer's.
pub const OWN: IpAddress = IpAddress::Ipv4(Ipv4Address::new(10, 0, 3, 15));
pub const PEER: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::new(10, 0, 3, 9), 24);
pub const CONFIG: &str = "address=10.0.3.15/24 gateway=10.0.3.2";

/// A handle of every client: its wire to the server.
pub const SERVER: Handle = Handle(2);
/// A handle of the stack: the wire to its card.
pub const NIC: Handle = Handle(3);

/// A stack with its card.
pub struct World {
    pub loopback: &'static Loopback,
    pub net: End,
    pub card: End,
    pub cable: Cable,
    pub place: Place,
    pub nic: Wire,
    /// The stack's ends of its clients' wires.
    pub bells: Vec<Wire>,
    pub events: Events,
    stop: Arc<AtomicBool>,
}

/// Serves in a thread, until it is told to stop.
pub fn serve<S: Serve + 'static>(
    end: End,
    make: impl FnOnce() -> S + Send + 'static,
) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let mut server = make();
        let mut answer = None;
        while !stopped.load(Ordering::SeqCst) {
            answer = turn(&end, &mut server, answer);
        }
    });
    stop
}

/// The supervisor's events for the stack.
#[derive(Clone, Default)]
pub struct Events(pub Arc<Mutex<Vec<(EventKind, Badge)>>>);

impl supervisor::Server for Events {
    fn ready(&mut self, _: Badge) -> Result<(), supervisor::Error> {
        Ok(())
    }
    fn next_event(&mut self, _: Badge) -> Result<(EventKind, u32), supervisor::Error> {
        let (kind, badge) =
            self.0.lock().unwrap().pop().unwrap_or((EventKind::None, Badge::default()));
        Ok((kind, badge.bits()))
    }
    fn peer(&mut self, _: Badge, _: u16, _: u16) -> Result<(), supervisor::Error> {
        Err(supervisor::Error::NotAllowed)
    }
    fn quiesced(
        &mut self,
        caller: Caller<(), supervisor::Error>,
        _: u64,
        _: u64,
        _: u64,
    ) -> Option<Answer> {
        Some(caller.answer(Err(supervisor::Error::NotAllowed)))
    }
    fn cannot_quiesce(&mut self, _: Badge, _: u64) -> Result<(), supervisor::Error> {
        Err(supervisor::Error::NotAllowed)
    }
    fn adopted(&mut self, caller: Caller<(), supervisor::Error>, _: u64) -> Option<Answer> {
        Some(caller.answer(Err(supervisor::Error::NotAllowed)))
    }
}

/// Runs a client until `step` gives something, for at most ten seconds.
pub fn run<R>(
    end: &End,
    sockets: &mut Sockets<End>,
    mut step: impl FnMut(&mut Sockets<End>) -> Option<R>,
) -> R {
    let late = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(result) = step(sockets) {
            let _ = sockets.flush();
            return result;
        }
        assert!(Instant::now() < late, "nothing happened for ten seconds");
        if !sockets.flush() {
            own::Client::new(*end, Handle::OWN).timer(now() + 1_000_000_000).unwrap();
            end.reply_wait(None);
        }
    }
}

/// The answer to a request that was just made.
pub fn answer(end: &End, sockets: &mut Sockets<End>) -> Complete {
    run(end, sockets, Sockets::answer)
}

/// The answer to a request, which must be good.
pub fn done(end: &End, sockets: &mut Sockets<End>) -> Complete {
    let answer = answer(end, sockets);
    assert_eq!(answer.status, OK, "{answer:?}");
    answer
}

impl World {
    /// A stack with this configuration and places for `clients` clients.
    pub fn new(config: &str, clients: u16) -> Self {
        let loopback = Loopback::new();
        let (net, card) = (loopback.end(), loopback.end());
        loopback.own(&net);
        let (up, down) =
            (HostMemory::leak(nic::WIRE.up as usize), HostMemory::leak(nic::WIRE.down as usize));
        loopback.wire(&net, NIC, &card, Badge::new(0, 0, 0), 1);
        loopback.bell(&card, Handle(2), &net, 1);
        let cable = Cable::default();
        let card_wire = Wire { handle: Handle(2), bits: 1, up, down };
        let plug = cable.clone();
        serve(card, move || Card::new(card, card_wire, plug));
        let nic = Wire { handle: NIC, bits: 1, up, down };
        let bells = (0..clients).map(Self::bell).collect();
        let events = Events::default();
        let mut supervisor = events.clone();
        loopback.kernel(&net, Handle::SUPERVISOR, move |message| {
            let call = Call { token: Token::NONE, badge: Badge::default(), message };
            supervisor::dispatch(&mut supervisor, &call).unwrap().message
        });
        let (place, stop) = (Place::default(), Arc::default());
        let mut world = Self { loopback, net, card, cable, place, nic, bells, events, stop };
        world.start(config);
        world
    }

    fn bell(client: u16) -> Wire {
        let (up, down) = (
            HostMemory::leak(socket::WIRE.up as usize),
            HostMemory::leak(socket::WIRE.down as usize),
        );
        Wire { handle: Handle(10 + client), bits: 2 << client, up, down }
    }

    /// Ends the stack, as a crash would.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.net.set_bits(1 << 50);
        std::thread::sleep(Duration::from_millis(50));
    }

    /// Starts the stack in a thread.
    pub fn start(&mut self, config: &str) {
        let pairs: Vec<(String, String)> = config
            .split_whitespace()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        let lines = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let config = Config::read(lines, |key, _| panic!("{key}"));
        let (net, place, nic, bells) = (self.net, self.place.clone(), self.nic, self.bells.clone());
        self.stop = serve(net, move || {
            let mut server = Net::new(net, place, config, nic, bells);
            server.start();
            server
        });
    }

    /// Client number `client`, wired to the stack; its inbox and its wire.
    pub fn client(&self, client: u16) -> (End, Wire) {
        let end = self.loopback.end();
        self.loopback.own(&end);
        let bell = self.bells[usize::from(client)];
        self.loopback.wire(&end, SERVER, &self.net, Badge::new(0, client, 1), bell.bits);
        self.loopback.bell(&self.net, bell.handle, &end, 1);
        (end, Wire { handle: SERVER, bits: 1, ..bell })
    }

    /// The sockets of a new client.
    pub fn sockets(&self, client: u16) -> (End, Sockets<End>) {
        let (end, wire) = self.client(client);
        (end, Sockets::open(end, wire).expect("a session"))
    }
}

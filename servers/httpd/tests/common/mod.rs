//! The whole way from a host at the other end of a cable to a file on a disk: card, stack, web server, file system, disk.
#![allow(dead_code)]

use std::fmt::Arguments;
use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use abi::wiring::WireShape;
use abi::{Badge, Call, Handle, Token};
use fatfs::{FatType, FormatVolumeOptions, FsOptions};
use fs::Fs;
use fs::platter::{Control, Platter};
use httpd::{Httpd, Settings, Wires, page};
use ipc::loopback::{End, Loopback, Swapping, now};
use ipc::serve::{Serve, turn};
use ipc::status::{self, SlotStatus, Snapshot, State};
use ipc::{Host, Wire, block, files, nic, socket};
use net::peer::{Cable, Card, Peer};
use net::{Config, Net};
use shared::{HostMemory, Memory};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State as Tcp;
use smoltcp::wire::{IpAddress, Ipv4Address, Ipv4Cidr};

pub const OWN: IpAddress = IpAddress::Ipv4(Ipv4Address::new(10, 0, 3, 15));
pub const PEER: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::new(10, 0, 3, 9), 24);

/// Time of the host, which a test may put forward; lines are kept.
#[derive(Clone, Default)]
pub struct Place(pub Arc<Mutex<Vec<String>>>, Arc<AtomicU64>);

impl Host for Place {
    fn now(&self) -> u64 {
        now() + self.1.load(Ordering::SeqCst)
    }
    fn log(&self, line: Arguments<'_>) {
        self.0.lock().unwrap().push(line.to_string());
    }
}

/// Serves in a thread, until `stop` is set.
fn serve<S: Serve + 'static>(
    end: End,
    stop: &Arc<AtomicBool>,
    make: impl FnOnce() -> S + Send + 'static,
) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let mut server = make();
        let mut answer = None;
        while !stop.load(Ordering::SeqCst) {
            answer = turn(&end, &mut server, answer);
        }
    });
}

/// Both ends of a new wire: the client's, and the server's bell.
struct Line {
    client: Wire,
    bell: Wire,
}

/// What the system says of itself.
struct Mirror(Memory);

impl status::Server for Mirror {
    fn snapshot(&mut self, _: Badge) -> Result<u32, status::Error> {
        let server = |name: &str, priority| SlotStatus {
            name: name.into(),
            state: State::Waiting,
            priority,
            vcpu: 0,
            restarts: 0,
            pages: 100,
            cpu: 1_000_000,
            calls: 5,
            served: 6,
            paid: 0,
            granted: 0,
            age: 0,
            image: "".into(),
            version: "".into(),
            build: [0; 4],
            held: Default::default(),
        };
        let snapshot = Snapshot {
            system: "web".into(),
            uptime: now(),
            entry: 0,
            xen: (4, 17),
            domain: 7,
            vcpus: 1,
            memory: 4096,
            free: 1000,
            kernel: 90,
            upcalls: 1000,
            lock: status::Contention::default(),
            flushes: 0,
            servers: vec![server("httpd", 40), server("net", 60), server("fs", 50)],
        };
        snapshot.write(self.0).ok_or(status::Error::TooLarge)
    }
}

/// A domain with a web server in it.
pub struct World {
    loopback: &'static Loopback,
    pub httpd: End,
    net: End,
    fs: End,
    pub control: Control,
    pub cable: Cable,
    pub place: Place,
    nic: Wire,
    bells: Vec<Wire>,
    disk: Wire,
    fs_bells: Vec<Wire>,
    stops: Mutex<[Arc<AtomicBool>; 3]>,
}

impl Drop for World {
    fn drop(&mut self) {
        for (stop, end) in self.stops.lock().unwrap().iter().zip([self.httpd, self.net, self.fs]) {
            stop.store(true, Ordering::SeqCst);
            end.set_bits(1 << 50);
        }
        self.control.discard();
    }
}

impl World {
    /// With these files.
    pub fn new(files: &[(&str, Vec<u8>)]) -> Self {
        Self::with(Control::new(image(files)), true)
    }

    /// With this disk, and with a wire to its files or without.
    pub fn with(control: Control, has_files: bool) -> Self {
        Self::with_swaps(control, has_files, 0).0
    }

    /// With these files, and a web server that is swapped behind one of so many turns; gives how often it was.
    pub fn swapping(files: &[(&str, Vec<u8>)], turns: u64) -> (Self, Arc<AtomicU64>) {
        Self::with_swaps(Control::new(image(files)), true, turns)
    }

    fn with_swaps(control: Control, has_files: bool, turns: u64) -> (Self, Arc<AtomicU64>) {
        let loopback = Loopback::new();
        let [httpd, net, fs, card, disk] = std::array::from_fn(|_| loopback.end());
        [httpd, net, fs].iter().for_each(|end| loopback.own(end));
        let stop = Arc::default();
        let line = |client, handle, server, bell, shape| {
            line(loopback, (client, handle), (server, bell), shape)
        };

        let to_card = line(&net, 3, &card, 2, nic::WIRE);
        let cable = Cable::default();
        let plug = cable.clone();
        serve(card, &stop, move || Card::new(card, to_card.bell, plug));

        let to_disk = line(&fs, 3, &disk, 2, block::WIRE);
        let platter = control.clone();
        serve(disk, &stop, move || Platter::new(disk, to_disk.bell, platter));

        let to_net = line(&httpd, 3, &net, 10, socket::WIRE);
        let to_fs = line(&httpd, 4, &fs, 10, files::WIRE);
        let to_status = line(&httpd, 5, &disk, 20, status::WIRE);
        let mut mirror = Mirror(to_status.client.down);
        loopback.kernel(&httpd, Handle(5), move |message| {
            let call = Call { token: Token::NONE, badge: Badge::default(), message };
            status::dispatch(&mut mirror, &call).unwrap().message
        });
        let place = Place::default();
        let world = Self {
            loopback,
            httpd,
            net,
            fs,
            control,
            cable,
            place,
            nic: to_card.client,
            bells: vec![to_net.bell],
            disk: to_disk.client,
            fs_bells: vec![to_fs.bell],
            stops: Mutex::default(),
        };
        world.start_net();
        world.start_fs();
        let no_files = Wire { up: Memory::empty(), down: Memory::empty(), ..to_fs.client };
        let wires = Wires {
            sockets: to_net.client,
            files: if has_files { to_fs.client } else { no_files },
            status: to_status.client,
        };
        let host = world.place.clone();
        let stop = world.stop(0, httpd);
        let swaps = Arc::new(AtomicU64::new(0));
        let count = swaps.clone();
        std::thread::spawn(move || {
            let settings = || Settings::read([("title", "Hello")].into_iter(), |_, _| {});
            let mut server = Httpd::new(httpd, host.clone(), settings(), wires, page::front);
            server.start();
            let mut server = Swapping::new(server, turns, |state| {
                Httpd::adopt(httpd, host.clone(), settings(), wires, page::front, state)
            });
            let mut answer = None;
            while !stop.load(Ordering::SeqCst) {
                answer = turn(&httpd, &mut server, answer);
                count.store(server.swaps(), Ordering::SeqCst);
            }
        });
        (world, swaps)
    }

    /// Stops a server; gives the flag to stop the next one.
    fn stop(&self, which: usize, end: End) -> Arc<AtomicBool> {
        let mut stops = self.stops.lock().unwrap();
        stops[which].store(true, Ordering::SeqCst);
        end.set_bits(1 << 50);
        std::thread::sleep(std::time::Duration::from_millis(20));
        stops[which] = Arc::default();
        stops[which].clone()
    }

    /// Starts the stack, anew if it runs.
    pub fn start_net(&self) {
        let stop = self.stop(1, self.net);
        let (net, place, nic, bells) = (self.net, self.place.clone(), self.nic, self.bells.clone());
        serve(net, &stop, move || {
            let config = Config::read([("address", "10.0.3.15/24")].into_iter(), |_, _| {});
            let mut server = Net::new(net, place, config, nic, bells);
            server.start();
            server
        });
    }

    /// Starts the file system, anew if it runs.
    pub fn start_fs(&self) {
        let stop = self.stop(2, self.fs);
        let (fs, place, disk, bells) =
            (self.fs, self.place.clone(), self.disk, self.fs_bells.clone());
        serve(fs, &stop, move || {
            let mut server = Fs::new(fs, place, disk, bells);
            server.start();
            server
        });
    }

    /// Puts the clock forward.
    pub fn skip(&self, seconds: u64) {
        self.place.1.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
        self.httpd.set_bits(1 << 50);
    }

    /// A host at the other end, with this last byte of its address.
    pub fn host(&self) -> Peer {
        Peer::new(&self.cable, PEER)
    }
}

fn line(
    loopback: &'static Loopback,
    (client, handle): (&End, u16),
    (server, bell): (&End, u16),
    shape: WireShape,
) -> Line {
    let (up, down) = (HostMemory::leak(shape.up as usize), HostMemory::leak(shape.down as usize));
    let bits = (1 << handle, 1 << bell);
    loopback.wire(client, Handle(handle), server, Badge::new(0, 0, 1), bits.1);
    loopback.bell(server, Handle(bell), client, bits.0);
    Line {
        client: Wire { handle: Handle(handle), bits: bits.0, up, down },
        bell: Wire { handle: Handle(bell), bits: bits.1, up, down },
    }
}

/// An image with files at these paths; directories are made as needed.
pub fn image(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let content: usize = files.iter().map(|(_, content)| content.len() + 4096).sum();
    let mut disk = Cursor::new(vec![0; (content * 5 / 4).max(8 << 20)]);
    let options = FormatVolumeOptions::new().fat_type(FatType::Fat16).bytes_per_cluster(2048);
    fatfs::format_volume(&mut disk, options).unwrap();
    {
        let volume = fatfs::FileSystem::new(&mut disk, FsOptions::new()).unwrap();
        for (path, content) in files {
            let mut directory = volume.root_dir();
            let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
            for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
                directory = directory.create_dir(parent).unwrap();
            }
            if !name.is_empty() {
                directory.create_file(name).unwrap().write_all(content).unwrap();
            }
        }
        volume.unmount().unwrap();
    }
    disk.into_inner()
}

/// Bytes that differ from place to place.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|n| ((n ^ seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The response at the beginning of `bytes`, and its length; `None` if it is not all there.
    pub fn parse(bytes: &[u8], is_head: bool) -> Option<(Self, usize)> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let (mut body, mut at) = (Vec::new(), end);
        match field(&head, "content-length") {
            _ if is_head => {}
            Some(length) => {
                let length: usize = length.parse().unwrap();
                body.extend_from_slice(bytes.get(end..end + length)?);
                at += length;
            }
            None if field(&head, "transfer-encoding").as_deref() == Some("chunked") => loop {
                let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
                let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                at += line + 2;
                body.extend_from_slice(bytes.get(at..at + size)?);
                bytes.get(at + size..at + size + 2)?;
                at += size + 2;
                if size == 0 {
                    break;
                }
            },
            None => {
                body.extend_from_slice(&bytes[end..]);
                at = bytes.len();
            }
        }
        Some((Self { status, head, body }, at))
    }

    pub fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn field(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value.trim().into())
}

/// A connection to the web server, which may just be starting.
pub fn connect(peer: &mut Peer) -> SocketHandle {
    loop {
        let handle = peer.connect(OWN, 80, 65_536);
        let is_open = peer.wait(|peer| match peer.tcp(handle).state() {
            Tcp::Closed => Some(false),
            _ => peer.tcp(handle).may_send().then_some(true),
        });
        if is_open {
            return handle;
        }
        peer.forget(handle);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Sends a request and receives its response on a connection that goes on.
pub fn exchange(peer: &mut Peer, handle: SocketHandle, request: &str) -> Response {
    peer.send(handle, request.as_bytes());
    let is_head = request.starts_with("HEAD");
    let bytes = peer.receive(handle, |all| Response::parse(all, is_head).is_some());
    let (response, length) = Response::parse(&bytes, is_head).expect("a response");
    assert_eq!(length, bytes.len(), "nothing else was sent");
    response
}

/// Sends bytes on a new connection, and gives all that comes until its end.
pub fn raw(peer: &mut Peer, bytes: &[u8]) -> Vec<u8> {
    let handle = connect(peer);
    peer.send(handle, bytes);
    let all = peer.receive(handle, |_| false);
    peer.tcp(handle).close();
    peer.poll();
    peer.forget(handle);
    all
}

/// The response to a request on a connection of its own.
pub fn ask(peer: &mut Peer, method: &str, target: &str, more: &str) -> Response {
    let request =
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    let bytes = raw(peer, request.as_bytes());
    let (response, length) = Response::parse(&bytes, method == "HEAD").expect("a response");
    assert_eq!(length, bytes.len(), "nothing follows");
    response
}

pub fn get(peer: &mut Peer, target: &str) -> Response {
    ask(peer, "GET", target, "")
}

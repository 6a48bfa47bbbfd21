//! A file system under test, its disk, and a client.
#![allow(dead_code)]

use std::fmt::Arguments;
use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use abi::kernel::own;
use abi::{Badge, Handle, Traps};
use fatfs::{FatType, FormatVolumeOptions, FsOptions};
use fs::Fs;
use fs::platter::{Control, Platter};
use ipc::files::client::Files;
use ipc::files::{BUFFER_BYTES, Complete, Entry, OK};
use ipc::loopback::{End, Loopback, Swapping, now};
use ipc::serve::{Serve, turn};
use ipc::{Host, Wire, block, files};
use shared::HostMemory;

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

/// An image with files at these paths; directories are made as needed.
pub fn image(kind: FatType, bytes: usize, cluster: u32, files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut disk = Cursor::new(vec![0; bytes]);
    let options = FormatVolumeOptions::new().fat_type(kind).bytes_per_cluster(cluster);
    fatfs::format_volume(&mut disk, options).unwrap();
    {
        let volume = fatfs::FileSystem::new(&mut disk, FsOptions::new()).unwrap();
        for (path, content) in files {
            let mut directory = volume.root_dir();
            let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
            for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
                directory = directory.create_dir(parent).unwrap();
            }
            directory.create_file(name).unwrap().write_all(content).unwrap();
        }
        volume.unmount().unwrap();
    }
    disk.into_inner()
}

/// Bytes that differ from place to place.
pub fn pattern(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|n| ((n ^ seed).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A client's inbox and its end of the file system.
pub struct Client {
    pub end: End,
    pub files: Files<End>,
}

/// A file system with its disk.
pub struct World {
    pub loopback: &'static Loopback,
    pub fs: End,
    pub control: Control,
    pub place: Place,
    pub bells: Vec<Wire>,
    /// How often the file system was swapped.
    pub swaps: Arc<AtomicU64>,
    disk: End,
    stop: Arc<AtomicBool>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.fs.set_bits(1 << 50);
        self.disk.set_bits(1 << 50);
        self.control.discard();
    }
}

const SERVER: Handle = Handle(2);
const DISK: Handle = Handle(3);

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

fn wire(handle: Handle, bits: u64, shape: abi::wiring::WireShape) -> Wire {
    let (up, down) = (HostMemory::leak(shape.up as usize), HostMemory::leak(shape.down as usize));
    Wire { handle, bits, up, down }
}

impl World {
    pub fn new(image: Vec<u8>) -> Self {
        Self::with(Control::new(image))
    }

    pub fn with(control: Control) -> Self {
        Self::swapping(control, 0)
    }

    /// With a file system that is swapped behind one of so many turns.
    pub fn swapping(control: Control, every: u64) -> Self {
        let loopback = Loopback::new();
        let (fs, disk) = (loopback.end(), loopback.end());
        loopback.own(&fs);
        loopback.wire(&fs, DISK, &disk, Badge::new(0, 0, 0), 1);
        loopback.bell(&disk, SERVER, &fs, 1);
        let of_disk = wire(DISK, 1, block::WIRE);
        let (platter, at_disk) = (control.clone(), Wire { handle: SERVER, ..of_disk });
        let stop = Arc::default();
        serve(disk, &stop, move || Platter::new(disk, at_disk, platter));
        let bells: Vec<Wire> = (0..3).map(|n| wire(Handle(10 + n), 2 << n, files::WIRE)).collect();
        let place = Place::default();
        let (host, wires) = (place.clone(), bells.clone());
        let swaps = Arc::new(AtomicU64::new(0));
        let (count, stopped) = (swaps.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut server = Fs::new(fs, host.clone(), of_disk, wires.clone());
            server.start();
            let mut server = Swapping::new(server, every, |state| {
                Fs::adopt(fs, host.clone(), of_disk, wires.clone(), state)
            });
            let mut answer = None;
            while !stopped.load(Ordering::SeqCst) {
                answer = turn(&fs, &mut server, answer);
                count.store(server.swaps(), Ordering::SeqCst);
            }
        });
        Self { loopback, fs, control, place, bells, disk, stop, swaps }
    }

    /// Client number `number`, in a new session.
    pub fn client(&self, number: u16) -> Client {
        let end = self.loopback.end();
        self.loopback.own(&end);
        let bell = self.bells[usize::from(number)];
        self.loopback.wire(&end, SERVER, &self.fs, Badge::new(0, number, 1), bell.bits);
        self.loopback.bell(&self.fs, bell.handle, &end, 1);
        let files = Files::open(end, Wire { handle: SERVER, bits: 1, ..bell }).unwrap();
        Client { end, files }
    }

    pub fn lines(&self) -> String {
        self.place.0.lock().unwrap().join("\n")
    }
}

impl Client {
    /// Waits until `step` gives something, for at most twenty seconds.
    pub fn wait<R>(&mut self, mut step: impl FnMut(&mut Self) -> Option<R>) -> R {
        let late = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(result) = step(self) {
                return result;
            }
            assert!(Instant::now() < late, "nothing happened for twenty seconds");
            if !self.files.flush() {
                own::Client::new(self.end, Handle::OWN).timer(now() + 100_000_000).unwrap();
                self.end.reply_wait(None);
            }
        }
    }

    /// The next answer.
    pub fn answer(&mut self) -> Complete {
        self.wait(|client| client.files.answer())
    }

    pub fn lookup(&mut self, path: &str) -> Complete {
        let buffer = self.files.take_buffer().unwrap();
        assert!(self.files.lookup(1, buffer, path.as_bytes()));
        let answer = self.answer();
        self.files.release_buffer(buffer);
        answer
    }

    /// The number and size of a file that must be there.
    pub fn open(&mut self, path: &str) -> (u32, u64) {
        let found = self.lookup(path);
        assert_eq!(found.status, OK, "{path}");
        (found.file, found.size)
    }

    pub fn read(&mut self, file: u32, offset: u64, length: usize) -> (u32, Vec<u8>) {
        let buffer = self.files.take_buffer().unwrap();
        assert!(self.files.read(2, buffer, file, offset, length as u32));
        let answer = self.answer();
        let mut bytes = vec![0; answer.length as usize];
        self.files.copy(buffer, 0, &mut bytes);
        self.files.release_buffer(buffer);
        (answer.status, bytes)
    }

    /// All of a file.
    pub fn content(&mut self, path: &str) -> Vec<u8> {
        let (file, size) = self.open(path);
        let mut all = Vec::new();
        while (all.len() as u64) < size {
            let (status, bytes) = self.read(file, all.len() as u64, BUFFER_BYTES);
            assert_eq!(status, OK);
            assert!(!bytes.is_empty());
            all.extend(bytes);
        }
        self.release(file);
        all
    }

    pub fn release(&mut self, file: u32) {
        assert!(self.files.release(3, file));
        assert_eq!(self.answer().id, 3);
    }

    /// One page of a listing, and where to go on.
    pub fn page(&mut self, file: u32, from: u64) -> (u32, Vec<Entry>, u64) {
        let buffer = self.files.take_buffer().unwrap();
        assert!(self.files.list(4, buffer, file, from));
        let answer = self.answer();
        let entries = self.files.entries(buffer, answer.length).unwrap_or_default();
        self.files.release_buffer(buffer);
        (answer.status, entries, answer.size)
    }

    pub fn list(&mut self, path: &str) -> Vec<Entry> {
        let (directory, _) = self.open(path);
        let (mut all, mut from) = (Vec::new(), 0);
        loop {
            let (status, entries, next) = self.page(directory, from);
            assert_eq!(status, OK);
            all.extend(entries);
            from = next;
            if next == 0 {
                self.release(directory);
                return all;
            }
        }
    }
}

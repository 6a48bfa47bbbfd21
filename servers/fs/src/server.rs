//! [`Fs`]: the server: what a turn does, and in which order.
//!
//! Invariant: a turn takes a bounded number of answers and requests and one step of each task, then waits again; what is
//! left over is done in the next turn, which the timer begins at once.

mod swap;

use alloc::vec::Vec;

use abi::trap::BIT_TIMER;
use abi::{Answer, Badge, Call, CallError, Handle, Traps, kernel::own};
use ipc::files::{self, CORRUPT, Error, FAILED, NOT_READY};
use ipc::serve::Serve;
use ipc::state::{Full, Writer};
use ipc::{Host, Wire, block};

use crate::cache::{BLOCK, Cache};
use crate::disk::Disk;
use crate::medium::Medium;
use crate::session::{Common, Session};
use crate::step::{Kind, Need, Stop};
use crate::volume::Volume;

/// Blocks of files' contents that are kept.
const BLOCKS: usize = 96;
/// Blocks that are fetched at once for few readers, and for many: more would push each other out of the cache.
const WINDOW: (u32, u32) = (block::REQUEST_PAGES, 3);
/// How many readers are few.
const FEW: usize = 6;
/// Nanoseconds until a disk that does not answer is opened again.
const PATIENCE: u64 = 10_000_000_000;
/// The same when its server rang, but not, or not only, for an answer.
const SUSPICION: u64 = 1_000_000_000;

/// What is known of the disk.
enum State {
    /// It is not there.
    Absent,
    /// It is being looked at.
    Mounting(Medium),
    /// It has a volume.
    Mounted(Volume),
    /// It has none that makes sense.
    Unreadable,
}

struct Client {
    wire: Wire,
    session: Option<Session>,
}

/// The server.
pub struct Fs<T, H> {
    traps: T,
    host: H,
    disk: Disk<T>,
    state: State,
    /// Bytes of the disk when it was looked at.
    size: u64,
    cache: Cache,
    clients: Vec<Client>,
    /// Number of the last session.
    sessions: u32,
    /// When the disk is opened again if it does not answer; 0 when nothing is asked of it.
    patience: u64,
    /// Since when there is no session with the disk; 0 while there is one.
    lost: u64,
    /// What the timer is set to; 0 when it is not.
    timer: u64,
    /// Whether it was told what is on the disk.
    is_told: bool,
    /// Whether it is a successor that has not had a turn.
    is_adopted: bool,
}

impl<T: Traps, H: Host> Fs<T, H> {
    /// A file system on the disk behind `disk`, for the clients behind `clients`, by number. Nothing happens before
    /// [`Self::start`].
    pub fn new(traps: T, host: H, disk: Wire, clients: Vec<Wire>) -> Self {
        let clients = clients.into_iter().map(|wire| Client { wire, session: None }).collect();
        Self {
            traps,
            host,
            disk: Disk::new(traps, disk),
            state: State::Absent,
            size: 0,
            cache: Cache::new(BLOCKS),
            clients,
            sessions: 0,
            patience: 0,
            lost: 0,
            timer: 0,
            is_told: false,
            is_adopted: false,
        }
    }

    /// Begins; to be called once, before the first wait.
    pub fn start(&mut self) {
        for client in &self.clients {
            Session::none(&client.wire);
            if !client.wire.down.is_empty() {
                client.wire.ring(&self.traps);
            }
        }
        // Numbers differ from those of an earlier incarnation, which clients may remember.
        self.sessions = (self.host.now() >> 20) as u32;
        self.open_disk();
        self.turn(false);
    }

    /// Begins a session with the disk. The same disk goes on where it was.
    fn open_disk(&mut self) {
        self.patience = 0;
        let now = self.host.now();
        match self.disk.open() {
            Ok(size) => {
                self.lost = 0;
                if size != self.size || matches!(self.state, State::Absent) {
                    self.begin(size);
                }
            }
            Err(error) => {
                let waits =
                    [block::Error::NotReady, block::Error::NoDevice].map(CallError::Refused);
                if !waits.contains(&error) {
                    self.host.log(format_args!("the disk does not answer: {error:?}"));
                }
                self.lost = if self.lost == 0 { now } else { self.lost };
                self.patience = now + SUSPICION;
            }
        }
    }

    /// Whether there has been no session with the disk for so long that nobody should wait for one.
    fn is_lost(&self) -> bool {
        self.lost != 0 && self.lost + PATIENCE <= self.host.now()
    }

    /// Begins with another disk: nothing that was known holds.
    fn begin(&mut self, size: u64) {
        self.size = size;
        self.is_told = false;
        self.cache.clear();
        self.disk.forget();
        self.state = State::Mounting(Medium::new(size));
        for number in 0..self.clients.len() {
            self.end_session(number);
        }
    }

    fn end_session(&mut self, number: usize) {
        if let Some(client) = self.clients.get_mut(number)
            && client.session.take().is_some()
        {
            Session::none(&client.wire);
            client.wire.ring(&self.traps);
        }
    }

    /// Everything that there is to do, as far as one turn goes.
    fn turn(&mut self, has_rung: bool) {
        let failed = self.take_blocks(has_rung);
        let mut has_more = self.mount(&failed);
        for client in &mut self.clients {
            has_more |= client.session.as_mut().is_some_and(Session::take);
        }
        has_more |= self.step(&failed);
        has_more |= self.flush();
        self.set_timer(has_more);
    }

    /// Takes what was fetched; gives what could not be.
    fn take_blocks(&mut self, has_rung: bool) -> Vec<Need> {
        let mut failed = Vec::new();
        let mut is_quiet = true;
        let medium = match &self.state {
            State::Mounting(medium) => Some(medium.clone()),
            State::Mounted(volume) => Some(volume.medium().clone()),
            _ => None,
        };
        let cache = &mut self.cache;
        while let Some(fetched) = self.disk.complete(|kind, number, fill| match (kind, &medium) {
            (Kind::Data, _) => cache.insert(number, |block| fill(block)),
            (Kind::Meta, Some(medium)) => medium.insert(number, |block| fill(block)),
            (Kind::Meta, None) => {}
        }) {
            is_quiet = false;
            if !fetched.is_good {
                failed.push(fetched.need);
            }
        }
        self.watch(has_rung, is_quiet);
        failed
    }

    /// Opens the disk again when it may be another one, or does not go on.
    fn watch(&mut self, has_rung: bool, is_quiet: bool) {
        let now = self.host.now();
        if !self.disk.is_open() {
            if has_rung || (self.patience != 0 && self.patience <= now) {
                self.open_disk();
            }
        } else if !self.disk.is_busy() {
            self.patience = 0;
            if has_rung && is_quiet {
                self.open_disk();
            }
        } else if !is_quiet || self.patience == 0 {
            // The ring may have been for what came, or a new server's, which has not got what was asked of the old one.
            self.patience = now + if has_rung { SUSPICION } else { PATIENCE };
        } else if self.patience <= now {
            self.host.log(format_args!("the disk does not go on"));
            self.open_disk();
        } else if has_rung {
            self.patience = self.patience.min(now + SUSPICION);
        }
    }

    /// Looks at the disk, until it is known what is on it. Says whether to go on at once.
    fn mount(&mut self, failed: &[Need]) -> bool {
        let State::Mounting(medium) = &self.state else { return false };
        medium.begin();
        match Volume::mount(medium) {
            Ok(volume) => {
                if !core::mem::replace(&mut self.is_told, true) {
                    let mega = self.size >> 20;
                    self.host.log(format_args!("{} volume on a disk of {mega} MiB", volume.kind()));
                }
                self.state = State::Mounted(volume);
            }
            Err(Stop::Wait(need)) if !is_among(need, failed) => {
                if !self.disk.is_fetching(need.kind, need.first) {
                    self.disk.fetch(need);
                }
            }
            Err(Stop::Again) => return true,
            Err(stop) => {
                let why = if matches!(stop, Stop::Wait(_)) {
                    "cannot be read"
                } else {
                    "has no FAT volume"
                };
                self.host.log(format_args!("the disk {why}"));
                self.state = State::Unreadable;
            }
        }
        false
    }

    /// Goes on with what clients wait for. Says whether to go on at once.
    fn step(&mut self, failed: &[Need]) -> bool {
        let readers: usize = self.sessions().map(|session| session.tasks()).sum();
        let window = if readers <= FEW { WINDOW.0 } else { WINDOW.1 };
        let is_lost = self.is_lost();
        let Self { state, cache, disk, clients, .. } = self;
        let volume = match state {
            State::Mounted(volume) => volume,
            State::Mounting(_) if !is_lost => return false,
            State::Unreadable => return refuse(clients, CORRUPT),
            _ => return refuse(clients, NOT_READY),
        };
        let mut common = Common { volume, cache, window };
        let mut has_more = false;
        for session in clients.iter_mut().filter_map(|client| client.session.as_mut()) {
            let may_go_on = session.step(&mut common, |stop| {
                match stop {
                    Stop::Wait(need) if is_among(need, failed) => return Some(FAILED),
                    Stop::Wait(_) if is_lost => return Some(NOT_READY),
                    Stop::Wait(need) if !disk.is_fetching(need.kind, need.first) => {
                        disk.fetch(need);
                    }
                    Stop::Again => has_more = true,
                    _ => {}
                }
                None
            });
            has_more |= may_go_on;
            session.ahead(&mut common, |need| {
                if !disk.is_fetching(need.kind, need.first) {
                    disk.fetch(need);
                }
            });
        }
        has_more
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.clients.iter().filter_map(|client| client.session.as_ref())
    }

    /// Shows everybody what was done. Says whether there is more to do already.
    fn flush(&mut self) -> bool {
        let mut has_more = self.disk.flush();
        for number in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(number) else { break };
            let Some(session) = &mut client.session else { continue };
            has_more |= session.flush(&self.traps);
            if session.is_broken() {
                self.host.log(format_args!("client {number} broke its session"));
                self.end_session(number);
            }
        }
        has_more
    }

    /// Sets the timer to the earliest time at which there is something to do, if it is not set to an earlier one.
    fn set_timer(&mut self, has_more: bool) {
        let is_wanted = self.disk.is_open() || self.sessions().any(|session| session.tasks() > 0);
        let patience = (self.patience != 0 && is_wanted).then_some(self.patience);
        let at_once = has_more.then_some(1);
        if let Some(at) = [patience, at_once].into_iter().flatten().min()
            && (self.timer == 0 || at < self.timer)
        {
            self.timer = at;
            let _ = own::Client::new(self.traps, Handle::OWN).timer(at);
        }
    }
}

/// Whether what is needed first is among what could not be fetched.
fn is_among(need: Need, failed: &[Need]) -> bool {
    failed.iter().any(|other| {
        let blocks = other.first..other.first + u64::from(other.count);
        other.kind == need.kind && blocks.contains(&need.first)
    })
}

fn refuse(clients: &mut [Client], status: u32) -> bool {
    let sessions = clients.iter_mut().filter_map(|client| client.session.as_mut());
    sessions.for_each(|session| session.refuse(status));
    false
}

impl<T: Traps, H: Host> Serve for Fs<T, H> {
    fn bits(&mut self, bits: u64) {
        if core::mem::take(&mut self.is_adopted) {
            self.resume();
        }
        if bits & BIT_TIMER != 0 {
            self.timer = 0;
        }
        self.turn(self.disk.rang(bits));
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        self.write(to)
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        files::dispatch(self, call)
    }

    fn closed(&mut self, client: Badge) {
        self.end_session(usize::from(client.client()));
    }
}

impl<T: Traps, H: Host> files::Server for Fs<T, H> {
    fn open(&mut self, from: Badge) -> Result<u32, Error> {
        self.sessions = self.sessions.wrapping_add(1).max(1);
        let client = self.clients.get_mut(usize::from(from.client())).ok_or(Error::Broken)?;
        client.session = None;
        let session = Session::open(client.wire, self.sessions).map_err(|_| Error::Broken)?;
        client.session = Some(session);
        Ok(self.sessions)
    }
}

const _: () = assert!((BLOCK as u64).is_multiple_of(block::SECTOR));

//! The pager over a machine and a disk made of maps: whatever servers touch, in whatever order the disk answers, they read
//! what they wrote.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use abi::fault::{FaultKind, PASS, RETRY};
use abi::layout::FILLED;
use abi::token::Kind;
use abi::{Answer, Badge, Call, Event, Handle, Message, Status, Token, Traps};
use ipc::Wire;
use ipc::block::{self, Complete, FAILED, OK, QUEUE, READ, Request};
use pager::pager::{Machine, Pager};
use pager::store::Store;
use shared::HostMemory;
use shared::queue::Server;
use shared::{Memory, PAGE};

const FRAMES: usize = 6;
const IMAGE: usize = 3;
const SPACE: usize = 20;
const SLOTS: [u16; 2] = [4, 9];
/// Bytes of the disk.
const DISK: usize = SLOTS.len() * SPACE * PAGE;

/// A number that follows from the last (Knuth's MMIX).
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as usize
}

struct Disk {
    up: Memory,
    down: Memory,
    queue: Option<Server<Request, Complete>>,
    held: Vec<Request>,
    bytes: Vec<u8>,
    fails: bool,
    absent: bool,
}

impl block::Server for Disk {
    fn open(&mut self, _: Badge) -> Result<(u64, u32, bool, bool), block::Error> {
        if self.absent {
            return Err(block::Error::NotReady);
        }
        let mut queue = Server::open(QUEUE, self.up, self.down).unwrap();
        while let Ok(Some(_)) = queue.take() {
            queue.forget(1);
        }
        let _ = queue.publish();
        self.held.clear();
        self.queue = Some(queue);
        Ok((self.bytes.len() as u64 / 512, 512, false, true))
    }
}

impl Disk {
    /// Takes all requests, and answers one of them.
    fn work(&mut self, pick: usize) {
        let Some(queue) = &mut self.queue else { return };
        while let Ok(Some(request)) = queue.take() {
            let same = |other: &Request| other.sector == request.sector;
            assert!(!self.held.iter().any(same), "two requests for one page");
            self.held.push(request);
        }
        if !self.held.is_empty() {
            let Request { id, operation, sector, page, .. } =
                self.held.swap_remove(pick % self.held.len());
            let place = &mut self.bytes[(sector * 512) as usize..][..PAGE];
            let at = page as usize * PAGE;
            if operation == READ {
                queue.down().copy_to(at, place);
            } else {
                queue.up().copy_from(at, place);
            }
            queue.answer(&Complete { id, status: if self.fails { FAILED } else { OK } }).unwrap();
        }
        let _ = queue.publish();
    }
}

#[derive(Clone, Copy)]
struct Bench(&'static RefCell<Disk>);

impl Traps for Bench {
    fn call(&self, _: Handle, message: Message) -> (Status, Message) {
        let call = Call { token: Token::NONE, badge: Badge::default(), message };
        (Status::Ok, block::dispatch(&mut *self.0.borrow_mut(), &call).unwrap().message)
    }
    fn reply_wait(&self, _: Option<Answer>) -> Event {
        panic!("a pager does not wait in the middle")
    }
    fn reply(&self, _: Answer) {}
    fn notify(&self, _: Handle) {}
}

type Maps = Rc<RefCell<BTreeMap<(u16, usize), (Option<usize>, bool)>>>;

struct Space(Maps);

impl Machine for Space {
    fn map(&mut self, server: u16, page: usize, frame: Option<usize>, writable: bool) -> bool {
        assert!(frame.is_some() || !writable, "the image is sealed");
        let old = self.0.borrow_mut().insert((server, page), (frame, writable));
        assert_eq!(old, None, "mapped twice");
        true
    }
    fn unmap(&mut self, server: u16, page: usize) {
        assert!(self.0.borrow_mut().remove(&(server, page)).is_some(), "unmapped twice");
    }
}

struct World {
    pager: Pager<Space, Bench>,
    disk: Bench,
    maps: Maps,
    frames: Memory,
    image: Memory,
    seed: u64,
    generation: u32,
}

fn image_word(page: usize) -> u64 {
    0xabc0 + page as u64
}

impl World {
    fn new(seed: u64) -> Self {
        Self::with(seed, DISK, false)
    }

    fn with(seed: u64, bytes: usize, absent: bool) -> Self {
        let pages = |shape: u32| HostMemory::leak(shape as usize);
        let (up, down) = (pages(block::WIRE.up), pages(block::WIRE.down));
        let bytes = vec![0x55; bytes];
        let disk = Disk { up, down, queue: None, held: Vec::new(), bytes, fails: false, absent };
        let disk = Bench(Box::leak(Box::new(RefCell::new(disk))));
        let wire = Wire { handle: Handle(3), bits: 1, up, down };
        let store = Store::new(disk, wire, (SLOTS.len() * SPACE) as u64);
        let (frames, image) = (HostMemory::leak(FRAMES), HostMemory::leak(IMAGE));
        frames.fill(0, FRAMES * PAGE, 0xee);
        (0..IMAGE).for_each(|page| image.write(page * PAGE, &image_word(page)));
        let maps = Maps::default();
        let slots = SLOTS.map(|slot| (slot, SPACE));
        let pager = Pager::new((Space(maps.clone()), store), (frames, image), slots);
        let mut world = Self { pager, disk, maps, frames, image, seed, generation: 0 };
        world.pager.turn(|_| panic!("nobody waits"));
        world
    }

    /// The fault of a server that touches a page: the decision, once there is one.
    fn fault(&mut self, slot: u16, address: u64, error: u64) -> u64 {
        self.generation += 1;
        let token = Token::new(Kind::Fault, slot, self.generation);
        let message = Message::new(FaultKind::Page as u64, [slot.into(), address, 0, error, 0]);
        let call = Call { token, badge: Badge::from_bits(slot.into()), message };
        let mut answers: Vec<Answer> = self.pager.fault(&call).into_iter().collect();
        for _ in 0..1000 {
            self.pager.turn(|answer| answers.push(answer));
            if let [answer] = answers[..] {
                assert_eq!(answer.token, token);
                return answer.message.words[0];
            }
            self.disk.0.borrow_mut().work(next(&mut self.seed));
        }
        panic!("no decision")
    }

    /// Where a server finds a page, after as many faults as it takes.
    fn touch(&mut self, slot: u16, page: usize, write: bool) -> (Memory, usize) {
        for _ in 0..3 {
            let found = self.maps.borrow().get(&(slot, page)).copied();
            match found {
                Some((frame, writable)) if writable || !write => {
                    return frame.map_or((self.image, page * PAGE), |it| (self.frames, it * PAGE));
                }
                found => {
                    let error = u64::from(found.is_some()) | u64::from(write) << 1 | 4;
                    let address = FILLED + (page * PAGE) as u64 + 123;
                    assert_eq!(self.fault(slot, address, error), RETRY, "page {page} of {slot}");
                }
            }
        }
        panic!("page {page} of {slot} does not come")
    }

    fn check(&self) {
        let maps = self.maps.borrow();
        let frames: Vec<usize> = maps.values().filter_map(|(frame, _)| *frame).collect();
        let different: BTreeSet<usize> = frames.iter().copied().collect();
        assert!(frames.len() <= FRAMES && different.len() == frames.len(), "{frames:?}");
    }
}

#[test]
fn servers_read_what_they_wrote() {
    let (mut shared, mut fetched) = (0, 0);
    for seed in 0..40 {
        let mut w = World::new(seed);
        let mut model: BTreeMap<(u16, usize), u64> = BTreeMap::new();
        for step in 0..600 {
            let slot = SLOTS[next(&mut w.seed) % 2];
            let page = next(&mut w.seed) % SPACE;
            if next(&mut w.seed).is_multiple_of(150) {
                // The server dies: the kernel unmaps all it had, then the pager is told.
                w.maps.borrow_mut().retain(|(server, _), _| *server != slot);
                w.pager.closed(slot);
                model.retain(|(server, _), _| *server != slot);
            }
            let fresh = if page < IMAGE { image_word(page) } else { 0 };
            if next(&mut w.seed).is_multiple_of(2) {
                let (memory, at) = w.touch(slot, page, true);
                memory.write(at, &((step + 1_u64) << 8));
                model.insert((slot, page), (step + 1) << 8);
            } else {
                let known = w.maps.borrow().contains_key(&(slot, page));
                let (memory, at) = w.touch(slot, page, false);
                let expected = model.get(&(slot, page)).copied().unwrap_or(fresh);
                assert_eq!(memory.read::<u64>(at), expected, "seed {seed}: page {page} of {slot}");
                assert_eq!(memory.read::<u64>(at + PAGE - 8), 0, "the rest of the page");
                shared += u32::from(page < IMAGE && expected == fresh);
                fetched += u32::from(!known && model.contains_key(&(slot, page)));
            }
            w.check();
            if next(&mut w.seed).is_multiple_of(4) {
                w.disk.0.borrow_mut().work(step as usize);
            }
        }
        assert!((0..IMAGE).all(|page| w.image.read::<u64>(page * PAGE) == image_word(page)));
    }
    assert!(shared > 500 && fetched > 5000, "{shared} {fetched}");
}

#[test]
fn what_is_not_the_pagers_to_mend_is_passed_on() {
    let mut w = World::new(1);
    let end = FILLED + (SPACE * PAGE) as u64;
    assert_eq!(w.fault(4, end, 4), PASS, "beyond the end");
    assert_eq!(w.fault(4, FILLED - 1, 4), PASS, "before the beginning");
    assert_eq!(w.fault(4, u64::MAX, 4), PASS);
    assert_eq!(w.fault(4, FILLED, 4 | 16), PASS, "an execution");
    assert_eq!(w.fault(5, FILLED, 4), PASS, "of somebody else");
    assert_eq!(w.fault(4, FILLED + 0x8000, 6), RETRY);
    assert_eq!(w.fault(4, FILLED + 0x8000, 7), PASS, "what is there already");
    assert!(w.maps.borrow().len() == 1);
}

#[test]
fn a_disk_that_is_not_ready_is_waited_for() {
    let mut w = World::with(5, DISK, true);
    for page in IMAGE..IMAGE + FRAMES {
        w.touch(4, page, true);
    }
    let message = Message::new(5, [4, FILLED + (15 * PAGE) as u64, 0, 6, 0]);
    let token = Token::new(Kind::Fault, 4, 99);
    let call = Call { token, badge: Badge::from_bits(4), message };
    let mut answers: Vec<Answer> = w.pager.fault(&call).into_iter().collect();
    w.pager.turn(|answer| answers.push(answer));
    assert!(answers.is_empty(), "there is no room, and no disk");
    w.disk.0.borrow_mut().absent = false;
    w.pager.turn(|answer| answers.push(answer));
    assert_eq!(answers.first().map(|answer| answer.message.words[0]), Some(RETRY));
}

#[test]
fn a_disk_that_is_too_small_is_not_used() {
    let mut w = World::with(6, PAGE, false);
    assert_eq!(w.fault(4, FILLED, 4), PASS);
}

#[test]
fn a_disk_that_fails_is_not_believed() {
    let mut w = World::new(2);
    for page in IMAGE..IMAGE + 2 * FRAMES {
        w.touch(4, page, true);
    }
    for _ in 0..2 * FRAMES {
        w.disk.0.borrow_mut().work(0);
        w.pager.turn(|_| panic!("nobody waits"));
    }
    w.disk.0.borrow_mut().fails = true;
    let page = FILLED + (IMAGE * PAGE) as u64;
    assert_eq!(w.fault(4, page, 4), PASS);
    w.disk.0.borrow_mut().fails = false;
    assert_eq!(w.fault(4, page, 4), PASS, "it has lost something");
}

#[test]
fn requests_survive_a_restart_of_the_disk() {
    let mut w = World::new(3);
    for page in IMAGE..SPACE {
        let (memory, at) = w.touch(9, page, true);
        memory.write(at, &(page as u64));
        if page % 5 == 0 {
            // It forgets what it was asked, and has a new server.
            let mut disk = w.disk.0.borrow_mut();
            let _ = block::Server::open(&mut *disk, Badge::default());
        }
    }
    for page in IMAGE..SPACE {
        let (memory, at) = w.touch(9, page, false);
        assert_eq!(memory.read::<u64>(at), page as u64);
    }
}

//! The block device against an honest back end, and against single lies.

use proptest::prelude::*;
use shared::{HostMemory, Memory, PAGE};
use xen::blkif::{
    Done, ERROR, FLUSH, Front, Outcome, READ, REQUESTS, Response, SEGMENTS, Transfer, UNSUPPORTED,
    WRITE,
};
use xen::fake::{Blkback, Grants};
use xen::{Broken, Refused};

const PAGES: usize = 64;
const BASE: u32 = 50;
const SECTORS: usize = 4096;

struct Pair {
    ring: Memory,
    pool: Memory,
    front: Front,
    back: Blkback,
}

fn grants(pool: Memory) -> Grants {
    let mut grants = Grants::default();
    grants.grant(BASE, pool);
    grants
}

impl Pair {
    fn new() -> Self {
        let (ring, pool) = (HostMemory::leak(1), HostMemory::leak(PAGES));
        let front = Front::create(ring);
        let back = Blkback::attach(ring, grants(pool), vec![0; SECTORS * 512]);
        Self { ring, pool, front, back }
    }

    /// A new backend with a new ring, and the same disk.
    fn reconnect(&mut self) {
        let disk = std::mem::take(&mut self.back.disk);
        self.ring = HostMemory::leak(1);
        self.front = Front::reconnect(self.ring, self.front.state()).unwrap();
        self.back = Blkback::attach(self.ring, grants(self.pool), disk);
        let _ = self.front.publish();
    }

    fn submit(&mut self, transfer: Transfer) {
        self.front.submit(transfer).unwrap();
        let _ = self.front.publish();
    }

    /// Serves all and gives the tags and outcomes.
    fn finish(&mut self) -> Vec<(u32, Outcome)> {
        self.back.serve_all();
        self.taken()
    }

    fn taken(&mut self) -> Vec<(u32, Outcome)> {
        let done = std::iter::from_fn(|| self.front.complete().unwrap());
        done.map(|done: Done| (done.transfer.tag, done.outcome)).collect()
    }
}

fn transfer(operation: u8, sector: u64, sectors: u32, page: u32, tag: u32) -> Transfer {
    Transfer { operation, sector, sectors, grant: BASE + page, tag, ..Transfer::default() }
}

#[test]
fn what_was_written_is_read_back() {
    let mut pair = Pair::new();
    let data: Vec<u8> = (0..11 * PAGE).map(|byte| (byte % 251) as u8).collect();
    pair.pool.copy_to(0, &data);
    pair.submit(transfer(WRITE, 100, 85, 0, 1));
    assert_eq!(pair.finish(), [(1, Outcome::Okay)]);
    assert_eq!(pair.back.disk[100 * 512..185 * 512], data[..85 * 512]);
    assert!(pair.back.disk[185 * 512..].iter().all(|byte| *byte == 0));
    pair.submit(transfer(READ, 100, 85, 20, 2));
    assert_eq!(pair.finish(), [(2, Outcome::Okay)]);
    let mut read = vec![0; 85 * 512];
    pair.pool.copy_from(20 * PAGE, &mut read);
    assert_eq!(read, data[..85 * 512]);
}

#[test]
fn a_flush_moves_nothing() {
    let mut pair = Pair::new();
    pair.submit(transfer(FLUSH, 0, 0, 0, 9));
    assert_eq!(pair.finish(), [(9, Outcome::Okay)]);
}

#[test]
fn malformed_requests_are_refused() {
    let mut pair = Pair::new();
    let most = SEGMENTS as u32 * 8;
    for wrong in [(READ, 0), (READ, most + 1), (WRITE, u32::MAX), (FLUSH, 1), (2, 1), (5, 1)] {
        let refused = pair.front.submit(transfer(wrong.0, 0, wrong.1, 0, 0));
        assert_eq!(refused, Err(Refused::Invalid), "{wrong:?}");
    }
    pair.submit(transfer(READ, 0, most, 0, 0));
}

#[test]
fn the_ring_takes_32_requests_and_then_waits_for_an_answer() {
    let mut pair = Pair::new();
    for tag in 0..REQUESTS as u32 {
        pair.submit(transfer(READ, 0, 1, 0, tag));
    }
    assert_eq!(pair.front.submit(transfer(READ, 0, 1, 0, 99)), Err(Refused::Full));
    pair.back.serve(5);
    assert_eq!(pair.taken(), [(5, Outcome::Okay)]);
    pair.submit(transfer(READ, 0, 1, 0, 99));
}

#[test]
fn failures_are_told_apart() {
    let mut pair = Pair::new();
    pair.submit(transfer(READ, SECTORS as u64, 1, 0, 1));
    assert_eq!(pair.finish(), [(1, Outcome::Failed)]);
    for (status, outcome) in
        [(ERROR, Outcome::Failed), (UNSUPPORTED, Outcome::Unsupported), (77, Outcome::Failed)]
    {
        pair.submit(transfer(FLUSH, 0, 0, 0, 2));
        pair.back.answer(|request| Response {
            id: request.id,
            operation: request.operation,
            status,
            ..Default::default()
        });
        assert_eq!(pair.taken(), [(2, outcome)]);
    }
}

#[test]
fn responses_that_cannot_be_break_the_device_for_good() {
    type Lie = fn(u64, u8) -> Response;
    let lies: [(&str, Lie); 4] = [
        ("another operation", |id, _| Response { id, operation: WRITE, ..Default::default() }),
        ("a free slot", |id, operation| Response { id: id + 1, operation, ..Default::default() }),
        ("no slot", |id, operation| Response { id: id | 0xff, operation, ..Default::default() }),
        ("a number of another time", |id, operation| Response {
            id: id + 256,
            operation,
            ..Default::default()
        }),
    ];
    for (what, lie) in lies {
        let mut pair = Pair::new();
        pair.submit(transfer(READ, 0, 1, 0, 1));
        pair.back.answer(|request| lie(request.id, request.operation));
        assert_eq!(pair.front.complete(), Err(Broken), "{what}");
        assert_eq!(pair.front.complete(), Err(Broken), "{what}, for good");
        assert_eq!(pair.front.submit(transfer(READ, 0, 1, 0, 1)), Err(Refused::Broken), "{what}");
    }
}

#[test]
fn the_same_response_twice_breaks_the_device() {
    let mut pair = Pair::new();
    pair.submit(transfer(READ, 0, 1, 0, 1));
    pair.submit(transfer(READ, 0, 1, 0, 2));
    let mut first = 0;
    pair.back.answer(|request| {
        first = request.id;
        Response { id: first, operation: READ, ..Default::default() }
    });
    pair.back.answer(|_| Response { id: first, operation: READ, ..Default::default() });
    assert!(pair.front.complete().unwrap().is_some());
    assert_eq!(pair.front.complete(), Err(Broken));
}

#[test]
fn what_was_in_flight_is_done_again_in_order_before_anything_new() {
    let mut pair = Pair::new();
    for tag in 0..10 {
        pair.submit(transfer(WRITE, u64::from(tag), 1, tag, tag));
    }
    pair.back.serve(3);
    pair.back.serve(0);
    assert_eq!(pair.taken().len(), 2);
    pair.submit(transfer(WRITE, 50, 1, 0, 50));
    pair.reconnect();
    assert_eq!(pair.front.submit(transfer(WRITE, 1, 1, 0, 99)), Err(Refused::Full));
    let done = pair.finish();
    let tags: Vec<u32> = done.iter().map(|done| done.0).collect();
    assert_eq!(tags, [1, 2, 4, 5, 6, 7, 8, 9, 50]);
    let order: Vec<u64> = pair.back.done.iter().map(|request| request.sector).collect();
    assert_eq!(order, [1, 2, 4, 5, 6, 7, 8, 9, 50]);
    pair.submit(transfer(WRITE, 1, 1, 0, 99));
    assert_eq!(pair.finish(), [(99, Outcome::Okay)]);
}

#[test]
fn a_full_ring_survives_a_reconnect() {
    let mut pair = Pair::new();
    for tag in 0..REQUESTS as u32 {
        pair.submit(transfer(READ, 0, 1, 0, tag));
    }
    pair.reconnect();
    assert_eq!(pair.finish().len(), REQUESTS);
    assert_eq!(pair.front.in_flight(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Writes with one byte each to sectors of a small disk, never two at a time to one sector, as file systems do;
    /// between them the backend serves in any order, and both sides are restarted.
    #[test]
    fn no_answered_write_is_lost_whatever_restarts(
        steps in prop::collection::vec((0u8..8, any::<u8>()), 1..300),
    ) {
        let mut pair = Pair::new();
        let mut expected = [0u8; 32];
        let mut busy = [None; 32];
        for (step, value) in steps {
            let sector = usize::from(value % 32);
            match step {
                0..=3 if busy[sector].is_none() && pair.front.free() > 0 => {
                    pair.pool.fill(sector * PAGE, 512, value);
                    pair.submit(transfer(WRITE, sector as u64, 1, sector as u32, sector as u32));
                    busy[sector] = Some(value);
                }
                4 | 5 if pair.back.open() > 0 => {
                    let number = usize::from(value) % pair.back.open();
                    pair.back.serve(number);
                }
                6 => for (tag, outcome) in pair.taken() {
                    prop_assert_eq!(outcome, Outcome::Okay);
                    expected[tag as usize] = busy[tag as usize].take().expect("it was submitted");
                },
                7 if value < 60 => pair.reconnect(),
                7 if value < 120 => {
                    pair.front = Front::resume(pair.ring, pair.front.state()).unwrap();
                }
                _ => {}
            }
        }
        for (tag, _) in pair.finish() {
            expected[tag as usize] = busy[tag as usize].take().expect("it was submitted");
        }
        prop_assert_eq!(pair.front.in_flight(), 0);
        for (sector, value) in expected.iter().enumerate() {
            prop_assert_eq!(pair.back.disk[sector * 512], *value);
        }
    }
}

//! A backend that writes anything anywhere in the ring at any time.

mod common;

use std::collections::BTreeSet;

use common::Bench;
use ipc::block::{FLUSH, READ, WRITE};
use shared::{Memory, with_peer};

/// A generator of numbers that do not look alike (Marsaglia, Xorshift RNGs, 2003).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn scribble(dice: &mut Dice, ring: Memory) {
    let words = if dice.roll(2) == 0 { 4 } else { 64 };
    let offset = dice.roll(words) as usize * 4;
    let value = if dice.roll(2) == 0 { dice.roll(40) } else { dice.roll(1 << 32) };
    ring.store_u32_relaxed(offset, value as u32);
}

#[test]
fn whatever_is_written_to_the_ring_every_request_is_answered_at_most_once() {
    let mut broken = 0;
    for seed in 0..300u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut bench = Bench::connected();
        let mut fs = bench.client();
        let mut open = BTreeSet::new();
        let reference = bench.rig.tree().number(&format!("{}/ring-ref", bench.own));
        let ring = bench.rig.machine().page(reference);
        for id in 0..60 {
            let operation = [READ, WRITE, FLUSH][dice.roll(3) as usize];
            let sectors = if operation == FLUSH { 0 } else { 8 };
            open.insert(id);
            let is_wanted =
                fs.submit(id, operation, dice.roll(4000), sectors, dice.roll(64) as u32);
            if is_wanted {
                bench.rig.ring();
            }
            let mut peer = dice.clone();
            let liar = move |_| {
                if peer.roll(10) == 0 {
                    scribble(&mut peer, ring);
                }
            };
            bench.rig.send_event();
            with_peer(liar, || bench.run());
            for (id, _) in fs.answers() {
                assert!(open.remove(&id), "seed {seed}: a second answer to {id}");
            }
        }
        let is_lost = bench.open().is_err();
        broken += u32::from(is_lost && bench.state() != "4");
        assert!(bench.state() == "4" || open.is_empty(), "seed {seed}: {} hang", open.len());
    }
    assert!(broken > 100, "the lies were noticed {broken} times");
}

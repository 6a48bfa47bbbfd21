//! A backend that writes anything anywhere at any time, and one that changes its state as it likes.

mod common;

use std::collections::BTreeSet;

use common::{Bench, Net, frame};
use ipc::nic::{RECEIVE, TRANSMIT};
use shared::{Memory, with_peer};

/// A generator of numbers that do not look alike (Marsaglia, Xorshift RNGs, 2003).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Writes a word somewhere in the header or the first entries: small ones, which may be believed, as often as any.
fn scribble(dice: &mut Dice, ring: Memory) {
    let words = if dice.roll(2) == 0 { 4 } else { 64 };
    let offset = dice.roll(words) as usize * 4;
    let value = if dice.roll(2) == 0 { dice.roll(300) } else { dice.roll(1 << 32) };
    ring.store_u32_relaxed(offset, value as u32);
}

/// Submits anything that a client may.
fn submit(dice: &mut Dice, net: &mut Net, open: &mut BTreeSet<(u16, u16)>) -> bool {
    let kind = if dice.roll(2) == 0 { TRANSMIT } else { RECEIVE };
    let buffer = dice.roll(256) as u16;
    if !open.insert((kind, buffer)) {
        return false;
    }
    let length = if kind == TRANSMIT { 14 + dice.roll(2000) as u16 } else { 0 };
    net.submit(kind, buffer, length)
}

#[test]
fn whatever_is_written_to_the_rings_every_buffer_comes_back_at_most_once() {
    let mut broken = 0;
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut bench = Bench::connected();
        let mut net = bench.client();
        let mut open = BTreeSet::new();
        let rings = ["tx-ring-ref", "rx-ring-ref"].map(|name| {
            let reference = bench.rig.tree().number(&format!("device/vif/0/{name}"));
            bench.rig.machine().page(reference)
        });
        for _ in 0..30 {
            for _ in 0..dice.roll(8) {
                if submit(&mut dice, &mut net, &mut open) {
                    bench.rig.ring();
                }
            }
            let mut peer = dice.clone();
            let liar = move |_| {
                if peer.roll(10) == 0 {
                    let ring = rings[peer.roll(2) as usize];
                    scribble(&mut peer, ring);
                }
            };
            bench.rig.send_event();
            with_peer(liar, || bench.run());
            for answer in net.answers() {
                assert!(open.remove(&(answer.kind, answer.buffer)), "seed {seed}: {answer:?}");
                assert!(usize::from(answer.offset) + usize::from(answer.length) <= 4096);
            }
        }
        broken += u32::from(!bench.link());
        let sends = |open: &BTreeSet<(u16, u16)>| open.iter().any(|(kind, _)| *kind == TRANSMIT);
        assert!(bench.link() || !sends(&open), "seed {seed}: a frame is lost");
    }
    assert!(broken > 100, "the lies were noticed {broken} times");
}

/// A backend as domain 0 has it: follows the front end's state.
fn follow(bench: &mut Bench) {
    match bench.state().as_str() {
        "1" => bench.set_backend("2"),
        "4" => bench.connect(),
        "5" => bench.set_backend("5"),
        "6" => bench.set_backend("6"),
        other => panic!("the front end is in state {other}"),
    }
}

#[test]
fn after_states_in_any_order_an_honest_backend_is_connected() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let mut bench = Bench::plugged();
        for _ in 0..dice.roll(20) {
            let state = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", ""];
            match dice.roll(8) {
                0 => assert!(bench.sleep() || bench.rig.machine().timer == 0),
                1 => bench.restart(),
                2 => bench.rig.tree().lose(),
                _ => bench.set_backend(state[dice.roll(11) as usize]),
            }
        }
        bench.set_backend("5");
        while bench.link() {
            assert!(bench.sleep(), "seed {seed}: the backend closes and nobody looks");
        }
        let mut steps = 0;
        while !bench.link() {
            steps += 1;
            assert!(steps < 60, "seed {seed}: stuck in {}", bench.state());
            follow(&mut bench);
            if !bench.link() && steps % 3 == 0 {
                bench.sleep();
            }
        }
        let mut net = bench.client();
        let ring = net.send(1, &frame(99).bytes);
        bench.ring(ring);
        assert_eq!(bench.collect(), [frame(99)], "seed {seed}");
    }
}

//! Every body over the kept corpus, and over what some thousands of changes make of it: the same changes each time.
//!
//! `MUTATIONS=1000000 cargo test --release -p bodies` tries more.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use bodies::BODIES;

/// Changed inputs for each body.
const MUTATIONS: u32 = 20_000;
/// Bytes of an input that starts from nothing.
const LONGEST: u64 = 4096;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit as u64).max(1)) as usize
    }

    /// A byte that looks like something, or any.
    fn byte(&mut self) -> u8 {
        let any = self.next() as u8;
        [0, 1, 0x7f, 0x80, 0xff, any, any, any][self.below(8)]
    }
}

/// Changes some bytes, cuts, repeats, puts in, or joins with another.
fn change(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 => input.truncate(at),
            1 => input.insert(at, random.byte()),
            2 => {
                let end = at + random.below(input.len() - at + 1);
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            3 => drop(input.splice(at.., other[other.len().min(at)..].iter().copied())),
            4 if at < input.len() => input[at] ^= 1 << random.below(8),
            5 if at + 8 <= input.len() => {
                let word = random.next() >> random.below(64);
                input[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
            _ if at < input.len() => input[at] = random.byte(),
            _ => {}
        }
    }
}

/// What is kept for a body.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kept").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "nothing is kept for {name}");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Runs a body; what it was given is shown if it fails.
fn run(name: &str, body: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(input))) {
        eprintln!("{name} fails on {input:?}");
        resume_unwind(panic);
    }
}

fn check(name: &str) {
    let (_, body) = *BODIES.iter().find(|(body, _)| *body == name).unwrap();
    let mut kept = corpus(name);
    kept.iter().for_each(|input| run(name, body, input));
    let mut random = Random(0x5eed);
    kept.push((0..LONGEST).map(|_| random.next() as u8).collect());
    let wanted = std::env::var("MUTATIONS").ok().and_then(|count| count.parse().ok());
    for _ in 0..wanted.unwrap_or(MUTATIONS) {
        let mut input = kept[random.below(kept.len())].clone();
        let other = random.below(kept.len());
        change(&mut random, &mut input, &kept[other]);
        run(name, body, &input);
    }
}

macro_rules! tests {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )* };
}
tests! { elf image manifest request rings start_info table wiring }

#[test]
fn every_body_has_a_test_and_a_target() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    for (name, _) in BODIES {
        assert!(targets.join(name).with_extension("rs").is_file(), "{name}");
    }
    assert_eq!(BODIES.len(), 8);
}

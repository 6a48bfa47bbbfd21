//! An ELF with bytes changed: it is refused with a reason, or its segments lie where images may.

#[path = "../../../tools/pack/tests/corpus/elf.rs"]
#[allow(dead_code)]
mod corpus;

use std::sync::OnceLock;

use abi::layout::{IMAGE, IMAGE_END, PAGE};
use arbitrary::{Arbitrary, Unstructured};
use pack::elf::{Elf, check_kernel};

#[derive(Arbitrary, Debug)]
struct Damage {
    /// Which image of the corpus.
    number: u8,
    changes: Vec<(u16, u8)>,
    length: Option<u16>,
}

fn damaged(damage: Damage) -> Vec<u8> {
    static IMAGES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    let images = IMAGES.get_or_init(corpus::images);
    let mut bytes = images[usize::from(damage.number) % images.len()].1.clone();
    for (at, value) in damage.changes {
        let at = usize::from(at) % bytes.len();
        bytes[at] = value;
    }
    bytes.truncate(damage.length.map_or(usize::MAX, usize::from));
    bytes
}

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    let Ok(damage) = Damage::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let bytes = damaged(damage);
    let _ = check_kernel(&bytes);
    let Ok(elf) = Elf::parse("fuzz", &bytes) else { return };
    for segment in &elf.segments {
        let end = segment.address + segment.pages * PAGE;
        assert!(segment.address >= IMAGE && end <= IMAGE_END);
        assert!(segment.bytes.len() as u64 <= segment.pages * PAGE);
    }
}

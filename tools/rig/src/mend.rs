//! Mends the private copy of QEMU: an interrupt injected by VMRUN must not be delivered twice.
//!
//! QEMU's `helper_vmrun` (target/i386/tcg/system/svm_helper.c) delivers an event of type INTR at once, but first stores
//! its vector in `exception_index` and leaves it there. When the emulation loop is left for another reason before the
//! next #VMEXIT, the vector is delivered again, as an exception, whatever IF says. A Linux guest dies of that in about
//! one run of five under load. The store is turned into a no-op.
//!
//! Invariant: bytes are changed only where the exact code is found, once; any other QEMU is left alone and said to be.

use std::fs;
use std::io::BufRead;
use std::path::Path;

use crate::Result;
use crate::error::Context;

/// What was found in QEMU's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// The store was there and is gone now.
    Done,
    /// The code is not the known one: nothing was changed.
    Unknown,
}

/// The code around the store; -1 is any byte. The store is `mov [rbx+exception_index], esi`: 89 b3 and an offset.
const CODE: [i16; 30] = [
    0x41, 0x0f, 0xb6, 0xf4, 0x44, 0x89, 0xab, -1, -1, -1, -1, 0x89, 0xb3, -1, -1, 0xff, 0xff, 0xc7,
    0x83, -1, -1, -1, -1, 0x00, 0x00, 0x00, 0x00, 0x48, 0xc7, 0x83,
];

/// Where the store begins in [`CODE`], and a no-op of its length.
const STORE: usize = 11;
const NOTHING: [u8; 6] = [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00];

/// Mends the program at `path`.
///
/// # Errors
/// When it cannot be read or written.
pub fn qemu(path: &Path) -> Result<Mend> {
    let mut program = fs::read(path).context("read", path)?;
    let result = bytes(&mut program);
    if result == Mend::Done {
        fs::write(path, program).context("write", path)?;
    }
    Ok(result)
}

/// Whether the program at `path` was mended.
///
/// # Errors
/// When it cannot be read.
pub fn is_done(path: &Path) -> Result<bool> {
    let program = fs::read(path).context("read", path)?;
    Ok(places(&program, &mended()).len() == 1)
}

/// The code as it is afterwards.
fn mended() -> [i16; CODE.len()] {
    let mut code = CODE;
    for (place, byte) in code.iter_mut().skip(STORE).zip(NOTHING) {
        *place = i16::from(byte);
    }
    code
}

fn bytes(program: &mut [u8]) -> Mend {
    let [at] = places(program, &CODE)[..] else { return Mend::Unknown };
    let from = at + STORE;
    match program.get_mut(from..from + NOTHING.len()) {
        Some(store) => {
            store.copy_from_slice(&NOTHING);
            Mend::Done
        }
        None => Mend::Unknown,
    }
}

/// Where a code is. Its fourth byte is rare, and `skip_until` finds it fast even in an unoptimised build.
fn places(program: &[u8], code: &[i16]) -> Vec<usize> {
    const RARE: usize = 3;
    let mut found = Vec::new();
    let mut rest = program;
    while rest.skip_until(0xf4).is_ok_and(|skipped| skipped > 0) {
        let Some(at) = (program.len() - rest.len()).checked_sub(RARE + 1) else { continue };
        if program.get(at..).is_some_and(|bytes| matches(bytes, code)) {
            found.push(at);
        }
    }
    found
}

fn matches(bytes: &[u8], code: &[i16]) -> bool {
    bytes.len() >= code.len()
        && code.iter().zip(bytes).all(|(known, byte)| *known < 0 || *known == i16::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(copies: usize) -> Vec<u8> {
        let code: Vec<u8> = CODE.iter().map(|byte| u8::try_from(*byte).unwrap_or(0x5a)).collect();
        let mut all = vec![0x41; 7];
        for _ in 0..copies {
            all.extend(&code);
            all.extend([0x90; 5]);
        }
        all
    }

    #[test]
    fn the_store_alone_is_changed() {
        let before = program(1);
        let mut after = before.clone();
        assert_eq!(bytes(&mut after), Mend::Done);
        let changed: Vec<usize> =
            (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
        assert_eq!(changed, (7 + STORE..7 + STORE + 6).collect::<Vec<_>>());
        assert_eq!(bytes(&mut after), Mend::Unknown, "a mended program is not mended again");
        assert_eq!((places(&before, &mended()).len(), places(&after, &mended()).len()), (0, 1));
    }

    #[test]
    fn other_code_and_ambiguous_code_are_left_alone() {
        for copies in [0, 2] {
            let mut after = program(copies);
            assert_eq!(bytes(&mut after), Mend::Unknown);
            assert_eq!(after, program(copies));
        }
    }
}

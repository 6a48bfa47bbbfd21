//! Counts what servers compute with: digests, ciphers, checksums, copies. For each figure it logs `NAME median least most`, in
//! ticks of the time-stamp counter.
//!
//! Ticks are instructions only under QEMU's `-icount shift=0`, and hold what a reading of the counter takes: that is the figure
//! `clock`. What is counted is checked first: a digest against a known one, a cipher by undoing it.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Display;
use core::hint::black_box;

use abi::kernel::control::Shutdown;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Key, Nonce, Tag};
use rt::clock::counter;
use sha2::{Digest, Sha256};
use shared::Memory;
use smoltcp::wire::checksum;

ipc::wiring! {
    needs { log: ipc::log, operator: ipc::operator }
    stack 16;
    heap 128;
}

/// Samples of each figure.
const ROUNDS: usize = 200;
/// Bytes that are worked on: a small message, a full packet, a large block.
const SIZES: [usize; 3] = [64, 1460, 65_536];
/// SHA-256 of `abc` (FIPS 180-4, example of its appendix), its first eight bytes.
const DIGEST_OF_ABC: [u8; 8] = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];

/// Counts `work` and tells the figure.
fn count(name: impl Display, mut work: impl FnMut()) {
    let mut samples = [0; ROUNDS];
    for sample in &mut samples {
        let from = counter();
        work();
        *sample = counter().wrapping_sub(from);
    }
    samples.sort_unstable();
    let [least, .., most] = samples;
    rt::log!("{name} {} {least} {most}", samples[ROUNDS / 2]);
}

fn digests(block: &[u8]) {
    assert!(Sha256::digest(b"abc").starts_with(&DIGEST_OF_ABC), "SHA-256 is wrong");
    for size in SIZES {
        let part = &block[..size];
        count(format_args!("sha256_{size}"), || {
            black_box(Sha256::digest(black_box(part)));
        });
    }
}

fn ciphers(block: &mut [u8]) {
    let key = Aes128Gcm::new(&Key::<Aes128Gcm>::from([7; 16]));
    let nonce = Nonce::from([1; 12]);
    for size in SIZES {
        let part = &mut block[..size];
        let before = part.to_vec();
        let tag = seal(&key, &nonce, part);
        assert!(
            part != before && key.decrypt_inout_detached(&nonce, b"", part.into(), &tag).is_ok()
        );
        assert!(part == before, "AES-GCM is wrong");
        count(format_args!("aes_gcm_{size}"), || {
            black_box(seal(&key, &nonce, part));
        });
    }
}

fn seal(key: &Aes128Gcm, nonce: &Nonce<aes_gcm::aes::cipher::consts::U12>, part: &mut [u8]) -> Tag {
    key.encrypt_inout_detached(nonce, b"", part.into()).unwrap_or_default()
}

fn checksums(block: &[u8]) {
    for size in SIZES {
        let part = &block[..size];
        count(format_args!("checksum_{size}"), || {
            black_box(checksum::data(black_box(part)));
        });
    }
}

fn copies(block: &[u8], shared: Memory) {
    let mut to = vec![0; block.len()];
    for size in SIZES {
        let (from, to) = (&block[..size], &mut to[..size]);
        count(format_args!("copy_{size}"), || {
            black_box(&mut *to).copy_from_slice(black_box(from));
        });
    }
    for size in SIZES.into_iter().filter(|size| *size <= shared.len()) {
        let to = &mut to[..size];
        count(format_args!("copy_shared_{size}"), || shared.copy_from(0, black_box(to)));
    }
}

fn run() -> ! {
    let largest = SIZES[SIZES.len() - 1];
    let mut block: Vec<u8> = (0..largest).map(|at| (at * 7 + at / 251) as u8).collect();
    count("clock", || {});
    digests(&block);
    ciphers(&mut block);
    checksums(&block);
    copies(&block, rt::need(wiring::log).up);
    rt::log!("complete");
    let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
    loop {
        let _ = operator.shutdown(Shutdown::Poweroff);
    }
}

rt::main!(run);

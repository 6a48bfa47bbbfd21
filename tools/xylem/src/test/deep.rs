//! What takes a build of its own: the orders of two threads under loom, undefined behaviour under Miri, and the kernel's size.
//!
//! Invariant: each build has a folder of its own beside the others, so none is built anew because of it. Where Miri is not
//! installed, that is said, and nothing is counted.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use object::{Object, ObjectSection, SectionFlags};

use super::{Tally, check, host, units};
use crate::system::{KERNEL_TARGET, output};

/// Most bytes of the kernel without symbols.
const LARGEST_KERNEL: u64 = 131_072;
/// ELF: a section that is loaded.
const ALLOCATED: u64 = 2;
/// Bytes of an ELF's section header, and of a name with room.
const SECTION: u64 = 64 + 16;

/// What Miri runs: package, and the tests whose names hold one of these. It is some hundred times slower than the processor, so there
/// are no random tests among them, nothing that hashes an image, and no assembly.
const MIRI: [(&str, &[&str]); 4] = [
    ("abi", &["badge::", "token::", "wiring::", "word::", "numbers", "handles_are", "bits_are"]),
    ("ipc", &["loopback::", "serve::", "wiring::"]),
    (
        "shared",
        &["requests_are_answered", "what_a_dead_server", "is_broken", "an_entry_that_changes"],
    ),
    ("kernel", &["tests::ipc::a_token_is_good", "tests::ipc::generations_wrap", "table::"]),
];
/// After this long, no more packages are begun.
const MIRI_LIMIT: Duration = Duration::from_secs(150);

/// Runs all of it.
pub fn run() -> Tally {
    let mut tally = check("orders of threads", orders);
    tally.add(check("size of the kernel", size));
    if has_miri() {
        tally.add(check("undefined behaviour", miri));
    } else {
        println!(
            "undefined behaviour: left out, there is no Miri: rustup +nightly component add miri rust-src"
        );
    }
    tally
}

fn folder(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    target.map_or_else(|| crate::system::root().join("target"), PathBuf::from).join(name)
}

fn orders() -> Tally {
    let test = ["test", "-q", "-p", "shared", "-p", "kernel", "--test", "orders*"];
    let mut command = host::command(&test, &[("RUSTFLAGS", "--cfg loom")]);
    units::counted(command.env("CARGO_TARGET_DIR", folder("loom")))
}

fn has_miri() -> bool {
    let mut command = nightly();
    command.args(["miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).current_dir(crate::system::root());
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.stdin(Stdio::null());
    command
}

fn miri() -> Tally {
    let start = Instant::now();
    let mut tally = Tally::default();
    for (package, tests) in MIRI {
        if start.elapsed() > MIRI_LIMIT {
            println!("undefined behaviour: {package} is left out, time is up");
            continue;
        }
        let mut command = nightly();
        command.args(["miri", "test", "-q", "-p", package, "--lib", "--tests", "--"]).args(tests);
        command.env("CARGO_TARGET_DIR", folder("miri"));
        command.env(
            "MIRIFLAGS",
            "-Zmiri-permissive-provenance -Zmiri-disable-isolation -Zmiri-ignore-leaks",
        );
        tally.add(units::counted(&mut command));
    }
    tally
}

/// The kernel without symbols: what is loaded, and a header for each section that is.
fn stripped(elf: &[u8]) -> Option<u64> {
    let file = object::File::parse(elf).ok()?;
    let loaded = file.sections().filter(|section| {
        matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & ALLOCATED != 0)
    });
    let (mut end, mut headers) = (0, 2);
    for section in loaded {
        let (at, bytes) = section.file_range().unwrap_or_default();
        (end, headers) = (end.max(at + bytes), headers + 1);
    }
    Some(end + headers * SECTION)
}

fn size() -> Tally {
    let built = ["build", "-q", "--release", "--target", KERNEL_TARGET, "-p", "kernel"];
    if !host::command(&built, &[]).status().is_ok_and(|status| status.success()) {
        return Tally::one(false);
    }
    let bytes = std::fs::read(output(KERNEL_TARGET, "kernel")).ok().and_then(|elf| stripped(&elf));
    let small = bytes.is_some_and(|bytes| bytes <= LARGEST_KERNEL);
    if !small {
        println!("the kernel has {bytes:?} bytes without symbols, not {LARGEST_KERNEL} at most");
    }
    Tally::one(small)
}

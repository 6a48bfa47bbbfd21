//! Files of a disk, byte for byte, and a disk that is written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rig::{Disk, Restart};
use sha2::{Digest, Sha256};

use super::fault::{Outcome, Step, contains, ensure};
use super::machine::{ASK, Machine, Order};
use crate::files::image_of;

/// Bytes of the large file.
const LARGE: usize = 64 << 20;
/// For the large file to be fetched.
const FETCH: Duration = Duration::from_secs(240);
/// Bytes of the disk that is written.
const DISK: usize = 4 << 20;
/// Bytes of the disk for pages.
const PAGED: u64 = 16 << 20;
/// For all pages to be written and read.
const WALK: Duration = Duration::from_secs(120);
/// For that disk to be written and read.
const WRITE: Duration = Duration::from_secs(60);

/// A disk of files: a large one of noise, and a small one in a folder.
pub struct Files {
    /// The image.
    pub image: PathBuf,
    /// The large file.
    pub large: PathBuf,
}

impl Files {
    /// Makes it, with a large file of this size.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn make(machine: &Machine<'_>, size: usize) -> Outcome<Self> {
        let step = "make a disk of files";
        let folder = machine.scratch().join("files");
        let (large, image) = (folder.join("noise.bin"), machine.scratch().join("files.img"));
        fs::create_dir_all(folder.join("inside")).step(step)?;
        fs::write(&large, noise(size)).step(step)?;
        fs::write(folder.join("inside/A long name.txt"), "small\n").step(step)?;
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&image);
        image_of(&folder, file.as_mut().map_err(|error| error.to_string()).step(step)?)
            .step(step)?;
        Ok(Self { image, large })
    }

    /// It as the first disk of a domain.
    pub fn disk(&self) -> Disk<'_> {
        Disk { image: &self.image, device: "xvda", writable: false }
    }
}

/// 64 MiB of noise come byte for byte.
pub fn large(machine: &Machine<'_>) -> Outcome {
    let files = Files::make(machine, LARGE)?;
    let web = machine.create(Order { disks: vec![files.disk()], ..Order::of("web") })?;
    web.page()?;
    contains(&web.get("the list of files", "/files/")?, "noise.bin", "the list of files")?;
    let small = web.get("a small file", "/files/inside/A%20long%20name.txt")?;
    ensure(small == "small\n", "a small file", || format!("it is {small:?}"))?;
    let (step, url) = ("64 MiB of noise are the same", web.url("/files/noise.bin")?);
    let start = Instant::now();
    let sum = machine.run(step, &format!("curl -sSf {url} | sha256sum"), FETCH)?;
    let rate = LARGE as f32 / 1e6 / start.elapsed().as_secs_f32();
    println!("large-file: {rate:.1} MB/s");
    let content = fs::read(&files.large).step(step)?;
    expect_sum(step, &sum, &content)?;
    let part = content.get(33_554_431..=33_558_527).unwrap_or_default();
    let step = "a part of a file";
    let get = format!("curl -sSf -r 33554431-33558527 {url} | sha256sum");
    expect_sum(step, &machine.run(step, &get, ASK)?, part)?;
    web.is_unhurt("a large file")
}

/// Whether a sum, as `sha256sum` prints it, is that of these bytes.
fn expect_sum(step: &str, sum: &str, bytes: &[u8]) -> Outcome {
    let wanted: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure(sum.starts_with(&wanted), step, || format!("the sum is {}, not {wanted}", sum.trim()))
}

/// The second disk is written and read by a server, and is then what it should be, seen from here.
pub fn written(machine: &Machine<'_>) -> Outcome {
    let (first, second) = (machine.scratch().join("first"), machine.scratch().join("second"));
    let step = "make two disks";
    fs::write(&first, vec![0; 1 << 20]).step(step)?;
    fs::write(&second, noise(DISK)).step(step)?;
    let disks = vec![
        Disk { image: &first, device: "xvda", writable: false },
        Disk { image: &second, device: "xvdb", writable: true },
    ];
    let domain = machine.create(Order { disks, restart: Restart::Never, ..Order::of("disk") })?;
    let line = domain.sees("scribe:", WRITE)?;
    contains(&line, &format!("{} sectors are as they were written", DISK / 512), "the disk")?;
    domain.is_healthy("the disk")?;
    domain.is_gone()?;
    domain.destroy()?;
    expect_pattern(&second)?;
    let untouched = fs::read(&first).step(step)?.iter().all(|byte| *byte == 0);
    ensure(untouched, "the first disk", || "it was written to".into())
}

/// 16 MiB of memory in use in a domain of 16 MiB: what does not fit is on the disk.
pub fn paged(machine: &Machine<'_>) -> Outcome {
    let (image, step) = (machine.scratch().join("paged"), "make a disk for pages");
    File::create(&image).and_then(|file| file.set_len(PAGED)).step(step)?;
    let disks = vec![Disk { image: &image, device: "xvda", writable: true }];
    let domain = machine.create(Order { disks, restart: Restart::Never, ..Order::of("paged") })?;
    let line = domain.sees("walker:", WALK)?;
    contains(&line, "4096 pages are as they were written, in 1 passes", "the pages")?;
    let line = domain.sees("walker: never", ASK)?;
    contains(&line, "never more than 1024 of them in memory", "the frames")?;
    domain.is_healthy("the pages")?;
    domain.is_gone()?;
    domain.destroy()
}

/// Whether the disk has what the server writes: a word for each place (SplitMix64).
fn expect_pattern(disk: &Path) -> Outcome {
    let step = "the disk, seen from outside";
    let bytes = fs::read(disk).step(step)?;
    let (words, _) = bytes.as_chunks::<8>();
    let wrong =
        (0_u64..).zip(words).find(|(place, word)| u64::from_le_bytes(**word) != mix(place + 1));
    ensure(words.len() * 8 == DISK, step, || format!("it has {} bytes", bytes.len()))?;
    ensure(wrong.is_none(), step, || format!("the first wrong word is {wrong:?}"))
}

const fn mix(count: u64) -> u64 {
    let mut z = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Bytes without a pattern.
fn noise(size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size);
    for count in 0..size.div_ceil(8) as u64 {
        let _ = bytes.write_all(&mix(!count).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use super::noise;

    #[test]
    fn noise_has_no_part_twice() {
        let bytes = noise(80_001);
        let mut parts: Vec<&[u8]> = bytes.chunks_exact(16).collect();
        parts.sort_unstable();
        parts.dedup();
        assert_eq!((bytes.len(), parts.len()), (80_001, 5000));
    }
}

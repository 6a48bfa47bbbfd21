//! Wrong manifests, each with the exact text that it is answered with: `tests/pack/NAME.toml` and `NAME.expected`.
//!
//! Invariant: each manifest breaks one rule, and the answer is compared to the last byte. `XYLEM_BLESS=1` rewrites the
//! answers. A first line `# kernel: KIND` chooses a kernel. Images are made by [`elf`]; nothing is compiled.
#![allow(missing_docs)]

#[path = "corpus/elf.rs"]
mod elf;

use std::path::{Path, PathBuf};

use abi::image::{HEADER, Header, sha256};
use ipc::system::System;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pack")
}

/// A folder with all images and kernels, removed when it is dropped.
struct Images(PathBuf);

impl Images {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xylem-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in elf::images() {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        for kind in ["good", "no-note", "stale", "not-an-elf"] {
            std::fs::write(folder.join(format!("kernel.{kind}")), elf::kernel(kind)).unwrap();
        }
        Self(folder)
    }

    fn pack(&self, manifest: &Path) -> Result<pack::Packed, pack::Report> {
        let text = std::fs::read_to_string(manifest).unwrap();
        let kind = text.lines().next().and_then(|line| line.strip_prefix("# kernel: "));
        pack::pack(
            manifest,
            &self.0,
            &self.0.join(format!("kernel.{}", kind.unwrap_or("good"))),
            "v0",
        )
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the packer says, without the folder of the manifest.
fn answer(images: &Images, manifest: &Path) -> String {
    let text = match images.pack(manifest) {
        Err(report) => report.to_string(),
        Ok(packed) if packed.warnings.is_empty() => String::from("packed"),
        Ok(packed) => {
            packed.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
    };
    text.replace(&format!("{}/", folder().display()), "") + "\n"
}

fn manifests() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
    all.sort();
    all
}

#[test]
fn every_wrong_manifest_is_answered_with_its_text() {
    let images = Images::new("corpus");
    let mut wrong = Vec::new();
    for manifest in manifests() {
        let (answer, expected) = (answer(&images, &manifest), manifest.with_extension("expected"));
        if std::env::var_os("XYLEM_BLESS").is_some() {
            std::fs::write(&expected, &answer).unwrap();
        }
        let said = std::fs::read_to_string(&expected).unwrap_or_default();
        if said != answer {
            wrong.push(format!("{}\nexpected\n{said}got\n{answer}", manifest.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_answer_but_that_to_the_sound_manifest_is_an_error_or_a_warning() {
    let images = Images::new("kinds");
    let all = manifests();
    assert!(all.len() > 40, "{} manifests", all.len());
    for manifest in all {
        let is_sound = manifest.ends_with("sound.toml");
        let answer = answer(&images, &manifest);
        let is_wrong = answer.starts_with("error: ") || answer.starts_with("warning: ");
        assert_eq!(is_wrong, !is_sound, "{}: {answer}", manifest.display());
    }
}

#[test]
fn the_manifest_that_the_readme_explains_can_be_read() {
    let readme = include_str!("../README.md");
    let manifest = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next());
    let parsed = pack::Manifest::parse("README.md", manifest.unwrap()).unwrap();
    assert_eq!(parsed.memory_mib(), 16);
    assert_eq!(parsed.servers[1].1.heap.as_ref().unwrap().get_ref().0, 256);
}

/// Whether the image is whole, as the kernel and then the supervisor find it.
fn is_whole(bytes: &[u8]) -> bool {
    let Ok(header) = Header::decode(bytes) else { return false };
    let Some(table) = bytes.get(HEADER..HEADER + header.table_bytes as usize) else { return false };
    let Ok(system) = System::decode(table, header.image_bytes) else { return false };
    system.images.iter().all(|image| {
        let place = image.offset as usize..(image.offset + image.bytes) as usize;
        bytes.get(place).is_some_and(|body| sha256(body) == image.sha256)
    })
}

fn packed(test: &str) -> Vec<u8> {
    Images::new(test).pack(&folder().join("sound.toml")).unwrap().image
}

#[test]
fn every_changed_byte_of_an_image_is_found() {
    let mut image = packed("flips");
    assert!(is_whole(&image));
    for at in 0..image.len() {
        image[at] ^= 0x55;
        assert!(!is_whole(&image), "byte {at}");
        image[at] ^= 0x55;
    }
    assert!(is_whole(&image));
}

#[test]
fn every_truncated_image_is_refused() {
    let image = packed("cuts");
    for length in 0..image.len() {
        assert!(!is_whole(&image[..length]), "{length} bytes");
    }
}

#[test]
fn an_image_that_is_a_page_too_long_is_refused() {
    let mut image = packed("longer");
    image.resize(image.len() + 4096, 0);
    assert!(!is_whole(&image));
}

#[test]
fn servers_that_talk_stay_together_and_others_are_spread() {
    let images = Images::new("spread");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/spread.toml");
    let packed = images.pack(&manifest).unwrap();
    assert!(packed.warnings.is_empty());
    let place = |slot: &ipc::system::Slot| (slot.name.clone(), slot.vcpu);
    let places: Vec<(String, u16)> = packed.system.slots.iter().map(place).collect();
    let expected = [("supervisor", 0), ("server", 1), ("client", 1), ("idle", 0)];
    assert_eq!(places, expected.map(|(name, vcpu)| (name.to_owned(), vcpu)));
    assert_eq!(packed.vcpus, 2);
}

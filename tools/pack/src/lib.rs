//! Checks a system and packs it into a boot image.
//!
//! [`manifest`] reads what the user wrote, [`elf`] what the compiler made, [`plan`] checks them against each other and decides
//! everything that the supervisor carries out, [`image`] writes the bytes. Errors are [`Report`]s that point at the
//! manifest and say how to mend it.
#![forbid(unsafe_code)]

pub mod counts;
pub mod elf;
pub mod image;
pub mod manifest;
pub mod memory;
pub mod owners;
pub mod plan;
pub mod report;
pub mod rules;
pub mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use manifest::Manifest;
pub use report::Report;

/// A system that was packed.
#[derive(Debug, Clone)]
pub struct Packed {
    /// Its name.
    pub name: String,
    /// The boot image.
    pub image: Vec<u8>,
    /// Memory that the manifest asks for, in MiB.
    pub memory: u32,
    /// Memory that it needs to boot, in pages.
    pub pages: u64,
    /// Its table, as the supervisor reads it.
    pub system: ipc::system::System,
    /// What may be a mistake, and does not keep it from running.
    pub warnings: Vec<Report>,
}

/// Packs the system that a manifest describes, from the kernel and the servers that were built.
///
/// # Errors
/// Everything that is wrong with the system.
pub fn pack(manifest: &Path, servers: &Path, kernel: &Path) -> Result<Packed, Report> {
    let text = std::fs::read_to_string(manifest).map_err(|error| Report::file(manifest, &error))?;
    let name = manifest.display().to_string();
    let manifest = Manifest::parse(&name, &text)?;
    let kernel = read(kernel)?;
    elf::check_kernel(&kernel)
        .map_err(|reason| manifest.report_name(&reason.what, &reason.help))?;
    let mut images = BTreeMap::new();
    for (slot, server) in &manifest.servers {
        let image = server.image(slot).to_owned();
        if images.contains_key(&image) {
            continue;
        }
        let bytes = find(servers, &image).ok_or_else(|| manifest.unknown_image(slot, &image))?;
        let parsed = elf::Elf::parse(&image, &bytes)
            .map_err(|reason| manifest.bad_image(slot, &image, &reason))?;
        images.insert(image, parsed);
    }
    let plan = plan::Plan::new(&manifest, &images)?;
    owners::records(&manifest, &plan.slots)?;
    let domain = memory::Domain::new(&kernel, manifest.memory_mib());
    let (image, pages) = image::write(&plan, domain);
    manifest.check_memory(pages)?;
    let system = rules::proof(&manifest, &image)?;
    Ok(Packed {
        name: manifest.name.clone(),
        image,
        memory: manifest.memory_mib(),
        pages,
        system,
        warnings: rules::warn(&manifest, &plan),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Report> {
    std::fs::read(path).map_err(|error| Report::file(path, &error))
}

fn find(folder: &Path, image: &str) -> Option<Vec<u8>> {
    let path: PathBuf = folder.join(image);
    std::fs::read(path).ok()
}

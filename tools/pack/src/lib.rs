//! Checks a system and packs it into a boot image.
//!
//! [`manifest`] reads what the user wrote, [`elf`] what the compiler made, [`rules`], [`owners`], [`managers`], [`alternates`], [`wires`], [`calls`]
//! and [`spread`] check them against each other, [`plan`] decides everything that the supervisor carries out, [`image`] writes the bytes. Errors are [`Report`]s that point at the
//! manifest and say how to mend it.
#![forbid(unsafe_code)]

pub mod account;
pub mod alternates;
pub mod calls;
pub mod counts;
pub mod elf;
pub mod image;
pub mod managers;
pub mod manifest;
pub mod memory;
mod nearest;
pub mod owners;
mod place;
pub mod plan;
pub mod quota;
pub mod report;
pub mod rules;
pub mod size;
pub mod spread;
pub mod tables;
pub mod wires;
pub mod wiring;

use std::collections::BTreeMap;
use std::path::Path;

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
    /// vCPUs that the manifest asks for.
    pub vcpus: u16,
    /// Memory that it needs to boot, in pages.
    pub pages: u64,
    /// Memory that it needs to run and to swap its largest server, in pages.
    pub swap_pages: u64,
    /// Its table, as the supervisor reads it.
    pub system: ipc::system::System,
    /// What may be a mistake, and does not keep it from running.
    pub warnings: Vec<Report>,
}

/// Packs the system that a manifest describes, from the kernel and the servers that were built; `version` is what the images
/// are called by the system itself.
///
/// # Errors
/// Everything that is wrong with the system.
pub fn pack(
    manifest: &Path,
    servers: &Path,
    kernel: &Path,
    version: &str,
) -> Result<Packed, Report> {
    let text = std::fs::read_to_string(manifest).map_err(|error| Report::file(manifest, &error))?;
    let name = manifest.display().to_string();
    let manifest = Manifest::parse(&name, &text)?;
    let kernel = read(kernel)?;
    elf::check_kernel(&kernel)
        .map_err(|reason| manifest.report_name(&reason.what, &reason.help))?;
    let images = images(&manifest, servers)?;
    let plan = plan::Plan::new(&manifest, &images, version)?;
    owners::records(&manifest, &plan.slots)?;
    let domain = memory::Domain::new(&kernel, manifest.memory_mib(), manifest.vcpus());
    let (image, pages) = image::write(&plan, domain);
    manifest.check_memory(pages)?;
    let system = rules::proof(&manifest, &image)?;
    let swap_pages = pages + memory::to_swap(&plan);
    Ok(Packed {
        name: manifest.name.clone(),
        image,
        memory: manifest.memory_mib(),
        vcpus: manifest.vcpus(),
        pages,
        swap_pages,
        system,
        warnings: [
            rules::warn(&manifest, &plan),
            account::warn(&manifest, &plan),
            spread::warn(&manifest, &plan),
            alternates::warn(&manifest, &plan, swap_pages),
        ]
        .concat(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Report> {
    std::fs::read(path).map_err(|error| Report::file(path, &error))
}

/// All images of a system, each once.
fn images(manifest: &Manifest, folder: &Path) -> Result<BTreeMap<String, elf::Elf>, Report> {
    let mut images = BTreeMap::new();
    let named = manifest
        .servers
        .iter()
        .flat_map(|(slot, server)| server.images(slot).map(move |image| (slot, image)));
    for (slot, image) in named {
        if images.contains_key(image) {
            continue;
        }
        let bytes = std::fs::read(folder.join(image))
            .map_err(|_| manifest.unknown_image(slot, image, &programs(folder)))?;
        let parsed = elf::Elf::parse(image, &bytes)
            .map_err(|reason| manifest.bad_image(slot, image, &reason))?;
        images.insert(image.to_owned(), parsed);
    }
    Ok(images)
}

/// The names of the programs in a folder: files without an ending.
fn programs(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let programs = files.filter(|file| file.is_file() && file.extension().is_none());
    let mut names: Vec<String> =
        programs.filter_map(|file| Some(file.file_name()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

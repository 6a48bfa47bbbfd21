//! A manifest of any text: it is refused with a report, or it is packed and passes the checks that the domain makes.

#[path = "../../../tools/pack/tests/corpus/elf.rs"]
#[allow(dead_code)]
mod elf;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pack::elf::Elf;
use pack::memory::Domain;
use pack::plan::Plan;
use pack::{Manifest, image, owners, rules};

fn images() -> &'static BTreeMap<String, Elf> {
    static IMAGES: OnceLock<BTreeMap<String, Elf>> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let parsed =
            |(name, bytes): (&str, Vec<u8>)| Some((name.into(), Elf::parse(name, &bytes).ok()?));
        elf::images().into_iter().filter_map(parsed).collect()
    })
}

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let Ok(manifest) = Manifest::parse("fuzz.toml", text) else { return };
    let known: Vec<String> = images().keys().cloned().collect();
    if manifest.check_images(&known).is_err() {
        return;
    }
    let used: BTreeMap<String, Elf> = manifest
        .servers
        .iter()
        .map(|(slot, server)| server.image(slot))
        .filter_map(|image| Some((image.to_owned(), images().get(image)?.clone())))
        .collect();
    let Ok(plan) = Plan::new(&manifest, &used, "") else { return };
    if owners::records(&manifest, &plan.slots).is_err() {
        return;
    }
    let kernel = elf::kernel("good");
    let domain = Domain::new(&kernel, manifest.memory_mib(), manifest.vcpus());
    let (image, pages) = image::write(&plan, domain);
    if manifest.check_memory(pages).is_ok() {
        // A system may still be too large for the kernel's limits; that is a report, too.
        if let Ok(system) = rules::proof(&manifest, &image) {
            assert_eq!(system.slots.len(), manifest.servers.len());
            let (_, again) = supervisor::check::decode(&image).expect("the supervisor refuses it");
            supervisor::check::images(&image, &again).expect("the supervisor refuses an image");
        }
    }
}

//! Prepares the rig: downloads, unpacks, makes the image. Only what changed is made again.
//!
//! Invariant: one process at a time (a lock); each result is renamed into place whole, with a stamp of what it was
//! made from; a run that is killed is taken up again where it stood. The host is not changed.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::apt::{Apt, Archive};
use crate::error::Context;
use crate::mend::{self, Mend};
use crate::packages::Toolstack;
use crate::progress::phase;
use crate::tree::Tree;
use crate::{Cache, Error, Progress, Result, cache, hash, image, tool, unpack};

/// Space for archives, tree, image and snapshot while they are made.
const WHOLE: u64 = 2200 << 20;
const IMAGE: u64 = 800 << 20;

/// Makes sure that the rig can be booted from this cache.
///
/// # Errors
/// See [`Error`]: nothing that is half done is left under a final name.
pub fn setup(cache: &Cache, progress: &dyn Progress) -> Result<()> {
    let stack = Toolstack::chosen();
    let (tree, made) = stamps(&stack);
    if is_ready(cache, &made) {
        return Ok(());
    }
    platform()?;
    let _lock = cache.lock("setup", progress)?;
    if cache::stamp(&cache.tree()).as_deref() != Some(&tree) {
        make_tree(cache, &stack, &tree, progress)?;
    }
    if !is_ready(cache, &made) {
        make_image(cache, &stack, &made, progress)?;
    }
    Ok(())
}

/// Whether the QEMU of this cache delivers an injected interrupt once, as a processor does (the README says more).
///
/// # Errors
/// When it cannot be read.
pub fn is_mended(cache: &Cache) -> Result<bool> {
    mend::is_done(&Tree::at(cache.tree()).qemu_program())
}

/// The stamp of the image as it should be now.
pub fn setup_stamp() -> String {
    stamps(&Toolstack::chosen()).1
}

fn stamps(stack: &Toolstack) -> (String, String) {
    let tree = hash::of_parts(stack.parts());
    let image = image::stamp(&tree);
    (tree, image)
}

fn is_ready(cache: &Cache, image: &str) -> bool {
    cache::stamp(&cache.image()).as_deref() == Some(image) && cache.tree().join("stamp").exists()
}

fn platform() -> Result<()> {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return tool::check();
    }
    Err(Error::Platform { found: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS) })
}

fn make_tree(cache: &Cache, stack: &Toolstack, stamp: &str, progress: &dyn Progress) -> Result<()> {
    cache.need_space(WHOLE)?;
    let apt = Apt::prepare(cache, stack, progress)?;
    let packages = stack.packages();
    let plan = phase(progress, "rig: package lists", None, || {
        apt.update()?;
        apt.plan(&packages)
    })?;
    let total = plan.iter().map(|archive| archive.bytes).sum();
    progress.note(&announcement(&plan, stack, cache));
    phase(progress, "rig: download", Some(total), || apt.download(&packages, progress))?;
    let new = cache.path().join("tree.new");
    phase(progress, "rig: unpack", Some(total), || {
        let done = AtomicU64::new(0);
        let advance = |bytes| progress.advance(done.fetch_add(bytes, Ordering::Relaxed) + bytes);
        unpack::all(archives(&apt, &plan)?, &new, &advance)?;
        Tree::at(new.clone()).check(stack.xen)
    })?;
    if unpack::mend(&new)? == Mend::Unknown {
        progress.note("note: this QEMU is not the known one and was not mended; Linux guests may die now and then");
    }
    cache::publish(&new, &cache.tree(), stamp)?;
    cache::remove(&apt.archives())
}

fn announcement(plan: &[Archive], stack: &Toolstack, cache: &Cache) -> String {
    let megabytes = plan.iter().map(|archive| archive.bytes).sum::<u64>() / 1_000_000;
    format!(
        "downloading {} packages of Debian {} ({megabytes} MB: Xen {}, Linux, QEMU) into {}; nothing is installed",
        plan.len(),
        stack.suite,
        stack.xen,
        cache.path().display()
    )
}

/// The archives of the plan; older ones that lie beside them are not taken.
fn archives(apt: &Apt, plan: &[Archive]) -> Result<Vec<PathBuf>> {
    let folder = apt.archives();
    let paths: Vec<PathBuf> = plan.iter().map(|archive| folder.join(&archive.file)).collect();
    for path in &paths {
        fs::metadata(path).context("find", path)?;
    }
    Ok(paths)
}

fn make_image(
    cache: &Cache,
    stack: &Toolstack,
    stamp: &str,
    progress: &dyn Progress,
) -> Result<()> {
    cache.need_space(IMAGE)?;
    phase(progress, "rig: image of dom0", None, || {
        let new = cache.path().join("image.new");
        image::make(&Tree::at(cache.tree()), stack.xen, &new)?;
        cache::publish(&new, &cache.image(), stamp)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::TOOLSTACKS;

    #[test]
    fn stamps_differ_between_toolstacks_and_stay_for_one() {
        let [one, two] = TOOLSTACKS;
        assert_eq!(stamps(&one), stamps(&one));
        assert_ne!(stamps(&one).0, stamps(&two).0);
        assert_ne!(stamps(&one).1, stamps(&two).1);
    }

    #[test]
    fn a_cache_without_the_right_stamp_is_not_ready() {
        let path = std::env::temp_dir().join(format!("rig-ready-{}", std::process::id()));
        let cache = Cache::at(&path).unwrap();
        assert!(!is_ready(&cache, "a"));
        for folder in [cache.tree(), cache.image()] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("stamp"), "a").unwrap();
        }
        assert!(is_ready(&cache, "a") && !is_ready(&cache, "b"));
        cache::remove(&path).unwrap();
    }
}

//! Run folders: one for each QEMU, with its logs, its monitor and the notes on who owns it.
//!
//! Invariant: a folder whose owner is gone is swept away, with its QEMU, by the next one that makes a folder. What
//! belongs to nobody (the warm rig) stays. Made and swept under a lock, so a new folder is never taken for an old one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Context;
use crate::process::Identity;
use crate::{Cache, Result, Silent, cache};

/// What is known of the QEMU that runs in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its process.
    pub qemu: Identity,
    /// The port of 127.0.0.1 that leads to the channel in dom0.
    pub port: u16,
    /// The stamp of the image that it was booted from.
    pub image: String,
    /// Ports of this machine that lead to guests: host port, guest address, guest port.
    pub forwards: Vec<(u16, String, u16)>,
}

const RECORD: &str = "record.json";
const OWNER: &str = "owner.json";

/// Makes an empty run folder of this name; with `owned`, it goes when this process goes.
///
/// # Errors
/// When it cannot be made.
pub fn fresh(cache: &Cache, name: &str, owned: bool) -> Result<PathBuf> {
    let _lock = cache.lock("run", &Silent)?;
    sweep(cache)?;
    let run = cache.run(name);
    cache::fresh(&run)?;
    if owned {
        write(&run.join(OWNER), &Identity::own())?;
    }
    Ok(run)
}

/// Makes an empty run folder that goes when this process goes, with a name of its own.
///
/// # Errors
/// When it cannot be made.
pub fn fresh_private(cache: &Cache) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("p{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    fresh(cache, &name, true)
}

/// The record of a folder whose QEMU lives.
pub fn living(run: &Path) -> Option<Record> {
    read::<Record>(&run.join(RECORD)).filter(|record| record.qemu.is_alive())
}

/// Notes what runs in a folder.
///
/// # Errors
/// When it cannot be written.
pub fn note(run: &Path, record: &Record) -> Result<()> {
    write(&run.join(RECORD), record)
}

/// Removes the folders of owners that are gone, and ends their QEMUs.
fn sweep(cache: &Cache) -> Result<()> {
    let folder = cache.path().join("run");
    for entry in fs::read_dir(&folder).context("read", &folder)? {
        let run = entry.context("read", &folder)?.path();
        let Some(owner) = read::<Identity>(&run.join(OWNER)) else { continue };
        if !owner.is_alive() {
            if let Some(record) = living(&run) {
                record.qemu.kill();
            }
            cache::remove(&run)?;
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes whole or not at all: readers are never locked out.
fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let part = path.with_extension("part");
    let text = serde_json::to_vec(value).map_err(std::io::Error::from).context("write", path)?;
    fs::write(&part, text).context("write", &part)?;
    fs::rename(&part, path).context("move", &part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Cache {
        Cache::at(std::env::temp_dir().join(format!("rig-run-{name}-{}", std::process::id())))
            .unwrap()
    }

    #[test]
    fn folders_of_dead_owners_are_swept_and_others_stay() {
        let cache = scratch("sweep");
        let (mine, warm) = (fresh_private(&cache).unwrap(), fresh(&cache, "warm", false).unwrap());
        let dead = cache.run("dead");
        fs::create_dir(&dead).unwrap();
        write(&dead.join(OWNER), &Identity { started: 1, ..Identity::own() }).unwrap();
        fresh_private(&cache).unwrap();
        assert!(mine.exists() && warm.exists() && !dead.exists());
        cache::remove(cache.path()).unwrap();
    }

    #[test]
    fn a_record_counts_as_long_as_its_process_lives() {
        let cache = scratch("record");
        let run = fresh_private(&cache).unwrap();
        assert_eq!(living(&run), None);
        let mut record =
            Record { qemu: Identity::own(), port: 1, image: String::new(), forwards: vec![] };
        note(&run, &record).unwrap();
        assert_eq!(living(&run).as_ref(), Some(&record));
        record.qemu.started += 1;
        note(&run, &record).unwrap();
        assert_eq!(living(&run), None);
        cache::remove(cache.path()).unwrap();
    }
}

//! Unpacks Debian archives into a folder, as an ordinary user.
//!
//! Invariant: no maintainer script runs and nothing outside the folder is written. What those scripts would have made
//! and the rig needs is made by `image`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Context;
use crate::{Result, cache, mend, tool};

/// What is never looked at here.
const LEFT_OUT: [&str; 7] = [
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./usr/lib/modules/*/kernel/sound/*",
    "./usr/lib/modules/*/kernel/drivers/gpu/*",
    "./usr/lib/modules/*/kernel/drivers/media/*",
    "./usr/lib/modules/*/kernel/drivers/net/wireless/*",
];

/// Unpacks all archives into a new folder; `advance` is told the bytes of archives done.
///
/// # Errors
/// When the folder cannot be made or an archive cannot be read.
pub fn all(mut archives: Vec<PathBuf>, into: &Path, advance: &(dyn Fn(u64) + Sync)) -> Result<()> {
    cache::fresh(into)?;
    lay_out(into)?;
    // The largest first: it alone takes as long as all others on the second core.
    archives.sort_by_key(|path| std::cmp::Reverse(size(path)));
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || {
        while let Some(archive) = archives.get(next.fetch_add(1, Ordering::Relaxed)) {
            match one(archive, into) {
                Ok(()) => advance(size(archive)),
                Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Mends QEMU in the unpacked folder.
///
/// # Errors
/// When it is not there.
pub fn mend(tree: &Path) -> Result<mend::Mend> {
    mend::qemu(&tree.join("usr/bin/qemu-system-x86_64"))
}

/// The folders of a merged-usr system: archives may name files through either path.
fn lay_out(tree: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let real = tree.join("usr").join(name);
        std::fs::create_dir_all(&real).context("create", &real)?;
        std::os::unix::fs::symlink(format!("usr/{name}"), tree.join(name))
            .context("link", tree.join(name))?;
    }
    Ok(())
}

fn one(archive: &Path, into: &Path) -> Result<()> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| tool::could_not_start("dpkg-deb", &error))?;
    let content = reader.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut writer = Command::new("tar");
    writer.args(["-x", "--no-same-owner", "--keep-directory-symlink", "-C"]).arg(into);
    writer.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}")));
    let output =
        writer.stdin(content).output().map_err(|error| tool::could_not_start("tar", &error))?;
    let read = reader.wait().context("wait for dpkg-deb on", archive)?;
    tool::checked(&format!("tar of {}", archive.display()), output)?;
    if read.success() {
        return Ok(());
    }
    // A broken archive would fail for ever: the next run fetches it again.
    let _ = std::fs::remove_file(archive);
    Err(crate::Error::Tool {
        tool: "dpkg-deb".into(),
        status: read.to_string(),
        reason: format!("{} is broken and was removed: try again", archive.display()),
    })
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |data| data.len())
}

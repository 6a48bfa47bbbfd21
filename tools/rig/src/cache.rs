//! The one folder where the rig keeps what it downloads and makes; all clones of the project share it.
//!
//! Invariant: a folder that has its final name is whole. New ones are made beside it and renamed; a stamp inside says
//! what it was made from. It does not decide what is stale: see `setup` and `snapshot`.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Context;
use crate::lock::Lock;
use crate::{Error, Progress, Result};

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Cache {
    path: PathBuf,
}

impl Cache {
    /// Opens `$XYLEM_CACHE`, or `xylem` in the user's cache folder; makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open() -> Result<Self> {
        let path = choose(|name| std::env::var_os(name).map(PathBuf::from));
        Self::at(path.unwrap_or_else(|| std::env::temp_dir().join("xylem-cache")))
    }

    /// Opens a cache in a folder of the caller's choice.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = std::path::absolute(path.as_ref()).context("find", path.as_ref())?;
        for folder in [path.clone(), path.join("locks"), path.join("run"), path.join("log")] {
            // Only its owner may enter: the token that opens the rig's dom0 is kept in here.
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .context("create", &folder)?;
        }
        Ok(Self { path })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The private state of apt, and its archives.
    pub fn apt(&self) -> PathBuf {
        self.path.join("apt")
    }

    /// The unpacked packages.
    pub fn tree(&self) -> PathBuf {
        self.path.join("tree")
    }

    /// What QEMU boots: Xen, Linux, initramfs and the root of dom0.
    pub fn image(&self) -> PathBuf {
        self.path.join("image")
    }

    /// The saved state of a booted dom0.
    pub fn snapshot(&self) -> PathBuf {
        self.path.join("snapshot")
    }

    /// The run folder of an instance.
    pub fn run(&self, name: &str) -> PathBuf {
        self.path.join("run").join(name)
    }

    /// Where long outputs of tools go.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("log").join(name)
    }

    /// Takes the lock `name` alone.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn lock(&self, name: &str, progress: &dyn Progress) -> Result<Lock> {
        Lock::exclusive(&self.lock_path(name), progress)
    }

    /// Takes the lock `name` together with other readers.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn lock_shared(&self, name: &str) -> Result<Lock> {
        Lock::shared(&self.lock_path(name))
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.path.join("locks").join(name)
    }

    /// Makes sure that `need` bytes are free.
    ///
    /// # Errors
    /// [`Error::DiskFull`] when they are not.
    pub fn need_space(&self, need: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(&self.path)
            .map_err(std::io::Error::from)
            .context("look at", &self.path)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < need {
            Err(Error::DiskFull { path: self.path.clone(), need, free })
        } else {
            Ok(())
        }
    }
}

fn choose(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
    set("XYLEM_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("xylem")))
        .or_else(|| set("HOME").map(|path| path.join(".cache/xylem")))
}

/// The stamp of a finished folder, if it is there.
pub fn stamp(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join("stamp")).ok()
}

/// Puts `made` in the place of `name` and stamps it; what was there is removed.
///
/// # Errors
/// When a file operation fails; `name` is then the old folder or none.
pub fn publish(made: &Path, name: &Path, stamp: &str) -> Result<()> {
    fs::write(made.join("stamp"), stamp).context("write", made.join("stamp"))?;
    let old = name.with_extension("old");
    remove(&old)?;
    if name.exists() {
        fs::rename(name, &old).context("move", name)?;
    }
    fs::rename(made, name).context("move", made)?;
    remove(&old)
}

/// Removes a folder that may not be there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("remove", folder)
        }
        _ => Ok(()),
    }
}

/// Makes an empty folder in the place of whatever was there.
///
/// # Errors
/// When it cannot be made.
pub fn fresh(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).context("create", folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<PathBuf> + 'a {
        move |name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        }
    }

    #[test]
    fn the_cache_is_where_the_user_says() {
        let all = [("XYLEM_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(choose(given(&all)), Some("/a".into()));
        assert_eq!(choose(given(&all[1..])), Some("/b/xylem".into()));
        assert_eq!(choose(given(&all[2..])), Some("/c/.cache/xylem".into()));
        assert_eq!(
            choose(given(&[("XYLEM_CACHE", ""), ("HOME", "/c")])),
            Some("/c/.cache/xylem".into())
        );
    }

    #[test]
    fn a_folder_is_replaced_whole_and_stamped() {
        let base = std::env::temp_dir().join(format!("rig-publish-{}", std::process::id()));
        let (made, name) = (base.join("made"), base.join("name"));
        for round in ["one", "two"] {
            fresh(&made).unwrap();
            fs::write(made.join(round), "").unwrap();
            publish(&made, &name, round).unwrap();
            assert_eq!(stamp(&name).as_deref(), Some(round));
            assert!(name.join(round).exists() && !made.exists());
        }
        assert!(!name.join("one").exists());
        remove(&base).unwrap();
    }

    #[test]
    fn too_little_space_is_an_error_that_names_the_folder() {
        let path = std::env::temp_dir().join(format!("rig-space-{}", std::process::id()));
        let cache = Cache::at(&path).unwrap();
        assert!(cache.need_space(1).is_ok());
        let error = cache.need_space(u64::MAX).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("XYLEM_CACHE"), "{error}");
        remove(&path).unwrap();
    }
}

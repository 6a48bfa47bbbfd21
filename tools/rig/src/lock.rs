//! Locks between processes: one file each, held as long as the value lives.
//!
//! Invariant: a lock is gone when its process is gone, however it ended (the kernel drops it). Lock files stay.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::Context;
use crate::{Progress, Result};

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock alone, and says so when it has to wait.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn exclusive(path: &Path, progress: &dyn Progress) -> Result<Self> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.note("waiting for another xylem that prepares the same thing …");
                file.lock().context("lock", path)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).context("lock", path),
        }
        Ok(Self { _file: file })
    }

    /// Takes the lock together with other readers.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn shared(path: &Path) -> Result<Self> {
        let file = open(path)?;
        file.lock_shared().context("lock", path)?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .context("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;

    #[test]
    fn a_second_holder_waits_for_the_first() {
        let path = std::env::temp_dir().join(format!("rig-lock-{}", std::process::id()));
        let held = Lock::exclusive(&path, &Silent).unwrap();
        assert!(open(&path).unwrap().try_lock().is_err());
        drop(held);
        assert!(open(&path).unwrap().try_lock().is_ok());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn readers_share_and_keep_a_writer_out() {
        let path = std::env::temp_dir().join(format!("rig-shared-{}", std::process::id()));
        let _one = Lock::shared(&path).unwrap();
        let _two = Lock::shared(&path).unwrap();
        assert!(open(&path).unwrap().try_lock().is_err());
        std::fs::remove_file(path).unwrap();
    }
}

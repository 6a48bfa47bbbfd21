//! Where the evidence of what failed is kept: a folder for each scenario and case.

use std::fs;
use std::path::PathBuf;

use crate::system::root;

/// The folder.
pub fn folder(name: &str) -> PathBuf {
    root().join("target/failed").join(name)
}

/// Takes away what an earlier failure left: it would be taken for one of today's.
pub fn forget(name: &str) {
    let _ = fs::remove_dir_all(folder(name));
}

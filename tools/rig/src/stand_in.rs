//! A program that stands in for `ssh` in tests: it takes ssh's words, and carries the command to a rig's domain 0, in which
//! no ssh server runs.
//!
//! Invariant: what it carries, its status included, is what ssh would carry. It is bash and perl, and needs nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::Instance;
use crate::error::{Context, Result};

const PUMP: &str = include_str!("../stand-in/pump");

impl Instance {
    /// Puts into a folder a program named `ssh` that leads to this instance's domain 0, whatever host it is told.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn stand_in_for_ssh(&self, folder: &Path) -> Result<PathBuf> {
        let token = self.run().join("token");
        let token = fs::read_to_string(&token).context("read", &token)?;
        let pump = program(&folder.join("pump"), PUMP)?;
        let script = format!(
            "#!/bin/bash\n\
             while [ \"$1\" != -- ]; do shift; done; shift 2\n\
             exec 3<>/dev/tcp/127.0.0.1/{}\n\
             printf '%s pipe %s\\n' {} \"$(printf %s \"$*\" | base64 -w0)\" >&3\n\
             exec {} 3<&3\n",
            self.record().port,
            token.trim(),
            pump.display(),
        );
        program(&folder.join("ssh"), &script)
    }
}

fn program(path: &Path, text: &str) -> Result<PathBuf> {
    fs::write(path, text).context("write", path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).context("set the mode of", path)?;
    Ok(path.to_path_buf())
}

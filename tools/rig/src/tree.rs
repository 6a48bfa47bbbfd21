//! The folder of unpacked packages, and how programs run out of it.
//!
//! Invariant: its programs run with its own loader and libraries, so the host's distribution does not matter.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result, tool};

const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const QEMU: &str = "usr/bin/qemu-system-x86_64";

/// Programs that must find all their libraries: the host's side and dom0's side.
const CHECKED: [&str; 12] = [
    QEMU,
    "usr/sbin/mke2fs",
    "usr/bin/kmod",
    "usr/bin/bash",
    "usr/bin/socat",
    "usr/bin/ab",
    "usr/bin/curl",
    "usr/bin/ps",
    "usr/bin/mount",
    "usr/bin/ip",
    "usr/bin/ping",
    "usr/bin/xenstore-read",
];

/// The unpacked packages.
#[derive(Debug, Clone)]
pub struct Tree {
    path: PathBuf,
}

impl Tree {
    /// Takes a folder; it need not be there yet.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A command for a program of the tree.
    pub fn command(&self, program: &str) -> Command {
        self.command_as(program, program.rsplit('/').next().unwrap_or(program))
    }

    /// A command for a program that does what its name says; the links to it may lead out of the tree.
    pub fn command_as(&self, program: &str, name: &str) -> Command {
        let mut command = Command::new(self.path.join(LOADER));
        command.arg("--argv0").arg(name).arg("--library-path").arg(self.path.join(LIBRARIES));
        command.arg(self.path.join(program));
        command
    }

    /// A command for QEMU, with its modules and firmware.
    ///
    /// # Errors
    /// [`Error::QemuMissing`].
    pub fn qemu(&self) -> Result<Command> {
        let program = self.qemu_program();
        if !program.exists() {
            return Err(Error::QemuMissing { path: program });
        }
        let mut command = self.command(QEMU);
        command.env("QEMU_MODULE_DIR", self.path.join(LIBRARIES).join("qemu"));
        for firmware in ["qemu", "seabios"] {
            command.arg("-L").arg(self.path.join("usr/share").join(firmware));
        }
        Ok(command)
    }

    /// QEMU's own program file.
    pub fn qemu_program(&self) -> PathBuf {
        self.path.join(QEMU)
    }

    /// The version of the unpacked kernel.
    ///
    /// # Errors
    /// [`Error::BadTree`] when there is none.
    pub fn kernel(&self) -> Result<String> {
        let folder = self.path.join("usr/lib/modules");
        let mut names = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.next().ok_or_else(|| self.bad("no Linux kernel"))
    }

    /// Makes sure that all programs needed find their libraries.
    ///
    /// # Errors
    /// [`Error::BadTree`] with the first that does not.
    pub fn check(&self, xen: &str) -> Result<()> {
        let of_xen = ["xl", "xenstored", "xenconsoled", "xen-init-dom0"]
            .map(|name| format!("usr/lib/xen-{xen}/bin/{name}"));
        for program in CHECKED.map(str::to_owned).into_iter().chain(of_xen) {
            let mut command = Command::new(self.path.join(LOADER));
            command
                .arg("--library-path")
                .arg(self.path.join(LIBRARIES))
                .arg("--list")
                .arg(self.path.join(&program));
            let listed = tool::run(&mut command)
                .map_err(|error| self.bad(&format!("{program}: {error}")))?;
            let listed = String::from_utf8_lossy(&listed);
            if let Some(line) = listed.lines().find(|line| line.contains("not found")) {
                return Err(self.bad(&format!("{program} needs {}", line.trim())));
            }
        }
        Ok(())
    }

    fn bad(&self, reason: &str) -> Error {
        Error::BadTree { reason: reason.into(), path: self.path.clone() }
    }
}

//! What can go wrong between this machine and a dom0.
//!
//! Invariant: every message says what failed, where, and how to mend it. It does not decide what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// One failure, ready to be shown to the user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as an infinitive: "write", "create", …
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The rig needs x86-64 Linux.
    #[error(
        "the rig runs on x86-64 Linux only, and this is {found}; use --on xl or --on ssh://HOST with a Xen machine"
    )]
    Platform {
        /// Architecture and system found.
        found: String,
    },
    /// A program of the host is missing.
    #[error("{tool} is not on this machine: install the package {package} and try again")]
    ToolMissing {
        /// The program.
        tool: String,
        /// The Debian or Ubuntu package that has it.
        package: &'static str,
    },
    /// No Debian archive is known.
    #[error(
        "no Debian archive is among this machine's apt sources: set XYLEM_MIRROR to one, in the form http://HOST/debian"
    )]
    NoMirror,
    /// The archive's signatures cannot be checked.
    #[error(
        "no Debian archive keyring: install the package debian-archive-keyring, or set XYLEM_KEYRING to its .gpg or .pgp file"
    )]
    NoKeyring,
    /// The package manager failed.
    #[error("apt-get {step} failed: {reason}\n  whole log: {}\n  try again (what is here is kept), or set XYLEM_MIRROR to another Debian archive", log.display())]
    Apt {
        /// Which step.
        step: String,
        /// Its last error line.
        reason: String,
        /// Its whole output.
        log: PathBuf,
    },
    /// A program that should have worked did not.
    #[error("{tool} failed ({status}): {reason}")]
    Tool {
        /// The program.
        tool: String,
        /// How it ended.
        status: String,
        /// What it said last.
        reason: String,
    },
    /// The unpacked packages are not as expected.
    #[error("the unpacked packages are not usable: {reason}; remove {} and try again", path.display())]
    BadTree {
        /// What is missing.
        reason: String,
        /// The folder to remove.
        path: PathBuf,
    },
    /// Too little disk space.
    #[error("{} MB are needed in {} and {} MB are free: make room, or set XYLEM_CACHE to a folder on a larger disk", need >> 20, path.display(), free >> 20)]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// The private QEMU is not where it should be.
    #[error("QEMU is missing from {}: run `cargo xylem rig up` to set the rig up again", path.display())]
    QemuMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// QEMU did not start.
    #[error("QEMU did not start: {reason}")]
    QemuStart {
        /// What it said.
        reason: String,
    },
    /// A port of the host is taken.
    #[error(
        "port {port} of this machine is in use: choose another with --port, or end what listens there"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// No rig is running.
    #[error("no rig is running: start it with `cargo xylem rig up`")]
    NoRig,
    /// A rig of this name runs already.
    #[error("a rig already runs in {}: end it with `cargo xylem rig down`", run.display())]
    Running {
        /// Its run folder.
        run: PathBuf,
    },
    /// The rig ended while it was needed.
    #[error("the rig died: {last}\n  its log is {}; start it again with `cargo xylem rig up`", log.display())]
    Died {
        /// The last line of the hypervisor's console.
        last: String,
        /// Its whole console.
        log: PathBuf,
    },
    /// Something took too long.
    #[error("{what} did not happen within {} s; see {}", limit.as_secs_f32(), log.display())]
    Timeout {
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
        /// Where to look.
        log: PathBuf,
    },
    /// QEMU's monitor refused a command.
    #[error("QEMU refused `{command}`: {reason}")]
    Monitor {
        /// The command.
        command: String,
        /// Its reason.
        reason: String,
    },
    /// The way to dom0 broke.
    #[error("dom0 ({dom0}) does not answer: {reason}")]
    Channel {
        /// Which dom0.
        dom0: String,
        /// What was seen.
        reason: String,
    },
    /// A command in dom0 took too long and was ended.
    #[error("`{command}` in dom0 ({dom0}) did not end within {} s and was stopped", limit.as_secs_f32())]
    CommandTimeout {
        /// Which dom0.
        dom0: String,
        /// The command.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// A command in dom0 failed.
    #[error("`{command}` failed in dom0 ({dom0}) with status {status}: {text}")]
    Command {
        /// Which dom0.
        dom0: String,
        /// The command.
        command: String,
        /// Its exit status.
        status: i32,
        /// What it printed.
        text: String,
    },
    /// A domain has the name already.
    #[error(
        "a domain named {name} runs already in dom0 ({dom0}): end it with `cargo xylem stop {name}`, or choose another --name"
    )]
    DomainExists {
        /// The name.
        name: String,
        /// Which dom0.
        dom0: String,
    },
    /// The address of a dom0 is not understood.
    #[error("`{given}` is no dom0: use rig, xl, or ssh://[USER@]HOST[:PORT]")]
    BadTarget {
        /// What was given.
        given: String,
    },
}

/// Turns an I/O error into ours, with what was done to which path.
pub trait Context<T> {
    /// Names the operation and the path.
    ///
    /// # Errors
    /// The error it was given, named.
    fn context(self, what: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io { what, path: path.as_ref().to_path_buf(), source })
    }
}

//! Why a command ended badly.
//!
//! Invariant: the text says what failed and how to mend it; nothing is shown twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

/// One failure, ready to be shown.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// From the rig or the way to a dom0.
    #[error(transparent)]
    Rig(#[from] rig::Error),
    /// No manifest of this name.
    #[error(
        "there is no system `{name}`: boot/systems has {}; or give the path of a manifest",
        list(known)
    )]
    NoSystem {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The manifest cannot be used; the text points at the place.
    #[error("{text}")]
    Manifest {
        /// The packer's words.
        text: String,
    },
    /// A name that nothing new can have.
    #[error("`{name}` cannot be the name of a {what}: {reason}")]
    Name {
        /// What was to be made.
        what: &'static str,
        /// The name.
        name: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The compiler was not content; it has said why.
    #[error("{what} does not compile; what the compiler said is above")]
    Compile {
        /// The crates.
        what: String,
    },
    /// A file operation failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The page did not answer.
    #[error("{url} did not answer within {} s; the console is above, and `cargo xylem rig logs` has what Xen said", limit.as_secs())]
    NoAnswer {
        /// The address.
        url: String,
        /// The limit.
        limit: Duration,
    },
    /// The domain ended by itself before it was ready.
    #[error(
        "the domain {name} ended before it answered; its console is above, and `cargo xylem rig logs` has what Xen said"
    )]
    Ended {
        /// Its name.
        name: String,
    },
    /// A domain of ours has the port.
    #[error(
        "port {port} leads to the domain {name} already: end it with `cargo xylem stop {name}`, or choose another --port"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The domain.
        name: String,
    },
    /// The domain crashed.
    #[error("the domain {name} crashed; its last lines are above")]
    Crashed {
        /// Its name.
        name: String,
    },
    /// The user has enough.
    #[error("interrupted")]
    Interrupted,
    /// A setting is not understood.
    #[error("`{given}` is no setting: write SERVER.KEY=VALUE, without spaces")]
    Setting {
        /// What was given.
        given: String,
    },
    /// No such domain.
    #[error("no domain named {name} runs in dom0 ({dom0}){}", if domains.is_empty() { String::new() } else { format!(": there are {}", list(domains)) })]
    NoDomain {
        /// What was asked for.
        name: String,
        /// Where.
        dom0: String,
        /// What there is.
        domains: Vec<String>,
    },
    /// A guest or a tool that is measured said what nobody understands.
    #[error("{what} of {who} is not what the bench reads; it is: {text}")]
    Strange {
        /// Whose.
        who: &'static str,
        /// Which of its words.
        what: String,
        /// The words.
        text: String,
    },
    /// A folder cannot become a disk.
    #[error("cannot make a disk of {}: {reason}", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        reason: String,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Turns an I/O error into ours.
pub trait Context<T> {
    /// Names the operation and the path.
    ///
    /// # Errors
    /// The error it was given, named.
    fn context(self, what: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, what: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Failure::Io { what, path: path.as_ref().to_path_buf(), source })
    }
}

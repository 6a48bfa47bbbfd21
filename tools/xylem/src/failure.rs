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
    /// Several domains, or none.
    #[error("{}", which(dom0, domains))]
    WhichDomain {
        /// Where.
        dom0: String,
        /// What there is.
        domains: Vec<String>,
    },
    /// The domain offers no link.
    #[error(
        "the domain {name} has no server `manage`: add `[servers.manage]` to its manifest, as boot/systems/web.toml has it, and `keeper = \"manage\"` to the wires of its log; if it has one, look at it with `cargo xylem console {name}`"
    )]
    NoLink {
        /// The domain.
        name: String,
    },
    /// Domain 0 has no program for a link.
    #[error(
        "dom0 ({dom0}) has no `vchan-socket-proxy`: install the package that has it (Debian: xen-utils), or put it into the PATH of root"
    )]
    NoProxy {
        /// Where.
        dom0: String,
    },
    /// The link was not answered.
    #[error(
        "the server `manage` of {name} does not answer: it serves one operator at a time, and may have another; `cargo xylem console {name}` reaches the domain without it"
    )]
    Silent {
        /// The domain.
        name: String,
    },
    /// The link ended in the middle.
    #[error(
        "the link to {name} ended: its server `manage` was started again, or the domain is gone; try again"
    )]
    LinkEnded {
        /// The domain.
        name: String,
    },
    /// The domain speaks another version.
    #[error(
        "{name} was built from other sources: its `manage` speaks version {protocol} of the protocol; use the tools that it was built with, or run it anew"
    )]
    OtherProtocol {
        /// The domain.
        name: String,
        /// Its version.
        protocol: u16,
    },
    /// The domain did not do it.
    #[error("{name} refused: {}", refusal_text(refusal))]
    Refused {
        /// The domain.
        name: String,
        /// Why.
        refusal: ipc::manage::Refusal,
    },
    /// There is nothing like that.
    #[error("{what}")]
    Nothing {
        /// What there is not.
        what: String,
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

impl Failure {
    /// The status of the command: 3 if there is no such domain, 4 if the link to it cannot be had, 5 if the domain refused.
    pub const fn code(&self) -> u8 {
        match self {
            Self::NoDomain { .. } | Self::WhichDomain { .. } => 3,
            Self::NoLink { .. }
            | Self::NoProxy { .. }
            | Self::Silent { .. }
            | Self::LinkEnded { .. }
            | Self::OtherProtocol { .. } => 4,
            Self::Refused { .. } | Self::Nothing { .. } => 5,
            _ => 1,
        }
    }
}

fn which(dom0: &str, domains: &[String]) -> String {
    if domains.is_empty() {
        format!("no domain runs in dom0 ({dom0}): `cargo xylem run web --detach` starts one")
    } else {
        format!("say which domain with --in: there are {}", list(domains))
    }
}

/// Why a domain refused, and what to do.
const fn refusal_text(refusal: &ipc::manage::Refusal) -> &'static str {
    use ipc::manage::Refusal;
    match refusal {
        Refusal::Unknown => "it does not know that; it was built from older sources",
        Refusal::NoSuchServer => "it has no server of that name; `cargo xylem ps` lists them",
        Refusal::NotAllowed => "that server cannot be treated so",
        Refusal::NoAnswer => "its supervisor gave no answer",
        Refusal::TooLong => "the answer is too long for the link",
        Refusal::Runs => "that server runs already",
    }
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

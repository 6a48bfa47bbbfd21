//! The dom0 that a command is for, whichever way it is reached.
//!
//! Invariant: what is special about the rig (it is started on demand, its guests are reached by forwarded ports) is
//! said here and nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use rig::domain::Domain;
use rig::{Cache, Channel, Dom0, Instance, Progress, Shell, Target, WARM};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::watch::answers_within;

/// For one question to a page, by way of another dom0.
const PROBE: Duration = Duration::from_secs(10);

/// An opened dom0.
pub enum Place {
    /// The project's own.
    Rig(Box<Instance>, Channel),
    /// Another one.
    Other(Shell),
}

impl Place {
    /// Opens it; the rig is set up and started where that is needed.
    ///
    /// # Errors
    /// Those of the rig.
    pub fn open(target: &Target, progress: &dyn Progress) -> Result<Self> {
        match target {
            Target::Rig => Ok(Self::of(Instance::warm(&Cache::open()?, progress)?)),
            other => Self::other(other),
        }
    }

    /// Opens it; a rig that does not run is an error.
    ///
    /// # Errors
    /// [`rig::Error::NoRig`].
    pub fn open_running(target: &Target) -> Result<Self> {
        match target {
            Target::Rig => {
                Ok(Self::of(Instance::find(&Cache::open()?, WARM)?.ok_or(rig::Error::NoRig)?))
            }
            other => Self::other(other),
        }
    }

    fn of(instance: Instance) -> Self {
        let channel = instance.dom0();
        Self::Rig(Box::new(instance), channel)
    }

    fn other(target: &Target) -> Result<Self> {
        Ok(Self::Other(match target {
            Target::Ssh { host, port } => Shell::ssh(host, *port),
            _ => Shell::here(),
        }))
    }

    /// The way to it.
    pub fn dom0(&self) -> &dyn Dom0 {
        match self {
            Self::Rig(_, channel) => channel,
            Self::Other(shell) => shell,
        }
    }

    /// Makes port 80 of a guest reachable here, and gives the page's address.
    ///
    /// # Errors
    /// [`rig::Error::PortInUse`].
    pub fn publish(&mut self, port: u16, address: &str) -> Result<String> {
        match self {
            Self::Rig(instance, _) => {
                instance.forward(port, address, 80)?;
                Ok(format!("http://127.0.0.1:{port}/"))
            }
            Self::Other(_) => Ok(format!("http://{address}/")),
        }
    }

    /// What tells whether a page answers: this machine, or else the dom0 that is nearer to it.
    pub fn prober(&self, url: &str) -> Box<dyn Fn(Duration) -> bool + Send> {
        let url = url.to_owned();
        match self {
            Self::Rig(..) => Box::new(move |limit| answers_within(&url, limit)),
            Self::Other(shell) => {
                let shell = shell.clone();
                let get = format!(
                    "curl -s -o /dev/null -m 2 {url} || wget -q -T 2 -t 1 -O /dev/null {url}"
                );
                Box::new(move |limit| {
                    answers_within(&url, limit)
                        || shell.exec(&get, PROBE).is_ok_and(|output| output.is_ok())
                })
            }
        }
    }

    /// Ends what [`Place::publish`] did.
    ///
    /// # Errors
    /// Those of the rig.
    pub fn unpublish(&mut self, port: u16) -> Result<()> {
        match self {
            Self::Rig(instance, _) => Ok(instance.unforward(port)?),
            Self::Other(_) => Ok(()),
        }
    }

    /// Where a guest with a network is when nobody has said so: the first lease of the rig's own network.
    pub fn likely_address(&self) -> Option<&'static str> {
        match self {
            Self::Rig(..) => Some("10.0.3.15"),
            Self::Other(_) => None,
        }
    }

    /// A network address of its own for a domain of this name. The rig leases to few devices, and to each for good.
    pub fn mac(&self, name: &str) -> Option<String> {
        match self {
            Self::Rig(..) => Some(mac_of(name)),
            Self::Other(_) => None,
        }
    }

    /// Makes sure that a new domain can be published at this port.
    ///
    /// # Errors
    /// [`Failure::PortTaken`] when a domain of ours is, [`rig::Error::PortInUse`] when somebody else is there.
    pub fn claim(&mut self, port: u16) -> Result<()> {
        let Self::Rig(instance, channel) = self else { return Ok(()) };
        if instance.record().forwards.iter().any(|(known, _, _)| *known == port) {
            for name in rig::domain::names(channel)? {
                let note = Note::read(&Domain::named(channel, &name)?.note()?);
                if note.port == Some(port) {
                    return Err(Failure::PortTaken { port, name });
                }
            }
            // What it led to ended by itself.
            instance.unforward(port)?;
        }
        Ok(rig::check_free_port(port)?)
    }

    /// A domain that runs.
    ///
    /// # Errors
    /// [`Failure::NoDomain`] with the names of those that do.
    pub fn domain(&self, name: &str) -> Result<Domain<'_>> {
        domain(self.dom0(), name)
    }
}

/// A domain that runs in a dom0.
///
/// # Errors
/// [`Failure::NoDomain`] with the names of those that do.
pub fn domain<'a>(dom0: &'a dyn Dom0, name: &str) -> Result<Domain<'a>> {
    let domain = Domain::named(dom0, name)?;
    match domain.id()? {
        Some(_) => Ok(domain),
        None => {
            let domains = rig::domain::names(dom0)?;
            Err(Failure::NoDomain { name: name.into(), dom0: dom0.name(), domains })
        }
    }
}

/// An address of Xen's own range (00:16:3e), always the same for the same name.
pub fn mac_of(name: &str) -> String {
    let sum = name
        .bytes()
        .fold(0x811c_9dc5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [_, a, b, c] = sum.to_be_bytes();
    format!("00:16:3e:{:02x}:{b:02x}:{c:02x}", a & 0x7f)
}

/// What is kept with a domain, so that another command can end it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The port of this machine that leads to it.
    pub port: Option<u16>,
    /// The disk image that was made of a folder, on this machine.
    pub files: Option<PathBuf>,
}

impl Note {
    /// Reads it; a domain that is not ours has an empty one.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Removes the disk image that was made.
    pub fn discard(&self) {
        if let Some(path) = &self.files {
            let _ = std::fs::remove_file(path);
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_addresses_of_their_own() {
        assert_eq!(mac_of("web"), mac_of("web"));
        assert_ne!(mac_of("web"), mac_of("web-alt"));
        assert!(mac_of("web").starts_with("00:16:3e:") && mac_of("web").len() == 17);
    }

    #[test]
    fn notes_are_read_back_and_nonsense_is_empty() {
        let note = Note { port: Some(8080), files: Some("/a b".into()) };
        assert_eq!(Note::read(&note.text()), note);
        assert_eq!(Note::read(""), Note::default());
    }
}

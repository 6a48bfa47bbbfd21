//! Which dom0 a command is meant for.
//!
//! Invariant: a host's name can never be read as an option of ssh.

use std::str::FromStr;

use crate::{Error, Result};

/// A dom0, as the user names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Target {
    /// The project's own, in QEMU: `rig`.
    #[default]
    Rig,
    /// This machine: `xl`.
    Here,
    /// Another machine: `ssh://[user@]host[:port]`.
    Ssh {
        /// The host, with the user before it where one was given.
        host: String,
        /// The port, where one was given.
        port: Option<u16>,
    },
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(given: &str) -> Result<Self> {
        let bad = || Error::BadTarget { given: given.into() };
        match given {
            "rig" => return Ok(Self::Rig),
            "xl" => return Ok(Self::Here),
            _ => {}
        }
        let rest = given.strip_prefix("ssh://").ok_or_else(bad)?.trim_end_matches('/');
        let (host, port) = split_port(rest).ok_or_else(bad)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@.-_:".contains(&byte);
        if host.is_empty()
            || host.starts_with('-')
            || host.ends_with('@')
            || !host.bytes().all(is_plain)
        {
            return Err(bad());
        }
        Ok(Self::Ssh { host, port })
    }
}

/// Parts `host:port` and `[address]:port`.
fn split_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some((user, rest)) = text.split_once('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?.parse().ok()?) };
        return Some((format!("{user}{address}"), port));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host.into(), Some(port.parse().ok()?))),
        None => Some((text.into(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(host: &str, port: Option<u16>) -> Target {
        Target::Ssh { host: host.into(), port }
    }

    #[test]
    fn all_three_forms_are_read() {
        assert_eq!("rig".parse::<Target>().unwrap(), Target::Rig);
        assert_eq!("xl".parse::<Target>().unwrap(), Target::Here);
        assert_eq!("ssh://host".parse::<Target>().unwrap(), ssh("host", None));
        assert_eq!(
            "ssh://root@host.lan:2222/".parse::<Target>().unwrap(),
            ssh("root@host.lan", Some(2222))
        );
        assert_eq!(
            "ssh://root@[fe80::1]:22".parse::<Target>().unwrap(),
            ssh("root@fe80::1", Some(22))
        );
    }

    #[test]
    fn nothing_else_is() {
        for wrong in [
            "",
            "qemu",
            "ssh:host",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://a b",
            "ssh://h:x",
            "ssh://u@",
        ] {
            let error = wrong.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("ssh://[USER@]HOST"), "{wrong}: {error}");
        }
    }
}

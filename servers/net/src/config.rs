//! [`Config`]: what the manifest says about addresses.
//!
//! Lines come in order, the manifest's before those of the command line, and the last one that decides wins: so
//! `net.address=…` at creation of the domain overrides a manifest's `dhcp = true`, and the other way round.

use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

/// Where the address comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Source {
    /// From a DHCP server.
    #[default]
    Dhcp,
    /// From the configuration.
    Static(Ipv4Cidr),
}

/// The configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Where the address comes from.
    pub source: Source,
    /// The router, if the configuration names one. One that a DHCP server names comes first.
    pub gateway: Option<Ipv4Address>,
}

impl Config {
    /// Reads configuration lines; `complain` gets key and value of each that is not understood, and that has no effect.
    pub fn read<'a>(
        lines: impl Iterator<Item = (&'a str, &'a str)>,
        mut complain: impl FnMut(&str, &str),
    ) -> Self {
        let mut config = Self::default();
        for (key, value) in lines {
            if config.set(key, value).is_none() {
                complain(key, value);
            }
        }
        config
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match (key, value) {
            ("dhcp", "true") => self.source = Source::Dhcp,
            ("dhcp", "false") => {}
            ("address", _) => self.source = Source::Static(network(value)?),
            ("gateway", _) => self.gateway = Some(host(value)?),
            _ => return None,
        }
        Some(())
    }
}

/// An address of one host.
fn host(text: &str) -> Option<Ipv4Address> {
    let address: Ipv4Address = text.parse().ok()?;
    is_host(address).then_some(address)
}

/// An address with the length of its network's prefix.
fn network(text: &str) -> Option<Ipv4Cidr> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u8 = prefix.parse().ok()?;
    (1..=32).contains(&prefix).then(|| host(address).map(|host| Ipv4Cidr::new(host, prefix)))?
}

/// Whether a host may have this address.
pub fn is_host(address: Ipv4Address) -> bool {
    !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::{Config, Ipv4Address, Ipv4Cidr, Source};
    use std::{string::String, vec::Vec};

    fn read(lines: &str) -> (Config, Vec<String>) {
        let mut complaints = Vec::new();
        let pairs = lines.split_whitespace().filter_map(|line| line.split_once('='));
        let config = Config::read(pairs, |key, _| complaints.push(key.into()));
        (config, complaints)
    }

    fn fixed(last: u8) -> Source {
        Source::Static(Ipv4Cidr::new(Ipv4Address::new(10, 0, 3, last), 24))
    }

    #[test]
    fn nothing_said_means_dhcp() {
        assert_eq!(read("").0.source, Source::Dhcp);
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(read("dhcp=true address=10.0.3.15/24").0.source, fixed(15));
        assert_eq!(read("address=10.0.3.15/24 dhcp=true").0.source, Source::Dhcp);
        assert_eq!(read("address=10.0.3.15/24 dhcp=false").0.source, fixed(15));
        assert_eq!(read("address=10.0.3.15/24 address=10.0.3.16/24").0.source, fixed(16));
    }

    #[test]
    fn a_gateway_is_kept() {
        let (config, complaints) = read("address=10.0.3.15/24 gateway=10.0.3.2");
        assert_eq!(config.gateway, Some(Ipv4Address::new(10, 0, 3, 2)));
        assert!(complaints.is_empty());
    }

    #[test]
    fn nonsense_is_told_and_has_no_effect() {
        for line in [
            "address=10.0.3.15",
            "address=10.0.3.15/0",
            "address=10.0.3.15/33",
            "address=224.0.0.1/24",
            "address=255.255.255.255/8",
            "address=0.0.0.0/8",
            "address=ten/8",
            "gateway=0.0.0.0",
            "gateway=x",
            "dhcp=perhaps",
            "adress=10.0.3.15/24",
        ] {
            let (config, complaints) = read(line);
            assert_eq!((config, complaints.len()), (Config::default(), 1), "{line}");
        }
    }
}

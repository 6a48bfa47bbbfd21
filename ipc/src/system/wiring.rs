//! What an image is built for, as far as an exchange for another image depends on it.
//!
//! Invariant: an image that [`Wiring::fits`] in the place of another has the same handles and the same bits, so nothing that
//! others hold has to change.

use alloc::string::String;
use alloc::vec::Vec;

use abi::wiring::Numbers;
use serde::{Deserialize, Serialize};

use super::PortTarget;

/// What an image is built for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Wiring {
    /// The kernel ABI ([`abi::ABI_HASH`]).
    pub abi: u64,
    /// Channels that it serves.
    pub serves: Vec<End>,
    /// What it needs.
    pub needs: Vec<End>,
    /// Its ports.
    pub ports: Vec<PortTarget>,
    /// References of its windows.
    pub windows: Vec<u32>,
    /// Whether it manages others.
    pub control: bool,
    /// Places for clients.
    pub clients: u16,
    /// Pages of stack that it asks for.
    pub stack: u32,
    /// Pages of heap that it asks for.
    pub heap: u32,
    /// Pages that it keeps over a crash.
    pub keep: u32,
    /// Records of state that it writes.
    pub writes: Vec<Record>,
    /// Records that it accepts; those that it writes are among them.
    pub accepts: Vec<Record>,
}

/// A channel or a need.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// Number of the channel or need.
    pub index: u16,
    /// Interface.
    pub interface: String,
    /// Pages that the client writes, and that the server writes.
    pub pages: (u32, u32),
    /// Methods served or used, by hash.
    pub methods: Vec<u64>,
}

/// A record of state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// Hash of its layout.
    pub layout: u64,
}

impl Wiring {
    /// How its handles and bits are numbered.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        Numbers {
            needs: self.needs.len() as u16,
            ports: self.ports.len() as u16,
            windows: self.windows.len() as u16,
            control: self.control.into(),
            clients: self.clients,
        }
    }

    /// Whether it can take the place of `other`: the same handles lead to the same things, over the same memory.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        let same = |(a, b): (&End, &End)| a.interface == b.interface && a.pages == b.pages;
        let serves = other.serves.iter().all(|old| {
            let new = self.serves.iter().find(|new| new.index == old.index);
            new.is_some_and(|new| same((new, old)))
        });
        self.numbers() == other.numbers()
            && self.needs.iter().zip(&other.needs).all(same)
            && serves
            && self.ports == other.ports
            && self.windows == other.windows
            && self.keep == other.keep
    }

    /// The first record that `other` writes and this one does not accept, in none of the layouts that it is written in.
    #[must_use]
    pub fn unaccepted<'a>(&self, other: &'a Self) -> Option<&'a Record> {
        let accepted = |record: &Record| {
            let mut layouts = other.writes.iter().filter(|it| it.name == record.name);
            layouts.any(|layout| self.accepts.contains(layout))
        };
        other.writes.iter().find(|record| !accepted(record))
    }
}

impl End {
    /// Whether it serves all that `user` uses.
    #[must_use]
    pub fn covers(&self, user: &Self) -> bool {
        user.methods.iter().all(|method| self.methods.contains(method))
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Record, Wiring};
    use std::vec;

    fn end(index: u16, methods: &[u64]) -> End {
        End { index, interface: "lamp".into(), pages: (1, 0), methods: methods.to_vec() }
    }

    fn wiring() -> Wiring {
        Wiring {
            serves: vec![end(0, &[1, 2])],
            needs: vec![end(0, &[7])],
            clients: 4,
            writes: vec![Record { name: "lamp.is_on".into(), layout: 9 }],
            ..Wiring::default()
        }
    }

    #[test]
    fn the_same_numbers_fit() {
        let more = Wiring { serves: vec![end(0, &[1, 2, 3]), end(1, &[])], ..wiring() };
        assert!(more.fits(&wiring()));
        assert!(!wiring().fits(&more), "a channel is missing");
        assert!(!Wiring { clients: 5, ..wiring() }.fits(&wiring()));
        assert!(!Wiring { needs: vec![], ..wiring() }.fits(&wiring()));
        assert!(!Wiring { keep: 1, ..wiring() }.fits(&wiring()));
        let wide = End { pages: (2, 0), ..end(0, &[7]) };
        assert!(!Wiring { needs: vec![wide], ..wiring() }.fits(&wiring()));
    }

    #[test]
    fn a_server_covers_what_is_used() {
        assert!(end(0, &[1, 2]).covers(&end(3, &[2])));
        assert!(!end(0, &[1, 2]).covers(&end(3, &[2, 3])));
    }

    #[test]
    fn every_record_must_be_accepted() {
        assert_eq!(wiring().unaccepted(&wiring()), wiring().writes.first());
        let knows = Wiring { accepts: wiring().writes, ..wiring() };
        assert_eq!(knows.unaccepted(&wiring()), None);
        let mut both = wiring();
        both.writes.push(Record { name: "lamp.is_on".into(), layout: 10 });
        assert_eq!(knows.unaccepted(&both), None, "one of two layouts is enough");
    }
}

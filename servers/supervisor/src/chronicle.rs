//! [`Chronicle`]: what happened and who died, the last of each.
//!
//! Invariant: it keeps at most [`EVENTS`] events and [`DEATHS`] deaths; an older one makes room for a newer.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use core::fmt::Arguments;

use ipc::history::{Death, Event};

/// Most events that are kept.
pub const EVENTS: usize = 128;
/// Most deaths that are kept.
pub const DEATHS: usize = 8;
/// Most bytes of an event's text.
const TEXT: usize = 200;

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Chronicle {
    events: VecDeque<Event>,
    deaths: VecDeque<Death>,
    next_event: u64,
    next_death: u64,
}

impl Chronicle {
    /// Something happened at `at` to `server`.
    pub fn note(&mut self, at: u64, server: &str, text: Arguments<'_>) {
        let text = text.to_string().chars().take(TEXT).collect();
        let number = self.next_event;
        self.next_event += 1;
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { number, at, server: String::from(server), text });
    }

    /// A server died; its death gets the next number.
    pub fn bury(&mut self, death: Death) {
        if self.deaths.len() >= DEATHS {
            self.deaths.pop_front();
        }
        self.deaths.push_back(Death { number: self.next_death, ..death });
        self.next_death += 1;
    }

    /// The events with this number and later ones.
    pub fn events(&self, from: u64) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.number >= from)
    }

    /// The deaths with this number and later ones.
    pub fn deaths(&self, from: u64) -> impl Iterator<Item = &Death> {
        self.deaths.iter().filter(move |death| death.number >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chronicle, EVENTS};

    #[test]
    fn the_oldest_make_room_and_numbers_go_on() {
        let mut chronicle = Chronicle::default();
        for number in 0..EVENTS as u64 + 3 {
            chronicle.note(number, "x", format_args!("event {number}"));
        }
        assert_eq!(chronicle.events(0).next().map(|event| event.number), Some(3));
        assert_eq!(chronicle.events(0).count(), EVENTS);
        assert_eq!(chronicle.events(EVENTS as u64 + 1).count(), 2);
        assert_eq!(chronicle.deaths(0).count(), 0);
    }
}

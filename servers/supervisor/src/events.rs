//! What a server has not collected yet: which clients were wired to it, which are gone.
//!
//! Invariant: at most two events of a wire wait, `Closed` of the incarnation that the server knows and `Opened` of the one
//! that lives, whatever happened between; so a client that dies again and again fills nobody's queue.

use alloc::collections::VecDeque;

use abi::Badge;
use ipc::supervisor::EventKind;

/// The queue of one slot.
#[derive(Clone, Debug, Default)]
pub struct Events(VecDeque<(EventKind, Badge)>);

impl Events {
    /// A client was wired.
    pub fn opened(&mut self, client: Badge) {
        self.0.push_back((EventKind::Opened, client));
    }

    /// A client is gone. If the server never heard of it, it never will.
    pub fn closed(&mut self, client: Badge) {
        let unheard = (EventKind::Opened, client);
        match self.0.iter().position(|event| *event == unheard) {
            Some(at) => drop(self.0.remove(at)),
            None => self.0.push_back((EventKind::Closed, client)),
        }
    }

    /// A successor is ready: the server is asked for its state, once.
    pub fn quiesce(&mut self) {
        self.0.push_back((EventKind::Quiesce, Badge::default()));
    }

    /// No successor is ready any more.
    pub fn go_on(&mut self) {
        self.0.retain(|(kind, _)| *kind != EventKind::Quiesce);
    }

    /// Takes the oldest.
    pub fn take(&mut self) -> (EventKind, Badge) {
        self.0.pop_front().unwrap_or((EventKind::None, Badge::default()))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Events;
    use abi::Badge;
    use ipc::supervisor::EventKind;

    fn badge(incarnation: u8) -> Badge {
        Badge::new(0, 4, incarnation)
    }

    #[test]
    fn events_come_in_order() {
        let mut events = Events::default();
        events.closed(badge(1));
        events.opened(badge(2));
        assert_eq!(events.take(), (EventKind::Closed, badge(1)));
        assert_eq!(events.take(), (EventKind::Opened, badge(2)));
        assert_eq!(events.take().0, EventKind::None);
    }

    #[test]
    fn a_client_that_came_and_went_unheard_is_not_told() {
        let mut events = Events::default();
        events.closed(badge(1));
        for incarnation in 2..100 {
            events.opened(badge(incarnation));
            events.closed(badge(incarnation));
        }
        events.opened(badge(100));
        assert_eq!(events.take(), (EventKind::Closed, badge(1)));
        assert_eq!(events.take(), (EventKind::Opened, badge(100)));
        assert!(events.is_empty());
    }

    #[test]
    fn a_new_server_knows_nothing_of_the_past() {
        let mut events = Events::default();
        events.closed(badge(1));
        events.clear();
        assert!(events.is_empty());
    }
}

//! [`State`]: what a side says of itself in its `state` node.

/// The state of one side of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum State {
    /// No state.
    Unknown = 0,
    /// As the toolstack made it.
    Initialising = 1,
    /// The backend is ready for the front end's references.
    InitWait = 2,
    /// References are published.
    Initialised = 3,
    /// The device works.
    Connected = 4,
    /// About to close.
    Closing = 5,
    /// Closed.
    Closed = 6,
    /// Something is being changed while connected.
    Reconfiguring = 7,
    /// It was changed.
    Reconfigured = 8,
}

impl State {
    const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Initialising,
        Self::InitWait,
        Self::Initialised,
        Self::Connected,
        Self::Closing,
        Self::Closed,
        Self::Reconfiguring,
        Self::Reconfigured,
    ];

    /// From the text of the node; what makes no sense is [`State::Closing`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let number = match text {
            [digit] => usize::from(digit.wrapping_sub(b'0')),
            _ => usize::MAX,
        };
        Self::ALL.get(number).copied().unwrap_or(Self::Closing)
    }

    /// The text of the node.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "0",
            Self::Initialising => "1",
            Self::InitWait => "2",
            Self::Initialised => "3",
            Self::Connected => "4",
            Self::Closing => "5",
            Self::Closed => "6",
            Self::Reconfiguring => "7",
            Self::Reconfigured => "8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_written_as_they_are_read() {
        for state in State::ALL {
            assert_eq!(State::parse(state.text().as_bytes()), state);
        }
    }

    #[test]
    fn what_makes_no_sense_is_closing() {
        for text in ["", "9", "-1", "44", "4 ", "x", "\0"] {
            assert_eq!(State::parse(text.as_bytes()), State::Closing);
        }
    }
}

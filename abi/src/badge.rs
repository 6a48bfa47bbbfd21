//! Who calls: the badge of a call, fixed by the supervisor when it installs the wire.

/// `channel:8 | client:16 | incarnation:8`: which channel of the server was called, by which of its clients, and by which
/// incarnation of that client. A restarted client has another incarnation, so old and new cannot be confused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Badge(u32);

impl Badge {
    /// A badge from its parts.
    pub const fn new(channel: u8, client: u16, incarnation: u8) -> Self {
        Self((channel as u32) << 24 | (client as u32) << 8 | incarnation as u32)
    }

    /// The badge as it travels in a register.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The badge as it travels in a register.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Number of the channel that was called, as the server's wiring declares it.
    pub const fn channel(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Number of the client in the server's client table, below the `clients` of its wiring.
    pub const fn client(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// Which incarnation of the client calls.
    pub const fn incarnation(self) -> u8 {
        self.0 as u8
    }
}

#[cfg(test)]
mod tests {
    use super::Badge;

    #[test]
    fn parts_survive_the_register() {
        let badge = Badge::from_bits(Badge::new(3, 0x1234, 250).bits());
        assert_eq!((badge.channel(), badge.client(), badge.incarnation()), (3, 0x1234, 250));
    }
}

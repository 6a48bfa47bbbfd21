//! The right to answer one call.

/// `kind:8 | thread:16 | 0:8 | generation:32`, low bits first. The caller's thread *is* the reply right: the kernel checks
/// that it still waits for this server in this generation. A stale token is dropped and counted, never a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Token(u64);

/// What came with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Nothing: the wait ended for its bits alone.
    None = 0,
    /// A call by another server.
    Call = 1,
    /// A fault of another server; only its handler gets these.
    Fault = 2,
}

impl Token {
    /// No token.
    pub const NONE: Self = Self(0);

    /// A token from its parts; made by the kernel.
    pub const fn new(kind: Kind, thread: u16, generation: u32) -> Self {
        Self(kind as u64 | (thread as u64) << 8 | (generation as u64) << 32)
    }

    /// The token as it travels in a register.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The token as it travels in a register.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What came with it.
    pub const fn kind(self) -> Kind {
        match self.0 as u8 {
            1 => Kind::Call,
            2 => Kind::Fault,
            _ => Kind::None,
        }
    }

    /// Index of the caller's thread.
    pub const fn thread(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// Generation of the call.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Token};

    #[test]
    fn parts_survive_the_register() {
        let token = Token::from_bits(Token::new(Kind::Fault, 0xabcd, 0xdead_beef).bits());
        assert_eq!(token.kind(), Kind::Fault);
        assert_eq!((token.thread(), token.generation()), (0xabcd, 0xdead_beef));
    }

    #[test]
    fn no_token_is_of_no_kind() {
        assert_eq!(Token::NONE.kind(), Kind::None);
    }
}

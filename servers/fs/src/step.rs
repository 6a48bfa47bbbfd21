//! What a step of work can come to, besides its end.

use ipc::files::CORRUPT;

/// Which blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The FAT's and directories'.
    Meta,
    /// The contents of files.
    Data,
}

/// Blocks that are missing, to be fetched in one piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Need {
    /// For which cache.
    pub kind: Kind,
    /// The first block; without it, the step cannot go on.
    pub first: u64,
    /// How many, as far as it makes sense to fetch them at once.
    pub count: u32,
}

/// Why a step did not come to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Blocks are missing.
    Wait(Need),
    /// It has taken long enough; it goes on in the next turn.
    Again,
    /// What is on the disk makes no sense.
    Corrupt,
    /// The request cannot be done; the status says why.
    Refused(u32),
}

impl Stop {
    /// The status of the answer, if this is one.
    pub const fn status(self) -> Option<u32> {
        match self {
            Self::Wait(_) | Self::Again => None,
            Self::Corrupt => Some(CORRUPT),
            Self::Refused(status) => Some(status),
        }
    }
}

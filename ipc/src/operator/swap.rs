//! What becomes of a swap, and why.

abi::word_enum! {
    /// What became of a swap.
    pub enum Outcome {
        /// There was none.
        None = 0,
        /// It is under way; the old server serves, or has been asked for its state.
        Going = 1,
        /// Refused before anything was touched.
        Refused = 2,
        /// Given up; the old server goes on and has lost nothing but time.
        GivenUp = 3,
        /// The new server serves, on probation.
        Committed = 4,
        /// The new server serves and has proved itself.
        Done = 5,
        /// The new server failed on probation; the old image was started again.
        Reverted = 6,
        /// The slot was started again with the new image, without state: there is none that both know.
        Cold = 7,
    }
}

abi::word_enum! {
    /// The rule that a refused swap breaks, or why it was given up.
    pub enum Reason {
        /// Nothing is wrong.
        None = 0,
        /// The slot is managed by another, or manages others.
        Managed = 1,
        /// The new image was built for another kernel.
        Kernel = 2,
        /// Its needs, ports, windows or places for clients are not numbered as the slot's are.
        Numbers = 3,
        /// It does not serve a method that a client uses.
        Serves = 4,
        /// It uses a method that the server of that wire does not serve.
        Uses = 5,
        /// It does not accept a record of state that the old one writes.
        State = 6,
        /// There are not enough objects or not enough memory for a second server.
        Memory = 7,
        /// The old server did not come to rest in time.
        Quiesce = 8,
        /// The old server could not write its state.
        Write = 9,
        /// What the old server offered does not lie in its heap.
        Offer = 10,
        /// The candidate did not adopt the state in time.
        Adopt = 11,
        /// The candidate died.
        Died = 12,
        /// What the candidate adopted is not what the old server wrote.
        Digest = 13,
        /// The kernel refused the commit.
        Commit = 14,
        /// The operator restarts the slot, or begins another swap.
        Operator = 15,
        /// The old server died meanwhile.
        OldDied = 16,
    }
}

impl Reason {
    /// The reason, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "nothing is wrong",
            Self::Managed => {
                "a manager, or who has one, keeps what it has in memory: use a restart"
            }
            Self::Kernel => "the new image was built for another kernel",
            Self::Numbers => "the new image has other needs, ports, windows or clients",
            Self::Serves => "the new image does not serve a method that a client uses",
            Self::Uses => "the new image uses a method that its server does not serve",
            Self::State => {
                "the new image does not accept a record of state that the old one writes"
            }
            Self::Memory => "there is no room for a second server",
            Self::Quiesce => "the old server did not come to rest in time",
            Self::Write => "the old server had no room to write its state",
            Self::Offer => "the old server's state does not lie in its heap",
            Self::Adopt => "the candidate did not adopt the state in time",
            Self::Died => "the candidate died",
            Self::Digest => "the candidate's state is not what the old server wrote",
            Self::Commit => "the kernel refused the commit",
            Self::Operator => "the operator wants something else",
            Self::OldDied => "the old server died",
        }
    }
}

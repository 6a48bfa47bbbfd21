//! A run of grant references for one peer domain. Only pages of regions flagged grantable can be granted; only the kernel
//! writes the grant table.

crate::interface! {
    /// A grant window.
    interface "kernel.window";
    /// Why the kernel refused.
    error Error {
        /// A reference beyond the window, or more than 32 pages at once.
        Range = 1,
        /// A page is not mapped here, not writable here although it is to be granted writable, or not of a grantable region.
        Page = 2,
        /// A reference is in use.
        Busy = 3,
        /// The supervisor has not said which domain is the peer.
        NoPeer = 4,
        /// The domain was resumed elsewhere since.
        Dead = 5,
    }
    /// Grants `count` pages from `address` through the references `first..first + count` of the window; with
    /// `read_only` the peer may only read. Returns the grant reference of the first, as the peer must be told it.
    1 now fn grant(first: u32, address: u64, count: u32, read_only: bool) -> u32;
    /// Takes `count` grants from `first` on back; returns how many the peer still has mapped (their pages stay pinned;
    /// call again).
    2 now fn revoke(first: u32, count: u32) -> u32;
    /// Grant reference of the window's first, and number of references.
    3 now fn extent() -> (u32, u32);
}

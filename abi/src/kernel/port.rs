//! A Xen event channel, delivered as a bit of the owner's inbox. `notify` on the same handle sends its event.
//!
//! An event masks and clears the channel and sets the bit; the owner's next wait unmasks all ports delivered since, so no
//! trap is needed to acknowledge.

crate::interface! {
    /// An event channel.
    interface "kernel.port";
    /// Why the kernel refused.
    error Error {
        /// The port is not open.
        Closed = 1,
        /// The port is already open.
        Open = 2,
        /// The supervisor has not said which domain is the peer.
        NoPeer = 3,
        /// The hypervisor refused; most likely the peer is gone.
        Refused = 4,
        /// The domain was resumed elsewhere since the port was opened.
        Dead = 5,
    }
    /// Opens it; returns the event channel's number, to be published to the peer.
    1 now fn open() -> u32;
    /// Closes it.
    2 now fn close() -> ();
    /// Keeps it masked across waits until `arm`.
    3 now fn hold() -> ();
    /// Ends `hold`: unmasks `after` nanoseconds from now, at the first wait after that.
    4 now fn arm(after: u64) -> ();
}

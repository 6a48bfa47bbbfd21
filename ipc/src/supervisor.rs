//! What the supervisor does for every server: channel 0 of the supervisor, handle 1 of everybody else.

abi::word_enum! {
    /// What happened, as far as the asking server is concerned.
    pub enum EventKind {
        /// Nothing more.
        None = 0,
        /// A client was wired; the badge tells which.
        Opened = 1,
        /// A client is gone; its badge will not come back.
        Closed = 2,
        /// A successor is ready to take over: write down the state and say `quiesced`.
        Quiesce = 3,
    }
}

/// No memory is shared.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::NONE;

/// Number of the supervisor's channel.
pub const CHANNEL: u8 = 0;

/// Channel in the badge of an event about a slot that the asking server manages; the client is the slot's number.
pub const MANAGED: u8 = u8::MAX;

abi::interface! {
    /// The supervisor, as its servers see it.
    interface "supervisor";
    /// Why it refused.
    error Error {
        /// This server may not ask for that.
        NotAllowed = 1,
        /// No such client or domain.
        Invalid = 2,
        /// Not in the middle of a swap.
        NoSwap = 3,
    }
    /// The server has started and serves; its restarts count from here.
    1 now fn ready() -> ();
    /// The oldest event not yet collected, and the badge that it is about.
    2 now fn next_event() -> (EventKind, u32);
    /// Said by the server of `xenstore` alone: the backend of the device of its client number `client` is in `domain`. The
    /// supervisor makes that the peer of the client's ports and windows.
    3 now fn peer(client: u16, domain: u16) -> ();
    /// Said after `Quiesce`: the state lies there, in the server's own heap, and has this digest. It is answered only if the
    /// swap is given up: then the server goes on, as if nothing had been.
    4 wait fn quiesced(address: u64, bytes: u64, digest: u64) -> ();
    /// Said after `Quiesce`: the state cannot be written; it would take at least `needed` bytes.
    5 now fn cannot_quiesce(needed: u64) -> ();
    /// Said by a successor: it has adopted the state, and writes it down again with this digest. The answer means that it has
    /// taken over. Before it, it must use nothing but the kernel and this interface.
    6 wait fn adopted(digest: u64) -> ();
}

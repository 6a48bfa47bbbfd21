//! XenStore, for servers: requests are posted and answers collected, so that nobody waits inside a call for domain 0.
//!
//! A client may touch only the paths that its manifest gives it; a path that does not start with `/` is below the
//! domain's own directory. A request's path, then its value, lie at the start of the up part; an answer's bytes at the start
//! of the down part, good until the next `collect`.

/// A request of up to 4 KiB up, an answer of up to 4 KiB down.
pub const WIRE: abi::wiring::WireShape = abi::wiring::WireShape::new(2, 2);

/// Most requests of a client whose answers were not collected.
pub const MOST_OPEN: usize = 4;

abi::word_enum! {
    /// What is asked.
    pub enum Operation {
        /// The value of a node.
        Read = 1,
        /// Sets the value of a node, making it and its parents.
        Write = 2,
        /// The names below a node, each followed by a zero byte.
        List = 3,
        /// Removes a node and all below it.
        Remove = 4,
        /// Watches a node and all below it; fires once at once.
        Watch = 5,
        /// Ends the watch that was made by the request whose number is the value (decimal).
        Unwatch = 6,
        /// Begins a transaction; the answer's code is its number.
        Begin = 7,
        /// Commits the transaction; `Again` if it must be repeated from its begin.
        Commit = 8,
        /// Abandons the transaction.
        Abandon = 9,
        /// Of a front-end directory (`device/vif/0`): reads `backend` and `backend-id`, tells the supervisor the peer domain,
        /// gives the client leave to read the backend's directory, and answers with that directory's path; the answer's
        /// code is the peer domain. To be asked before ports and windows of the device are opened, and again on each
        /// cold connect.
        Backend = 10,
    }
}

abi::word_enum! {
    /// What was collected.
    pub enum Kind {
        /// Nothing is there to collect.
        Nothing = 0,
        /// The request was done.
        Done = 1,
        /// The request failed; the code is a [`Failure`].
        Failed = 2,
        /// A watch fired; the number is that of the request that made it, the bytes are the path that changed.
        Fired = 3,
        /// XenStore's connection was made anew: all transactions and watches of this client are gone.
        Lost = 4,
    }
}

abi::word_enum! {
    /// Why a request failed.
    pub enum Failure {
        /// No such node.
        NoEntry = 1,
        /// Not allowed, by domain 0 or by this client's manifest.
        Denied = 2,
        /// It exists already.
        Exists = 3,
        /// The transaction must be repeated.
        Again = 4,
        /// A quota is exhausted.
        Full = 5,
        /// The request was malformed.
        Invalid = 6,
        /// Anything else.
        Other = 7,
    }
}

abi::interface! {
    /// XenStore.
    interface "xenstore";
    /// Why a post was refused.
    error Error {
        /// Too many of this client's requests are open; collect first.
        Busy = 1,
        /// Path and value are longer than a request may be.
        TooLong = 2,
        /// The connection to XenStore is broken for good.
        Broken = 3,
    }
    /// Starts afresh: forgets all requests, watches and transactions of this client.
    1 now fn open() -> ();
    /// Posts a request: `transaction` is 0 outside one; `path` and `value` are lengths in bytes. Returns the request's number,
    /// never 0.
    2 now fn post(operation: Operation, transaction: u32, path: u32, value: u32) -> u32;
    /// Collects an answer or event: kind, number, code, and length of its bytes. The client's bell rings whenever there is
    /// something new.
    3 now fn collect() -> (Kind, u32, u32, u32);
}

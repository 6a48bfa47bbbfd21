//! Headers, operations and errors of XenStore's messages.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What precedes each message's payload.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// An [`Operation`].
    pub kind: u32,
    /// Chosen by the requester; comes back in the reply.
    pub request: u32,
    /// The transaction; 0 outside one.
    pub transaction: u32,
    /// Bytes of the payload.
    pub len: u32,
}

/// Bytes of a header.
pub(super) const HEADER: usize = size_of::<Header>();

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Operation {
    /// The names below a node, each followed by a zero byte.
    Directory = 1,
    /// The value of a node.
    Read = 2,
    /// Who may do what with a node.
    GetPermissions = 3,
    /// Watches a node and what is below it.
    Watch = 4,
    /// Ends a watch.
    Unwatch = 5,
    /// Begins a transaction; the reply is its number in decimal.
    Begin = 6,
    /// Ends a transaction: `T` to commit, `F` to abandon.
    End = 7,
    /// The directory of a domain.
    DomainPath = 10,
    /// Sets the value of a node.
    Write = 11,
    /// Makes a node without value.
    MakeDirectory = 12,
    /// Removes a node and what is below it.
    Remove = 13,
    /// Says who may do what with a node.
    SetPermissions = 14,
    /// Not asked for: a watch fired.
    WatchEvent = 15,
    /// A reply: the request failed.
    Error = 16,
    /// Ends all watches.
    ResetWatches = 21,
    /// A part of the names below a node, for more than fit a message.
    DirectoryPart = 22,
}

/// Why XenStore did not do it; the reply's payload is the name in capitals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// `EINVAL`: the request is malformed.
    Invalid,
    /// `EACCES` or `EPERM`: the domain may not.
    Denied,
    /// `EEXIST`: it is there already.
    Exists,
    /// `ENOENT`: there is no such node.
    NoEntry,
    /// `ENOSPC`: a quota is used up.
    Quota,
    /// `EAGAIN`: the transaction met another and must be begun anew.
    Again,
    /// `EBUSY`: too many transactions.
    Busy,
    /// `E2BIG`: request or reply do not fit a message.
    TooBig,
    /// `ENOSYS`: this xenstored does not know the operation.
    Unsupported,
    /// Any other.
    Other,
}

impl Failure {
    /// From the payload of an error reply.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Self {
        match payload.strip_suffix(b"\0").unwrap_or(payload) {
            b"EINVAL" => Self::Invalid,
            b"EACCES" | b"EPERM" => Self::Denied,
            b"EEXIST" => Self::Exists,
            b"ENOENT" => Self::NoEntry,
            b"ENOSPC" => Self::Quota,
            b"EAGAIN" => Self::Again,
            b"EBUSY" => Self::Busy,
            b"E2BIG" => Self::TooBig,
            b"ENOSYS" => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

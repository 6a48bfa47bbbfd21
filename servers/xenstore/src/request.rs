//! A request on its way to xenstored, and whose it is.

use alloc::string::String;
use alloc::vec::Vec;

use ipc::xenstore::Failure;
use xen::store::{self, Operation};

use crate::control::Step;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub operation: Operation,
    pub transaction: u32,
    pub payload: Vec<u8>,
    pub purpose: Purpose,
}

/// Whose reply it is, and what is done with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A client's: its number, its session, the number of its request.
    Client { client: u16, session: u32, number: u32, what: What },
    /// The domain's own affairs.
    Control(Step),
    /// Nobody's.
    Nobody,
}

/// What a client wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// The bytes of the reply.
    Bytes,
    /// That it was done.
    Done,
    /// A transaction.
    Begin,
    /// A watch, by its path and serial number.
    Watch { path: String, serial: u32 },
    /// The backend's directory of a device.
    BackendPath { device: String },
    /// Its domain, the directory being known.
    BackendDomain { device: String, path: Vec<u8> },
}

/// A path, ended by a zero byte.
pub(crate) fn path(path: &str) -> Vec<u8> {
    with(path, b"")
}

/// A path and what follows it.
pub(crate) fn with(path: &str, rest: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(path.len() + 1 + rest.len());
    payload.extend_from_slice(path.as_bytes());
    payload.push(0);
    payload.extend_from_slice(rest);
    payload
}

/// The token of a watch: the client and the watch's serial number.
pub(crate) fn token(client: u16, serial: u32) -> Vec<u8> {
    alloc::format!("{client}.{serial}").into_bytes()
}

/// Client and serial number of a token.
pub(crate) fn parse_token(token: &[u8]) -> Option<(u16, u32)> {
    let (client, serial) = core::str::from_utf8(token).ok()?.split_once('.')?;
    Some((client.parse().ok()?, serial.parse().ok()?))
}

/// Ends a watch.
pub(crate) fn unwatch(client: u16, path: &str, serial: u32, purpose: Purpose) -> Request {
    let mut rest = token(client, serial);
    rest.push(0);
    Request { operation: Operation::Unwatch, transaction: 0, payload: with(path, &rest), purpose }
}

/// Ends a transaction, for good or not.
pub(crate) fn end(transaction: u32, commit: bool, purpose: Purpose) -> Request {
    let payload = Vec::from(if commit { b"T\0" } else { b"F\0" });
    Request { operation: Operation::End, transaction, payload, purpose }
}

/// Begins one.
pub(crate) fn begin(purpose: Purpose) -> Request {
    Request { operation: Operation::Begin, transaction: 0, payload: Vec::from(b"\0"), purpose }
}

/// The number of a transaction, as the reply has it.
pub(crate) fn transaction(reply: &[u8]) -> Option<u32> {
    let text = reply.strip_suffix(b"\0").unwrap_or(reply);
    xen::number::decimal(text, u64::from(u32::MAX)).map(|n| n as u32).filter(|&n| n != 0)
}

/// A failure, as clients know it.
pub(crate) const fn failure(failure: store::Failure) -> Failure {
    match failure {
        store::Failure::Invalid => Failure::Invalid,
        store::Failure::Denied => Failure::Denied,
        store::Failure::Exists => Failure::Exists,
        store::Failure::NoEntry => Failure::NoEntry,
        store::Failure::Quota | store::Failure::Busy => Failure::Full,
        store::Failure::Again => Failure::Again,
        store::Failure::TooBig | store::Failure::Unsupported | store::Failure::Other => {
            Failure::Other
        }
    }
}

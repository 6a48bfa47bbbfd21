//! What a client asks, made into requests; replies, made into answers.

use alloc::string::String;
use alloc::vec::Vec;

use abi::Traps;
use ipc::xenstore::{Failure, Operation};
use xen::store::{self, VALUE};

use crate::broker::{Broker, Domain};
use crate::grant;
use crate::request::{
    Purpose, Request, What, begin, end, failure, path, token, transaction, unwatch, with,
};
use crate::session::{Session, TRANSACTIONS, WATCHES, Watch};

/// A client's request, decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub operation: Operation,
    pub transaction: u32,
    pub path: &'a str,
    pub value: &'a [u8],
}

impl<T: Traps, D: Domain> Broker<T, D> {
    /// Queues a request; one that may not be made is answered by why.
    pub(crate) fn ask(&mut self, client: u16, number: u32, ask: Ask<'_>) {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let Some(session) = self.session(client) else { return };
        session.open += 1;
        match request(session, client, number, serial, ask) {
            Ok(request) => session.waiting.push_back(request),
            Err(failure) => {
                session.failed(number, failure);
                self.ring(client);
            }
        }
    }

    /// Takes the reply to a client's request.
    pub(crate) fn reply(
        &mut self,
        client: u16,
        id: u32,
        number: u32,
        what: What,
        result: Result<Vec<u8>, store::Failure>,
    ) {
        match self.session(client).filter(|session| session.id == id) {
            None => self.undo(client, what, result),
            Some(session) => match (what, result) {
                (What::Begin, Ok(reply)) => begun(session, number, &reply),
                (What::Bytes, Ok(bytes)) => session.done(number, 0, bytes),
                (What::BackendPath { device }, Ok(path)) => {
                    return self.ask_domain(client, id, number, device, path);
                }
                (What::BackendDomain { device, path }, Ok(domain)) => {
                    self.backend(client, number, &device, (&path, &domain));
                }
                (What::Watch { serial, .. }, Ok(_)) => {
                    session.watches.iter_mut().for_each(|w| w.is_made |= w.serial == serial);
                    session.done(number, 0, Vec::new());
                }
                (What::Done, Ok(_)) => session.done(number, 0, Vec::new()),
                (what, Err(error)) => failed(session, number, &what, failure(error)),
            },
        }
        self.ring(client);
    }

    /// The session that asked is gone: what was made for it is taken back.
    fn undo(&mut self, client: u16, what: What, result: Result<Vec<u8>, store::Failure>) {
        match (what, result) {
            (What::Begin, Ok(reply)) => {
                let abandon = transaction(&reply).map(|number| end(number, false, Purpose::Nobody));
                self.link.own.extend(abandon);
            }
            (What::Watch { path, serial }, Ok(_)) => {
                self.link.own.push_back(unwatch(client, &path, serial, Purpose::Nobody));
            }
            _ => {}
        }
    }

    /// The backend's directory is known: asks for its domain.
    fn ask_domain(
        &mut self,
        client: u16,
        session: u32,
        number: u32,
        device: String,
        bytes: Vec<u8>,
    ) {
        let payload = path(&alloc::format!("{device}/backend-id"));
        let what = What::BackendDomain { device, path: bytes };
        let purpose = Purpose::Client { client, session, number, what };
        let operation = store::Operation::Read;
        self.link.own.push_back(Request { operation, transaction: 0, payload, purpose });
    }

    /// Both are known: the supervisor is told, and the client may read there.
    fn backend(&mut self, client: u16, number: u32, device: &str, (path, domain): (&[u8], &[u8])) {
        let known = grant::backend(path, domain);
        let peer = known.filter(|(_, domain)| self.domain.peer(client, *domain));
        let Some(session) = self.session(client) else { return };
        match peer {
            Some((path, domain)) => {
                session.grant.add_backend(device, &path);
                session.done(number, u32::from(domain), path.into_bytes());
            }
            None => session.failed(number, Failure::Invalid),
        }
    }
}

fn begun(session: &mut Session, number: u32, reply: &[u8]) {
    session.beginning = session.beginning.saturating_sub(1);
    match transaction(reply) {
        Some(transaction) => {
            session.transactions.push(transaction);
            session.done(number, transaction, Vec::new());
        }
        None => session.failed(number, Failure::Other),
    }
}

/// Answers a request by why it failed, and forgets what it would have made.
pub(crate) fn failed(session: &mut Session, number: u32, what: &What, failure: Failure) {
    match what {
        What::Watch { .. } => drop(session.remove_watch(number)),
        What::Begin => session.beginning = session.beginning.saturating_sub(1),
        _ => {}
    }
    session.failed(number, failure);
}

/// The request to xenstored, if the client may make it.
fn request(
    session: &mut Session,
    client: u16,
    number: u32,
    serial: u32,
    ask: Ask<'_>,
) -> Result<Request, Failure> {
    if ask.transaction != 0 && !session.transactions.contains(&ask.transaction) {
        return Err(Failure::Invalid);
    }
    let id = session.id;
    let purpose = |what| Purpose::Client { client, session: id, number, what };
    match ask.operation {
        Operation::Read | Operation::List | Operation::Write | Operation::Remove => {
            node(session, ask, purpose)
        }
        Operation::Watch => {
            let path = watch(session, number, serial, ask.path)?;
            let mut rest = token(client, serial);
            rest.push(0);
            let payload = with(ask.path, &rest);
            let purpose = purpose(What::Watch { path, serial });
            Ok(Request { operation: store::Operation::Watch, transaction: 0, payload, purpose })
        }
        Operation::Unwatch => {
            let watch = made_watch(session, ask.value)?;
            Ok(unwatch(client, &watch.path, watch.serial, purpose(What::Done)))
        }
        Operation::Begin if session.transactions.len() + session.beginning < TRANSACTIONS => {
            session.beginning += 1;
            Ok(begin(purpose(What::Begin)))
        }
        Operation::Begin => Err(Failure::Full),
        Operation::Commit | Operation::Abandon => {
            let at = session.transactions.iter().position(|&open| open == ask.transaction);
            session.transactions.remove(at.ok_or(Failure::Invalid)?);
            let commit = ask.operation == Operation::Commit;
            Ok(end(ask.transaction, commit, purpose(What::Done)))
        }
        Operation::Backend => {
            allow(session.grant.has_device(ask.path))?;
            let payload = path(&alloc::format!("{}/backend", ask.path));
            let purpose = purpose(What::BackendPath { device: String::from(ask.path) });
            Ok(Request { operation: store::Operation::Read, transaction: 0, payload, purpose })
        }
    }
}

/// A request for a node itself.
fn node(
    session: &Session,
    ask: Ask<'_>,
    purpose: impl FnOnce(What) -> Purpose,
) -> Result<Request, Failure> {
    let writes = matches!(ask.operation, Operation::Write | Operation::Remove);
    let grant = &session.grant;
    allow(if writes { grant.may_write(ask.path) } else { grant.may_read(ask.path) })?;
    let (operation, payload, what) = match ask.operation {
        Operation::Write if ask.value.len() > VALUE => return Err(Failure::Invalid),
        Operation::Write => (store::Operation::Write, with(ask.path, ask.value), What::Done),
        Operation::Remove => (store::Operation::Remove, path(ask.path), What::Done),
        Operation::List => (store::Operation::Directory, path(ask.path), What::Bytes),
        _ => (store::Operation::Read, path(ask.path), What::Bytes),
    };
    Ok(Request { operation, transaction: ask.transaction, payload, purpose: purpose(what) })
}

const fn allow(allowed: bool) -> Result<(), Failure> {
    if allowed { Ok(()) } else { Err(Failure::Denied) }
}

/// Takes out the watch that the request with the number `value` made.
fn made_watch(session: &mut Session, value: &[u8]) -> Result<Watch, Failure> {
    let made = xen::number::decimal(value, u64::from(u32::MAX)).ok_or(Failure::Invalid)? as u32;
    let is_it = |watch: &&Watch| watch.number == made && watch.is_made;
    session.watches.iter().find(is_it).ok_or(Failure::NoEntry)?;
    session.remove_watch(made).ok_or(Failure::NoEntry)
}

/// Notes a watch; gives its path.
fn watch(session: &mut Session, number: u32, serial: u32, node: &str) -> Result<String, Failure> {
    allow(session.grant.may_read(node))?;
    if session.watches.len() >= WATCHES {
        return Err(Failure::Full);
    }
    let path = String::from(node);
    session.watches.push(Watch { number, serial, path: path.clone(), is_made: false });
    Ok(path)
}

//! A small xenstored: one client, one tree, transactions and watches.

use shared::Memory;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

use crate::store::{Header, Operation};

type Tree = BTreeMap<String, Vec<u8>>;

/// A xenstored with one domain, whose directory is `/local/domain/1`.
#[derive(Debug)]
pub struct Xenstored {
    page: Memory,
    tree: Tree,
    /// Trees of open transactions, each with the tree that it began with.
    transactions: BTreeMap<u32, (Tree, Tree)>,
    last_transaction: u32,
    /// Path and token.
    watches: Vec<(String, Vec<u8>)>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// The most bytes that it moves in or out at a time.
    pub step: usize,
}

const HOME: &str = "/local/domain/1";
const EINVAL: &str = "EINVAL";
const ENOENT: &str = "ENOENT";

impl Xenstored {
    /// Attaches to a ring page; begins both rings at `index`, as nothing says that they begin at 0.
    #[must_use]
    pub fn attach(page: Memory, index: u32) -> Self {
        for offset in [2048, 2052, 2056, 2060] {
            page.store_u32_release(offset, index);
        }
        Self {
            page,
            tree: Tree::new(),
            transactions: BTreeMap::new(),
            last_transaction: 0,
            watches: Vec::new(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            step: 1024,
        }
    }

    /// Writes a node from another domain: watches fire.
    pub fn set(&mut self, path: &str, value: &str) {
        self.tree.insert(path.to_string(), value.as_bytes().to_vec());
        self.fire(path);
        self.write_out();
    }

    /// Removes a node and all below it from another domain: watches fire.
    pub fn remove(&mut self, path: &str) {
        self.tree.retain(|node, _| !is_below(node, path));
        self.fire(path);
        self.write_out();
    }

    /// The value of a node.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.tree.get(path).map(Vec::as_slice)
    }

    /// How many watches there are.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.watches.len()
    }

    /// How many transactions are open.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Moves bytes in and out and answers what is whole. Says whether anything moved: then ring the client.
    pub fn run(&mut self) -> bool {
        let read = self.read_in();
        while let Some((header, payload)) = self.message() {
            self.handle(header, &payload);
        }
        self.write_out() | read
    }

    fn message(&mut self) -> Option<(Header, Vec<u8>)> {
        let (header, rest) = Header::read_from_prefix(&self.incoming).ok()?;
        assert!(header.len <= 4096, "a payload of {} bytes", header.len);
        let payload = rest.get(..header.len as usize)?.to_vec();
        self.incoming.drain(..16 + payload.len());
        Some((header, payload))
    }

    fn handle(&mut self, header: Header, payload: &[u8]) {
        let result = self.perform(header, payload);
        let (kind, reply) = match result {
            Ok(reply) => (header.kind, reply),
            Err(name) => (Operation::Error as u32, format!("{name}\0").into_bytes()),
        };
        self.send(Header { kind, len: reply.len() as u32, ..header }, &reply);
        if kind == Operation::Watch as u32 {
            let (path, token) = self.watches.last().cloned().expect("just added");
            self.event(&path, &token);
        }
    }

    fn perform(&mut self, header: Header, payload: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (path, rest) = split(payload);
        let full = absolute(&path);
        match header.kind {
            kind if kind == Operation::Begin as u32 => Ok(self.begin()),
            kind if kind == Operation::End as u32 => self.end(header.transaction, payload),
            kind if kind == Operation::Read as u32 => {
                self.tree(header.transaction)?.get(&full).cloned().ok_or(ENOENT)
            }
            kind if kind == Operation::Directory as u32 => self.list(header.transaction, &full),
            kind if kind == Operation::Write as u32 => {
                self.tree(header.transaction)?.insert(full.clone(), rest.to_vec());
                self.changed(header.transaction, &full)
            }
            kind if kind == Operation::Remove as u32 => {
                self.tree(header.transaction)?.retain(|node, _| !is_below(node, &full));
                self.changed(header.transaction, &full)
            }
            kind if kind == Operation::Watch as u32 => self.watch(path, rest),
            kind if kind == Operation::Unwatch as u32 => self.unwatch(&path, rest),
            kind if kind == Operation::ResetWatches as u32 => {
                self.watches.clear();
                self.transactions.clear();
                Ok(b"OK\0".to_vec())
            }
            _ => Err("ENOSYS"),
        }
    }

    fn tree(&mut self, transaction: u32) -> Result<&mut Tree, &'static str> {
        match transaction {
            0 => Ok(&mut self.tree),
            number => self.transactions.get_mut(&number).map(|(_, tree)| tree).ok_or(ENOENT),
        }
    }

    fn changed(&mut self, transaction: u32, path: &str) -> Result<Vec<u8>, &'static str> {
        if transaction == 0 {
            self.fire(path);
        }
        Ok(b"OK\0".to_vec())
    }

    fn list(&mut self, transaction: u32, path: &str) -> Result<Vec<u8>, &'static str> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let tree = self.tree(transaction)?;
        let below = tree.keys().filter_map(|node| node.strip_prefix(&prefix));
        let mut names: Vec<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
        names.dedup();
        if names.is_empty() && !tree.contains_key(path) {
            return Err(ENOENT);
        }
        Ok(names.iter().flat_map(|name| format!("{name}\0").into_bytes()).collect())
    }

    fn begin(&mut self) -> Vec<u8> {
        self.last_transaction += 1;
        self.transactions.insert(self.last_transaction, (self.tree.clone(), self.tree.clone()));
        format!("{}\0", self.last_transaction).into_bytes()
    }

    fn end(&mut self, transaction: u32, payload: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (base, tree) = self.transactions.remove(&transaction).ok_or(ENOENT)?;
        if payload == b"T\0" {
            if base != self.tree {
                return Err("EAGAIN");
            }
            let is_changed = |path: &&String| base.get(*path) != tree.get(*path);
            let changed: Vec<String> =
                base.keys().chain(tree.keys()).filter(is_changed).cloned().collect();
            self.tree = tree;
            changed.iter().for_each(|path| self.fire(path));
        }
        Ok(b"OK\0".to_vec())
    }

    fn watch(&mut self, path: String, rest: &[u8]) -> Result<Vec<u8>, &'static str> {
        let token = rest.strip_suffix(b"\0").ok_or(EINVAL)?.to_vec();
        if self.watches.contains(&(path.clone(), token.clone())) {
            return Err("EEXIST");
        }
        self.watches.push((path, token));
        Ok(b"OK\0".to_vec())
    }

    fn unwatch(&mut self, path: &str, rest: &[u8]) -> Result<Vec<u8>, &'static str> {
        let token = rest.strip_suffix(b"\0").ok_or(EINVAL)?;
        let is_it = |watch: &(String, Vec<u8>)| watch.0 == path && watch.1 == token;
        let at = self.watches.iter().position(is_it).ok_or(ENOENT)?;
        self.watches.remove(at);
        Ok(b"OK\0".to_vec())
    }

    fn fire(&mut self, path: &str) {
        for (watched, token) in self.watches.clone() {
            let full = absolute(&watched);
            if is_below(path, &full) || is_below(&full, path) {
                let is_relative = !watched.starts_with('/');
                let home = format!("{HOME}/");
                let told = if is_relative { path.strip_prefix(&home) } else { None };
                self.event(told.unwrap_or(path), &token);
            }
        }
    }

    fn event(&mut self, path: &str, token: &[u8]) {
        let payload = [path.as_bytes(), b"\0", token, b"\0"].concat();
        let kind = Operation::WatchEvent as u32;
        self.send(Header { kind, len: payload.len() as u32, ..Header::default() }, &payload);
    }

    fn send(&mut self, header: Header, payload: &[u8]) {
        self.outgoing.extend_from_slice(header.as_bytes());
        self.outgoing.extend_from_slice(payload);
    }

    fn read_in(&mut self) -> bool {
        let (mut cons, prod) = (self.page.load_u32_acquire(2048), self.page.load_u32_acquire(2052));
        let len = (prod.wrapping_sub(cons) as usize).min(self.step);
        for _ in 0..len {
            self.incoming.push(self.page.read::<u8>(cons as usize % 1024));
            cons = cons.wrapping_add(1);
        }
        self.page.store_u32_release(2048, cons);
        len > 0
    }

    fn write_out(&mut self) -> bool {
        let (cons, mut prod) = (self.page.load_u32_acquire(2056), self.page.load_u32_acquire(2060));
        let room = 1024 - prod.wrapping_sub(cons) as usize;
        let len = room.min(self.step).min(self.outgoing.len());
        for byte in self.outgoing.drain(..len) {
            self.page.write(1024 + prod as usize % 1024, &byte);
            prod = prod.wrapping_add(1);
        }
        self.page.store_u32_release(2060, prod);
        len > 0
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_string() } else { format!("{HOME}/{path}") }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The first string of a payload, and the rest.
fn split(payload: &[u8]) -> (String, &[u8]) {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    let rest = payload.get(end + 1..).unwrap_or_default();
    (String::from_utf8_lossy(&payload[..end]).into_owned(), rest)
}

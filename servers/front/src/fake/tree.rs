//! The server of xenstore, with the tree in memory.

use std::collections::{BTreeMap, VecDeque};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use abi::Badge;
use ipc::xenstore::{Error, Failure, Kind, Operation, Server};
use shared::Memory;

type Nodes = BTreeMap<String, String>;

/// The server of xenstore, for one client.
pub struct Tree {
    up: Memory,
    down: Memory,
    nodes: Nodes,
    transactions: BTreeMap<u32, (Nodes, Nodes)>,
    watches: Vec<(u32, String)>,
    events: VecDeque<(Kind, u32, u32, Vec<u8>)>,
    last: u32,
    /// How many commits to refuse with `Again`.
    pub refuse_commits: u32,
    /// How many requests were posted.
    pub posted: u32,
    /// Whether calls fail, as when the server is down.
    pub is_down: bool,
}

impl Tree {
    /// An empty one.
    #[must_use]
    pub fn new(up: Memory, down: Memory) -> Self {
        Self {
            up,
            down,
            nodes: Nodes::new(),
            transactions: BTreeMap::new(),
            watches: Vec::new(),
            events: VecDeque::new(),
            last: 0,
            refuse_commits: 0,
            posted: 0,
            is_down: false,
        }
    }

    /// Whether there is something to collect.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.events.is_empty()
    }

    /// Writes a node from outside.
    pub fn set(&mut self, path: &str, text: &str) {
        self.nodes.insert(path.to_string(), text.to_string());
        self.fire(path);
    }

    /// Removes a node and all below it from outside.
    pub fn remove(&mut self, path: &str) {
        self.nodes.retain(|node, _| !is_below(node, path));
        self.fire(path);
    }

    /// The text of a node.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.nodes.get(path).map(String::as_str)
    }

    /// The number in a node.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn number(&self, path: &str) -> u32 {
        self.get(path).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {path}"))
    }

    /// Loses all sessions, as a restart of xenstore's server does.
    pub fn lose(&mut self) {
        self.transactions.clear();
        self.watches.clear();
        self.events.clear();
        self.events.push_back((Kind::Lost, 0, 0, Vec::new()));
    }

    fn fire(&mut self, path: &str) {
        for (number, watched) in &self.watches {
            if is_below(path, watched) || is_below(watched, path) {
                self.events.push_back((Kind::Fired, *number, 0, path.as_bytes().to_vec()));
            }
        }
    }

    fn perform(
        &mut self,
        number: u32,
        operation: Operation,
        transaction: u32,
        path: &str,
        value: &str,
    ) -> Result<(u32, Vec<u8>), Failure> {
        match operation {
            Operation::Read => {
                let text = self.within(transaction)?.get(path).cloned();
                text.map(|text| (0, text.into_bytes())).ok_or(Failure::NoEntry)
            }
            Operation::Write => {
                self.within(transaction)?.insert(path.to_string(), value.to_string());
                if transaction == 0 {
                    self.fire(path);
                }
                Ok((0, Vec::new()))
            }
            Operation::List => self.list(path),
            Operation::Watch => {
                self.watches.push((number, path.to_string()));
                Ok((0, Vec::new()))
            }
            Operation::Unwatch => {
                let number: u32 = value.parse().map_err(|_| Failure::Invalid)?;
                self.watches.retain(|(watch, _)| *watch != number);
                Ok((0, Vec::new()))
            }
            Operation::Begin => {
                self.transactions.insert(number, (self.nodes.clone(), self.nodes.clone()));
                Ok((number, Vec::new()))
            }
            Operation::Commit => self.commit(transaction),
            Operation::Abandon => {
                self.transactions.remove(&transaction);
                Ok((0, Vec::new()))
            }
            Operation::Backend => self.backend(path),
            Operation::Remove => Err(Failure::Denied),
        }
    }

    fn within(&mut self, transaction: u32) -> Result<&mut Nodes, Failure> {
        match transaction {
            0 => Ok(&mut self.nodes),
            number => {
                self.transactions.get_mut(&number).map(|(_, tree)| tree).ok_or(Failure::NoEntry)
            }
        }
    }

    fn list(&self, path: &str) -> Result<(u32, Vec<u8>), Failure> {
        let prefix = format!("{path}/");
        let below = self.nodes.keys().filter_map(|node| node.strip_prefix(&prefix));
        let mut names: Vec<&str> = below.filter_map(|rest| rest.split('/').next()).collect();
        names.dedup();
        if names.is_empty() {
            return Err(Failure::NoEntry);
        }
        Ok((0, names.iter().flat_map(|name| format!("{name}\0").into_bytes()).collect()))
    }

    fn commit(&mut self, transaction: u32) -> Result<(u32, Vec<u8>), Failure> {
        let (before, after) = self.transactions.remove(&transaction).ok_or(Failure::NoEntry)?;
        if self.refuse_commits > 0 || before != self.nodes {
            self.refuse_commits = self.refuse_commits.saturating_sub(1);
            return Err(Failure::Again);
        }
        let changed: Vec<String> = after
            .iter()
            .filter(|(path, text)| before.get(*path) != Some(text))
            .map(|(path, _)| path.clone())
            .collect();
        self.nodes = after;
        changed.iter().for_each(|path| self.fire(path));
        Ok((0, Vec::new()))
    }

    fn backend(&self, path: &str) -> Result<(u32, Vec<u8>), Failure> {
        let backend = self.get(&format!("{path}/backend")).ok_or(Failure::NoEntry)?;
        Ok((0, backend.as_bytes().to_vec()))
    }
}

impl Server for Tree {
    fn open(&mut self, _: Badge) -> Result<(), Error> {
        self.transactions.clear();
        self.watches.clear();
        self.events.clear();
        if self.is_down { Err(Error::Broken) } else { Ok(()) }
    }

    fn post(
        &mut self,
        _: Badge,
        operation: Operation,
        transaction: u32,
        path: u32,
        value: u32,
    ) -> Result<u32, Error> {
        if self.is_down {
            return Err(Error::Broken);
        }
        let mut bytes = std::vec![0; (path + value) as usize];
        self.up.copy_from(0, &mut bytes);
        let text = String::from_utf8(bytes).expect("paths and values are text");
        let (path, value) = text.split_at(path as usize);
        self.last += 1;
        self.posted += 1;
        let number = self.last;
        let result = self.perform(number, operation, transaction, path, value);
        let event = match result {
            Ok((code, bytes)) => (Kind::Done, number, code, bytes),
            Err(failure) => (Kind::Failed, number, failure as u32, Vec::new()),
        };
        self.events.push_back(event);
        if operation == Operation::Watch {
            self.events.push_back((Kind::Fired, number, 0, path.as_bytes().to_vec()));
        }
        Ok(number)
    }

    fn collect(&mut self, _: Badge) -> Result<(Kind, u32, u32, u32), Error> {
        let Some((kind, number, code, bytes)) = self.events.pop_front() else {
            return Ok((Kind::Nothing, 0, 0, 0));
        };
        self.down.copy_to(0, &bytes);
        Ok((kind, number, code, bytes.len() as u32))
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

//! [`Store`]: requests to xenstore, awaited one by one or a batch at a time.
//!
//! Invariant: whoever posts requests awaits the answers of all of them, and never has more open than xenstore takes. A
//! session that xenstore does not know any more ends every wait with [`Stop::Lost`].

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::{CallError, Traps, Word};
use ipc::Wire;
use ipc::xenstore::{Client, Error, Failure, Kind, MOST_OPEN, Operation};

use crate::desk::{Answer, Desk, Stop};

/// How often a transaction is tried.
const TRIES: u32 = 16;

/// A request: operation, transaction, path, value.
type Ask<'a> = (Operation, u32, &'a str, &'a str);
/// What came of one: its code and bytes.
type Outcome = Result<(u32, Vec<u8>), Failure>;

/// A session with xenstore.
#[derive(Clone)]
pub(crate) struct Store<T> {
    client: Client<T>,
    wire: Wire,
    desk: Desk,
}

impl<T: Traps> Store<T> {
    pub fn new(traps: T, wire: Wire, desk: Desk) -> Self {
        Self { client: Client::new(traps, wire.handle), wire, desk }
    }

    /// Begins a session; what was asked or watched before is forgotten.
    pub fn open(&self) -> Result<(), Stop> {
        self.desk.begin_session();
        self.client.open().map_err(|_| Stop::Lost)
    }

    /// Collects one answer or event and lays it on the desk; false when there was none.
    pub fn collect(&self) -> bool {
        let Ok((kind, number, code, length)) = self.client.collect() else {
            self.desk.put_lost();
            return false;
        };
        match kind {
            Kind::Nothing => return false,
            Kind::Done => self.take(number, Ok(code), length),
            Kind::Failed => self.take(number, Err(failure(code)), 0),
            Kind::Fired => self.desk.put_fired(),
            Kind::Lost => self.desk.put_lost(),
        }
        true
    }

    fn take(&self, number: u32, result: Result<u32, Failure>, length: u32) {
        let mut bytes = alloc::vec![0; (length as usize).min(self.wire.down.len())];
        self.wire.down.copy_from(0, &mut bytes);
        self.desk.put_answer(Answer { number, result, bytes });
    }

    /// The texts of nodes, of each if it is there and may be read.
    pub async fn look<const N: usize>(
        &self,
        paths: [&str; N],
    ) -> Result<[Option<Vec<u8>>; N], Stop> {
        let mut texts = self.look_all(&paths).await?.into_iter();
        Ok(core::array::from_fn(|_| texts.next().flatten()))
    }

    /// As [`Store::look`], for any number of nodes.
    pub async fn look_all(&self, paths: &[&str]) -> Result<Vec<Option<Vec<u8>>>, Stop> {
        let asks: Vec<Ask<'_>> = paths.iter().map(|path| (Operation::Read, 0, *path, "")).collect();
        let outcomes = self.ask_all(&asks).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.ok().map(|(_, text)| text)).collect())
    }

    /// The first name below a node.
    pub async fn first_below(&self, path: &str) -> Result<Option<String>, Stop> {
        let names = match self.ask(Operation::List, 0, path, "").await {
            Ok((_, names)) => names,
            Err(Stop::Failed(_)) => return Ok(None),
            Err(stop) => return Err(stop),
        };
        let first = names.split(|byte| *byte == 0).next().filter(|name| !name.is_empty());
        Ok(first.and_then(|name| core::str::from_utf8(name).ok()).map(String::from))
    }

    /// Watches a node; gives the watch's number.
    pub async fn watch(&self, path: &str) -> Result<u32, Stop> {
        let number = self.post((Operation::Watch, 0, path, ""))?;
        self.desk.answer(number).await?.result.map_err(Stop::Failed)?;
        Ok(number)
    }

    /// Ends a watch.
    pub async fn unwatch(&self, watch: u32) -> Result<(), Stop> {
        self.ask(Operation::Unwatch, 0, "", &xen::number::text(u64::from(watch))).await.map(|_| ())
    }

    /// The backend's directory of the device at `directory`; the supervisor knows the peer then.
    pub async fn backend(&self, directory: &str) -> Result<String, Stop> {
        let (_, path) = self.ask(Operation::Backend, 0, directory, "").await?;
        String::from_utf8(path).map_err(|_| Stop::Failed(Failure::Invalid))
    }

    /// Writes a node, outside a transaction.
    pub async fn write(&self, path: &str, text: &str) -> Result<(), Stop> {
        self.ask(Operation::Write, 0, path, text).await.map(|_| ())
    }

    /// Writes nodes of the device at `directory`, all or none, if its `state` is there: a device that was removed is not
    /// made again.
    pub async fn publish<'a>(
        &self,
        directory: &str,
        nodes: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<(), Stop> {
        for _ in 0..TRIES {
            let (transaction, _) = self.ask(Operation::Begin, 0, "", "").await?;
            let end = match self.fill(transaction, directory, nodes.clone()).await {
                Ok(()) => self.ask(Operation::Commit, transaction, "", "").await,
                Err(Stop::Failed(failure)) => {
                    let _ = self.ask(Operation::Abandon, transaction, "", "").await;
                    return Err(Stop::Failed(failure));
                }
                Err(stop) => return Err(stop),
            };
            match end {
                Err(Stop::Failed(Failure::Again)) => {}
                other => return other.map(|_| ()),
            }
        }
        Err(Stop::Failed(Failure::Again))
    }

    async fn fill<'a>(
        &self,
        transaction: u32,
        directory: &str,
        nodes: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Stop> {
        self.ask(Operation::Read, transaction, &format!("{directory}/state"), "").await?;
        let nodes: Vec<(String, &str)> =
            nodes.map(|(name, text)| (format!("{directory}/{name}"), text)).collect();
        let asks: Vec<Ask<'_>> = nodes
            .iter()
            .map(|(path, text)| (Operation::Write, transaction, path.as_str(), *text))
            .collect();
        let outcomes = self.ask_all(&asks).await?;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop)).map_err(Stop::Failed)
    }

    async fn ask(
        &self,
        operation: Operation,
        transaction: u32,
        path: &str,
        value: &str,
    ) -> Result<(u32, Vec<u8>), Stop> {
        let number = self.post((operation, transaction, path, value))?;
        self.outcome(number).await?.map_err(Stop::Failed)
    }

    /// Asks all, with as many open at once as xenstore takes; what came of each, in order.
    async fn ask_all(&self, asks: &[Ask<'_>]) -> Result<Vec<Outcome>, Stop> {
        let mut open = VecDeque::new();
        let mut outcomes = Vec::new();
        for &ask in asks {
            if open.len() == MOST_OPEN
                && let Some(number) = open.pop_front()
            {
                outcomes.push(self.outcome(number).await?);
            }
            open.push_back(self.post(ask)?);
        }
        for number in open {
            outcomes.push(self.outcome(number).await?);
        }
        Ok(outcomes)
    }

    async fn outcome(&self, number: u32) -> Result<Outcome, Stop> {
        let answer = self.desk.answer(number).await?;
        Ok(answer.result.map(|code| (code, answer.bytes)))
    }

    fn post(&self, (operation, transaction, path, value): Ask<'_>) -> Result<u32, Stop> {
        let length = path.len().saturating_add(value.len());
        let (Ok(path_bytes), Ok(value_bytes), true) =
            (u32::try_from(path.len()), u32::try_from(value.len()), self.wire.up.holds(0, length))
        else {
            return Err(Stop::Failed(Failure::Invalid));
        };
        self.wire.up.copy_to(0, path.as_bytes());
        self.wire.up.copy_to(path.len(), value.as_bytes());
        let posted = self.client.post(operation, transaction, path_bytes, value_bytes);
        posted.map_err(|error| match error {
            CallError::Refused(Error::TooLong) => Stop::Failed(Failure::Invalid),
            _ => Stop::Lost,
        })
    }
}

/// A failure from its code; one that is unknown is any.
fn failure(code: u32) -> Failure {
    Failure::from_word(u64::from(code)).unwrap_or(Failure::Other)
}

//! The main of the operator's link: its pages, its port, its window, and the supervisor's side of what is asked.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use abi::CallError;
use ipc::Wire;
use ipc::history::{Death, Event};
use ipc::manage::{Action, Refusal};
use ipc::operator::Error;
use ipc::serve::Serve;
use ipc::state::{Damaged, Reader};
use ipc::status::Snapshot;
use manage::{Manage, Operator, Setup};

ipc::wiring! {
    serves { 0 => ipc::console }
    clients 2;
    needs {
        log: ipc::log,
        store: ipc::xenstore,
        status: ipc::status,
        operator: ipc::operator,
        history: ipc::history,
        link: ipc::vchan
    }
    ports { ring: Peer }
    windows { pool: 9 }
    device "vchan";
    stack 16;
    heap 96;
    state { manage::state::Link, manage::state::Answer, manage::state::Line }
}

const _: () = assert!(ipc::vchan::WIRE.up == 9);

/// The operator, through the supervisor.
#[derive(Debug)]
struct Supervisor;

impl Operator for Supervisor {
    fn now(&self) -> u64 {
        rt::clock::now()
    }

    fn snapshot(&mut self) -> Option<Snapshot> {
        let length = ipc::status::Client::new(rt::Trap, wiring::status.handle).snapshot().ok()?;
        Snapshot::read(rt::need(wiring::status).down, length)
    }

    fn events(&mut self, from: u64) -> Option<Vec<Event>> {
        let length = history().events(from).ok()?;
        ipc::history::read(rt::need(wiring::history).down, length)
    }

    fn deaths(&mut self, from: u64) -> Option<Vec<Death>> {
        let length = history().deaths(from).ok()?;
        ipc::history::read(rt::need(wiring::history).down, length)
    }

    fn act(&mut self, slot: u16, action: Action) -> Result<(), Refusal> {
        let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
        operator.act(slot, action).map_err(|error| match error {
            CallError::Refused(Error::NoSuchSlot) => Refusal::NoSuchServer,
            CallError::Refused(Error::Supervisor) => Refusal::NotAllowed,
            CallError::Refused(Error::Runs) => Refusal::Runs,
            // The rest is about swaps.
            CallError::Refused(_) | CallError::Status(_) | CallError::Protocol => Refusal::NoAnswer,
        })
    }
}

fn history() -> ipc::history::Client<rt::Trap> {
    ipc::history::Client::new(rt::Trap, wiring::history.handle)
}

/// Pages, event channel and references of the vchan.
fn setup() -> Setup {
    let memory = rt::start().need(wiring::link.index).unwrap_or_default();
    Setup {
        port: wiring::ring.handle,
        window: wiring::pool,
        pages: rt::need(wiring::link).up,
        address: memory.up,
    }
}

fn writers() -> Vec<Wire> {
    let writers = (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n));
    writers.filter(|wire| !wire.up.is_empty()).collect()
}

fn fresh() -> Manage<rt::Trap, Supervisor> {
    let (store, own) = (rt::need(wiring::store), (rt::start().header, Supervisor));
    let mut server = Manage::new(rt::Trap, setup(), store, writers(), own);
    server.bits(0);
    server
}

fn adopt(state: Reader<'_>) -> Result<Manage<rt::Trap, Supervisor>, Damaged> {
    let (store, own) = (rt::need(wiring::store), (rt::start().header, Supervisor));
    Manage::adopt(rt::Trap, setup(), store, writers(), own, state)
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run);

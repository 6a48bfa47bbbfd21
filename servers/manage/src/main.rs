//! The main of the operator's link: its pages, its port, its window, and the supervisor's side of what is asked.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use ipc::serve::{Serve, serve};
use ipc::status::Snapshot;
use manage::{Manage, Operator, Setup};

ipc::wiring! {
    serves { 0 => ipc::console }
    clients 2;
    needs {
        log: ipc::log, store: ipc::xenstore, status: ipc::status, operator: ipc::operator, link: ipc::vchan
    }
    ports { ring: Peer }
    windows { pool: 9 }
    device "vchan";
    stack 16;
    heap 96;
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
}

fn run() -> ! {
    let start = rt::start();
    let memory = start.need(wiring::link.index).unwrap_or_default();
    let setup = Setup {
        port: wiring::ring.handle,
        window: wiring::pool,
        pages: rt::need(wiring::link).up,
        address: memory.up,
    };
    let writers = (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n));
    let writers = writers.filter(|wire| !wire.up.is_empty()).collect();
    let mut server = Manage::new(rt::Trap, setup, rt::need(wiring::store), writers, Supervisor);
    server.bits(0);
    serve(rt::Trap, &mut server)
}

rt::main!(run);

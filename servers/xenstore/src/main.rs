//! The main of the server of XenStore: its ring, its port, its clients by the manifest.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::fmt::Arguments;

use abi::Handle;
use abi::kernel::control::Shutdown;
use abi::kernel::port;
use ipc::Wire;
use ipc::serve::serve;
use xen::store::{Connection, Rest};
use xenstore::{Broker, Domain, Grant};

ipc::wiring! {
    serves { 0 => ipc::xenstore }
    clients 8;
    needs { log: ipc::log, operator: ipc::operator }
    ports { ring: Store }
    device "store";
    stack 16;
    heap 64;
}

/// The domain, through the supervisor.
struct Supervisor;

impl Domain for Supervisor {
    fn peer(&mut self, client: u16, domain: u16) -> bool {
        ipc::supervisor::Client::new(rt::Trap, Handle::SUPERVISOR).peer(client, domain).is_ok()
    }

    fn shutdown(&mut self, reason: Shutdown) {
        let _ = ipc::operator::Client::new(rt::Trap, wiring::operator.handle).shutdown(reason);
    }

    fn again(&mut self) {
        rt::timer(1);
    }

    fn log(&mut self, line: Arguments<'_>) {
        rt::log!("{line}");
    }
}

/// The client with a number: lines `client.NUMBER=NAME PREFIX[,PREFIX]`. One without prefixes may touch nothing.
fn client(number: u16) -> Option<(Wire, Grant)> {
    let line = rt::start().config(&alloc::format!("client.{number}"))?;
    let prefixes = line.split_once(' ').map_or("", |(_, prefixes)| prefixes);
    Some((rt::client(wiring::NUMBERS, number), Grant::new(prefixes)))
}

/// The connection, unless there is no XenStore or its ring makes no sense.
fn connection() -> Option<Connection> {
    if rt::start().config("xenstore") == Some("absent") {
        return None;
    }
    // The toolstack's channel: open already if another incarnation was here before.
    let _ = port::Client::new(rt::Trap, wiring::ring.handle).open();
    let epoch = rt::start().header.incarnation as u16;
    Connection::open(rt::device_page(), epoch, Rest::default()).ok()
}

fn run() -> ! {
    let clients: Vec<_> = (0..wiring::NUMBERS.clients).map(client).collect();
    let mut broker = Broker::new(rt::Trap, wiring::ring.handle, connection(), clients, Supervisor);
    broker.turn();
    serve(rt::Trap, &mut broker)
}

rt::main!(run);

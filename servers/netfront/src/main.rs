//! The driver of a Xen network device.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;

use front::{Place, Setup};
use netfront::{Card, Netfront, Pool};

ipc::wiring! {
    serves { 0 => ipc::nic }
    clients 1;
    needs { log: ipc::log, store: ipc::xenstore }
    ports { ring: Peer }
    windows { pool: 386 }
    device "vif";
}

const _: () = assert!(Pool::REFERENCES == 386);

fn run() -> ! {
    let start = rt::start();
    let memory = start.client(0).unwrap_or_default();
    let wire = rt::client(wiring::NUMBERS, 0);
    let setup = Setup {
        store: rt::need(wiring::store),
        port: wiring::ring.handle,
        window: wiring::pool,
        references: Pool::REFERENCES,
        place: Place::At(format!("device/{}", start.config("device").unwrap_or("vif/0"))),
    };
    let card = Card::new(wire, Pool::new(wire.down, memory.up, memory.down));
    let mut server = Netfront::new(rt::Trap, setup, wire.handle, card);
    server.start();
    ipc::serve::serve(rt::Trap, &mut server)
}

rt::main!(run);

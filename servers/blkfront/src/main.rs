//! The driver of a Xen disk.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::ToString;

use blkfront::{Blkfront, Drive, Pool};
use front::{Place, Setup};

ipc::wiring! {
    serves { 0 => ipc::block }
    clients 1;
    needs { log: ipc::log, store: ipc::xenstore }
    ports { ring: Peer }
    windows { pool: 129 }
    device "vbd";
}

const _: () = assert!(Pool::REFERENCES == 129);

/// The disk of the configuration, or the only one.
fn place() -> Place {
    match rt::start().config("device") {
        Some(device) => Place::At(format!("device/{device}")),
        None => Place::Below("device/vbd".to_string()),
    }
}

fn run() -> ! {
    let memory = rt::start().client(0).unwrap_or_default();
    let wire = rt::client(wiring::NUMBERS, 0);
    let setup = Setup {
        store: rt::need(wiring::store),
        port: wiring::ring.handle,
        window: wiring::pool,
        references: Pool::REFERENCES,
        place: place(),
    };
    let drive = Drive::new(wire, Pool::new(wire.down, memory.up, memory.down));
    let mut server = Blkfront::new(rt::Trap, setup, wire.handle, drive);
    server.start();
    ipc::serve::serve(rt::Trap, &mut server)
}

rt::main!(run);

//! The file system's main: its wires.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Arguments;

use fs::Fs;
use ipc::Host;

ipc::wiring! {
    serves { 0 => ipc::files }
    clients 4;
    needs { log: ipc::log, disk: ipc::block }
    stack 32;
    heap 320;
}

/// Time and log of the domain.
struct Domain;

impl Host for Domain {
    fn now(&self) -> u64 {
        rt::clock::now()
    }

    fn log(&self, line: Arguments<'_>) {
        rt::log!("{line}");
    }
}

fn run() -> ! {
    let clients = (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n)).collect();
    let mut server = Fs::new(rt::Trap, Domain, rt::need(wiring::disk), clients);
    server.start();
    ipc::serve::serve(rt::Trap, &mut server)
}

rt::main!(run);

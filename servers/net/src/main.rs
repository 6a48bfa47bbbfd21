//! The TCP/IP stack's main: its wires and its configuration.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Arguments;

use ipc::Host;
use net::{Config, Net};

ipc::wiring! {
    serves { 0 => ipc::socket }
    clients 8;
    needs { log: ipc::log, nic: ipc::nic }
    stack 32;
    heap 640;
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
    let start = rt::start();
    let config = Config::read(start.lines(), |key, value| {
        rt::log!("{key}={value} is not understood");
    });
    let clients = (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n)).collect();
    let mut server = Net::new(rt::Trap, Domain, config, rt::need(wiring::nic), clients);
    server.start();
    ipc::serve::serve(rt::Trap, &mut server)
}

rt::main!(run);

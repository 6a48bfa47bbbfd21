//! The web server's main, with the other page.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Arguments;

use httpd::{Httpd, Settings, Wires};
use httpd_alt::front;
use ipc::Host;

ipc::wiring! {
    needs { log: ipc::log, net: ipc::socket, status: ipc::status, files: ipc::files optional }
    stack 32;
    heap 336;
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
    let settings = Settings::read(rt::start().lines(), |key, value| {
        rt::log!("{key}={value} is not understood");
    });
    let wires = Wires {
        sockets: rt::need(wiring::net),
        files: rt::need(wiring::files),
        status: rt::need(wiring::status),
    };
    let mut server = Httpd::new(rt::Trap, Domain, settings, wires, front);
    server.start();
    ipc::serve::serve(rt::Trap, &mut server)
}

rt::main!(run);

//! The web server's main, with the other page.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Arguments;

use httpd::{Httpd, Settings, Wires};
use httpd_alt::front;
use ipc::Host;
use ipc::state::{Damaged, Reader};

ipc::wiring! {
    needs { log: ipc::log, net: ipc::socket, status: ipc::status, files: ipc::files optional }
    stack 32;
    heap 336;
    state { httpd::state::Server, httpd::state::Connection, httpd::state::Page }
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

fn wires() -> Wires {
    Wires {
        sockets: rt::need(wiring::net),
        files: rt::need(wiring::files),
        status: rt::need(wiring::status),
    }
}

fn fresh() -> Httpd<rt::Trap, Domain> {
    let settings = Settings::read(rt::start().lines(), |key, value| {
        rt::log!("{key}={value} is not understood");
    });
    let mut server = Httpd::new(rt::Trap, Domain, settings, wires(), front);
    server.start();
    server
}

fn adopt(state: Reader<'_>) -> Result<Httpd<rt::Trap, Domain>, Damaged> {
    // What is not understood was told when the first one began.
    let settings = Settings::read(rt::start().lines(), |_, _| {});
    Httpd::adopt(rt::Trap, Domain, settings, wires(), front, state)
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run);

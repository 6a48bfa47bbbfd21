//! The file system's main: its wires.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::fmt::Arguments;

use fs::Fs;
use ipc::state::{Damaged, Reader};
use ipc::{Host, Wire};

ipc::wiring! {
    serves { 0 => ipc::files }
    clients 4;
    needs { log: ipc::log, disk: ipc::block }
    stack 32;
    heap 320;
    state { fs::state::Server, fs::state::Client, fs::state::File, fs::state::Task }
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

fn clients() -> Vec<Wire> {
    (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n)).collect()
}

fn fresh() -> Fs<rt::Trap, Domain> {
    let mut server = Fs::new(rt::Trap, Domain, rt::need(wiring::disk), clients());
    server.start();
    server
}

fn adopt(state: Reader<'_>) -> Result<Fs<rt::Trap, Domain>, Damaged> {
    Fs::adopt(rt::Trap, Domain, rt::need(wiring::disk), clients(), state)
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run);

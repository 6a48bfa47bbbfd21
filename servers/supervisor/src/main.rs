//! The supervisor's main: its wiring, its memory, and the end of the domain when the boot image is not what it should be.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use core::fmt::Arguments;

use abi::kernel::control::{Client, Shutdown};
use ipc::Wire;
use ipc::system::WireMemory;
use rt::log::Line;
use shared::Memory;

ipc::wiring! {
    serves { 0 => ipc::supervisor, 1 => ipc::status, 2 => ipc::operator, 3 => ipc::history }
    clients 256;
    needs { log: ipc::log optional }
    stack 16;
    heap 64;
}

/// The supervisor in its domain.
#[derive(Debug)]
struct Domain;

impl supervisor::Host for Domain {
    fn now(&mut self) -> u64 {
        rt::clock::now()
    }

    fn open_log(&mut self, memory: WireMemory) {
        rt::log::open(&Wire {
            handle: wiring::log.handle,
            bits: wiring::log.bits,
            up: self.shared(memory.up, memory.up_pages),
            down: self.shared(memory.down, memory.down_pages),
        });
    }

    fn log(&mut self, line: Arguments<'_>) {
        rt::log!("{line}");
    }

    fn debug(&mut self, line: Arguments<'_>) {
        rt::debug(Line::new(format_args!("[supervisor] {line}")).bytes());
    }

    fn scratch(&self) -> Memory {
        rt::scratch()
    }

    fn shared(&self, address: u64, pages: u32) -> Memory {
        rt::shared(address, pages)
    }
}

fn run() -> ! {
    let boot = rt::boot();
    match supervisor::boot(rt::Trap, Domain, boot.image, boot.command_line) {
        Ok(mut supervisor) => {
            let mut answer = None;
            loop {
                answer = supervisor.turn(answer);
            }
        }
        Err(refusal) => {
            rt::debug(Line::new(format_args!("[supervisor] {refusal}")).bytes());
            loop {
                let _ =
                    Client::new(rt::Trap, abi::Handle::CONTROL).domain_shutdown(Shutdown::Crash);
            }
        }
    }
}

rt::main!(run; root);

//! A successor of the relay that misbehaves as its predecessor was told: it hangs, faults, lies, loses, eats memory, writes what
//! it may not, calls whom it may not, or dies soon after it has taken over.
//!
//! Acts are numbered from 1, in that order; 9 behaves well but for its start afresh, which dies.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::trap::BIT_TIMER;
use abi::{Answer, Call, Handle, Message, Traps};
use alloc::vec::Vec;
use ipc::serve::Serve;
use ipc::state::{Damaged, Full, Reader, Writer};
use relay::{Layout, Relay};

ipc::wiring! {
    serves { 0 => relay::protocol }
    clients 80;
    needs { log: ipc::log }
    stack 8;
    heap 32;
    state { relay::state::Counters, relay::state::Held }
}

/// How long it lives after it has taken over, in nanoseconds.
const LIFE: u64 = 1_000_000;

/// A relay that dies when its timer rings.
struct Bad(Relay<rt::Trap>);

impl Serve for Bad {
    fn bits(&mut self, bits: u64) {
        if bits.count_ones() > 32 {
            rt::timer(rt::clock::now() + LIFE);
        } else if bits & BIT_TIMER != 0 {
            rt::exit(8);
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        self.0.call(call)
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        self.0.save(to)
    }
}

/// One that lives as long.
fn fresh() -> Bad {
    rt::timer(rt::clock::now() + LIFE);
    Bad(Relay::new(rt::Trap, Layout::One))
}

fn adopt(state: Reader<'_>) -> Result<Bad, Damaged> {
    let mut relay = Relay::adopt(rt::Trap, Layout::One, state)?;
    match relay.act {
        1 => loop {
            core::hint::spin_loop();
        },
        2 => rt::Trap.notify(Handle(999)),
        3 => relay.took_over(),
        4 => relay.held.truncate(relay.held.len() / 2),
        5 => eat(),
        6 => rt::client(wiring::NUMBERS, 0).down.write(0, &1u64),
        7 => _ = rt::Trap.call(wiring::log.handle, Message::default()),
        _ => {}
    }
    Ok(Bad(relay))
}

/// Takes memory until there is none.
fn eat() {
    let mut eaten: Vec<Vec<u64>> = Vec::new();
    loop {
        eaten.push(alloc::vec![7; 512]);
        core::hint::black_box(&eaten);
    }
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run);

//! A scheduler, wired: its children, its rounds.
//!
//! Configuration: `round_ms`, the length of a round; `weights`, those of the children in the order of their slots. The lines
//! `managed.SLOT=NAME PAGES` are the packer's.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::kernel::control::Client;
use abi::trap::BIT_TIMER;
use abi::{Answer, Badge, Call};
use ipc::serve::{Serve, serve};
use rt::Trap;
use scheduler::Scheduler;

ipc::wiring! {
    serves { 0 => ipc::scheduler }
    clients 4;
    needs { log: ipc::log }
    control kernel;
    stack 16;
    heap 16;
}

struct Server {
    scheduler: Scheduler<Trap>,
    /// Nanoseconds of a round.
    round: u64,
}

impl Serve for Server {
    fn bits(&mut self, bits: u64) {
        if bits & BIT_TIMER != 0 {
            self.scheduler.begin_round();
            rt::timer(rt::clock::now() + self.round);
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        ipc::scheduler::dispatch(&mut self.scheduler, call)
    }

    fn opened(&mut self, client: Badge) {
        if client.channel() == ipc::supervisor::MANAGED {
            self.scheduler.opened(client.client());
        }
    }
}

fn run() -> ! {
    let start = rt::start();
    let round = start.config("round_ms").and_then(|text| text.parse().ok()).unwrap_or(20_u64);
    let round = round.clamp(1, 1000) * 1_000_000;
    let slots = start.lines().filter_map(|(key, _)| key.strip_prefix("managed.")?.parse().ok());
    let weights = start.config("weights").unwrap_or_default().split(',');
    let weights = weights.map(|text| text.trim().parse().unwrap_or(1)).chain(core::iter::repeat(1));
    let scheduler = Scheduler::new(Client::new(Trap, wiring::kernel), round, slots.zip(weights));
    let mut server = Server { scheduler, round };
    server.bits(BIT_TIMER);
    serve(Trap, &mut server)
}

rt::main!(run);

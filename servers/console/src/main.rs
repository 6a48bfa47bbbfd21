//! The console's main: its ring, its port, its writers, and the operator's side of the supervisor.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::kernel::control::Shutdown;
use abi::kernel::port;
use abi::{Answer, Call};
use console::{Console, Next, Operator, Source, Terminal};
use ipc::manage::Action;
use ipc::serve::{Serve, serve};
use ipc::status::Snapshot;

ipc::wiring! {
    serves { 0 => ipc::console }
    clients 2;
    needs { status: ipc::status, operator: ipc::operator }
    ports { ring: Console }
    device "console";
    stack 16;
    heap 48;
}

/// The operator, through the supervisor.
struct Supervisor;

impl Operator for Supervisor {
    fn snapshot(&mut self) -> Option<Snapshot> {
        let length = ipc::status::Client::new(rt::Trap, wiring::status.handle).snapshot().ok()?;
        Snapshot::read(rt::need(wiring::status).down, length)
    }

    fn act(&mut self, slot: u16, action: Action) -> bool {
        ipc::operator::Client::new(rt::Trap, wiring::operator.handle).act(slot, action).is_ok()
    }

    fn shutdown(&mut self, reason: Shutdown) -> bool {
        ipc::operator::Client::new(rt::Trap, wiring::operator.handle).shutdown(reason).is_ok()
    }
}

/// The console as a server: it is woken by bits alone.
struct Server(Console<rt::Trap, Supervisor>);

impl Serve for Server {
    fn bits(&mut self, _: u64) {
        match self.0.turn(&rt::Trap, rt::clock::now()) {
            Next::At(time) => rt::timer(time),
            Next::Bit => {}
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }
}

/// The ring, unless there is none or it makes no sense.
fn ring() -> Option<xen::console::Console> {
    if rt::start().config("console") == Some("absent") {
        return None;
    }
    // The toolstack's channel: open already if another incarnation was here before.
    let _ = port::Client::new(rt::Trap, wiring::ring.handle).open();
    xen::console::Console::open(rt::device_page()).ok()
}

fn run() -> ! {
    let terminal = Terminal::new(rt::Trap, wiring::ring.handle, ring());
    let writers = (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n));
    let sources = writers.filter(|wire| !wire.up.is_empty()).map(Source::new).collect();
    let mut server = Server(Console::new(terminal, sources, Supervisor));
    server.bits(0);
    serve(rt::Trap, &mut server)
}

rt::main!(run; no log);

//! The console's main: its ring, its port, its writers, and the operator's side of the supervisor.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::kernel::control::Shutdown;
use abi::kernel::port;
use abi::{Answer, Call, CallError};
use console::{Console, Next, Operator, Saved, Source, Swapped, Terminal};
use ipc::manage::Action;
use ipc::serve::Serve;
use ipc::state::{Damaged, Full, Reader, Writer};
use ipc::status::Snapshot;

ipc::wiring! {
    serves { 0 => ipc::console }
    clients 2;
    needs { status: ipc::status, operator: ipc::operator }
    ports { ring: Console }
    device "console";
    stack 16;
    heap 48;
    state { console::Screen, console::Line, console::Waiting }
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

    fn swap(&mut self, slot: u16, image: u64) -> Result<(), &'static str> {
        use ipc::operator::Error;
        let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
        operator.swap(slot, image).map_err(|refused| match refused {
            CallError::Refused(Error::NoSuchImage) => "no such image was packed",
            CallError::Refused(Error::NotRunning) => "it does not run",
            CallError::Refused(Error::Supervisor) => "the supervisor cannot be swapped",
            CallError::Refused(_) => self.swapped(slot).map_or("refused", |it| it.reason.text()),
            CallError::Status(_) | CallError::Protocol => "the supervisor gave no answer",
        })
    }

    fn swapped(&mut self, slot: u16) -> Option<Swapped> {
        let operator = ipc::operator::Client::new(rt::Trap, wiring::operator.handle);
        let (outcome, reason, _, stopped, bytes) = operator.swap_outcome(slot).ok()?;
        let (built, quiesced, adopted, committed, proved) = operator.swap_steps(slot).ok()?;
        let steps = [built, quiesced, adopted, committed, proved];
        Some(Swapped { outcome, reason, stopped, bytes, steps })
    }

    fn shutdown(&mut self, reason: Shutdown) -> bool {
        ipc::operator::Client::new(rt::Trap, wiring::operator.handle).shutdown(reason).is_ok()
    }
}

/// The console as a server: it is woken by bits alone. Its rings are opened at the first turn: a successor's are not its own
/// before.
enum Server {
    /// A successor that has not taken over.
    Adopted(Saved),
    /// One that serves.
    Open(Console<rt::Trap, Supervisor>),
}

impl Server {
    /// The console, opened if it is not yet.
    fn console(&mut self) -> Option<&mut Console<rt::Trap, Supervisor>> {
        if matches!(self, Self::Adopted(_))
            && let Self::Adopted(saved) = core::mem::replace(self, Self::Open(open()))
            && let Self::Open(console) = self
        {
            console.resume(saved);
        }
        match self {
            Self::Open(console) => Some(console),
            Self::Adopted(_) => None,
        }
    }
}

impl Serve for Server {
    fn bits(&mut self, _: u64) {
        let console = self.console();
        if let Some(Next::At(time)) = console.map(|it| it.turn(&rt::Trap, rt::clock::now())) {
            rt::timer(time);
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        match self {
            Self::Adopted(saved) => saved.save(to),
            Self::Open(console) => console.save(to),
        }
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

/// The console with its rings.
fn open() -> Console<rt::Trap, Supervisor> {
    let terminal = Terminal::new(rt::Trap, wiring::ring.handle, ring());
    let writers = (0..wiring::NUMBERS.clients).map(|n| rt::client(wiring::NUMBERS, n));
    let sources = writers.filter(|wire| !wire.up.is_empty()).map(Source::new).collect();
    Console::new(terminal, sources, Supervisor)
}

fn fresh() -> Server {
    let mut server = Server::Open(open());
    server.bits(0);
    server
}

fn adopt(state: Reader<'_>) -> Result<Server, Damaged> {
    Saved::read(state).map(Server::Adopted)
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run; no log);

//! The log's main: its sources by the manifest, its sink by what the domain has.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::trap::BIT_TIMER;
use abi::{Answer, Call};
use ipc::serve::Serve;
use ipc::state::{Damaged, Full, Reader, Writer};
use log::state::Told;
use log::{ConsoleSink, Left, Log, Source, Tapped};

ipc::wiring! {
    serves { 0 => ipc::log }
    clients 128;
    needs { console: ipc::console optional, keeper: ipc::console optional }
    stack 16;
    heap 32;
    state { log::state::Told }
}

/// Where the lines go.
type Sink = Tapped<ConsoleSink<rt::Trap, fn(&[u8])>, rt::Trap>;

/// The log as a server: it is woken by bits alone. Its rings are opened at the first turn: a successor's are not its own
/// before.
struct Server {
    log: Option<Log<Sink>>,
    /// What its predecessor told.
    told: Told,
}

impl Serve for Server {
    fn bits(&mut self, bits: u64) {
        let log = self.log.get_or_insert_with(|| {
            let mut log = open();
            log.resume(&self.told);
            log
        });
        if log.turn(bits & !BIT_TIMER) == Left::Lines {
            // Wake up at once, but take what else came meanwhile.
            rt::timer(1);
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        to.put(&self.log.as_ref().map_or_else(|| self.told.clone(), Log::told))
    }
}

/// Clients are named by lines `client.NUMBER=NAME`.
fn sources() -> impl Iterator<Item = Source> {
    rt::start().lines().filter_map(|(key, name)| {
        let number = key.strip_prefix("client.")?.parse().ok()?;
        Some(Source::new(name, rt::client(wiring::NUMBERS, number)))
    })
}

/// The log with its rings.
fn open() -> Log<Sink> {
    let start = rt::start();
    let wire = rt::need(wiring::console);
    let has_console = start.config("console") != Some("absent") && !wire.up.is_empty();
    let prints = !has_console || start.config("debug") == Some("true");
    let debug: Option<fn(&[u8])> = prints.then_some(|line| {
        rt::debug(line);
    });
    let sink = ConsoleSink::new(rt::Trap, has_console.then_some(wire), debug);
    let keeper = rt::need(wiring::keeper);
    let sink = Tapped::new(sink, rt::Trap, (!keeper.up.is_empty()).then_some(keeper));
    Log::new(sources().collect(), sink)
}

fn fresh() -> Server {
    let mut server = Server { log: None, told: Told { next: 0, sources: Default::default() } };
    server.bits(0);
    server
}

fn adopt(state: Reader<'_>) -> Result<Server, Damaged> {
    Ok(Server { log: None, told: state.one()?.ok_or(Damaged)? })
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run; no log);

//! The log's main: its sources by the manifest, its sink by what the domain has.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::trap::BIT_TIMER;
use abi::{Answer, Call};
use ipc::serve::{Serve, serve};
use log::{ConsoleSink, Left, Log, Sink, Source, Tapped};

ipc::wiring! {
    serves { 0 => ipc::log }
    clients 128;
    needs { console: ipc::console optional, keeper: ipc::console optional }
    stack 16;
    heap 32;
}

/// The log as a server: it is woken by bits alone.
struct Server<S>(Log<S>);

impl<S: Sink> Serve for Server<S> {
    fn bits(&mut self, bits: u64) {
        if self.0.turn(bits & !BIT_TIMER) == Left::Lines {
            // Wake up at once, but take what else came meanwhile.
            rt::timer(1);
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }
}

/// Clients are named by lines `client.NUMBER=NAME`.
fn sources() -> impl Iterator<Item = Source> {
    rt::start().lines().filter_map(|(key, name)| {
        let number = key.strip_prefix("client.")?.parse().ok()?;
        Some(Source::new(name, rt::client(wiring::NUMBERS, number)))
    })
}

fn run() -> ! {
    let start = rt::start();
    let wire = rt::need(wiring::console);
    let has_console = start.config("console") != Some("absent") && !wire.up.is_empty();
    let prints = !has_console || start.config("debug") == Some("true");
    let debug = prints.then_some(|line: &[u8]| {
        rt::debug(line);
    });
    let sink = ConsoleSink::new(rt::Trap, has_console.then_some(wire), debug);
    let keeper = rt::need(wiring::keeper);
    let sink = Tapped::new(sink, rt::Trap, (!keeper.up.is_empty()).then_some(keeper));
    let mut server = Server(Log::new(sources().collect(), sink));
    server.bits(0);
    serve(rt::Trap, &mut server)
}

rt::main!(run; no log);

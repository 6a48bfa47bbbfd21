//! The smallest server: it says hello, and counts the seconds since.
//!
//! Invariant: between two lines it waits. It serves nobody, and hands its count and the time of its next line to a successor.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::{Answer, Call};
use ipc::serve::Serve;
use ipc::state::{Damaged, Full, Reader, Writer};

ipc::wiring! {
    needs { log: ipc::log }
    state { Hello }
}

/// One second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

ipc::state! {
    /// The server, which is nothing but its state.
    pub struct Hello: "hello.hello" {
        /// Seconds that were counted.
        pub seconds: u64,
        /// When the next line is due, in nanoseconds since boot.
        pub next: u64,
    }
}

impl Serve for Hello {
    /// The time says whether a line is due: a successor begins with all bits set.
    fn bits(&mut self, _: u64) {
        let now = rt::clock::now();
        if now >= self.next {
            rt::log!("hello, {} s", self.seconds);
            self.seconds += 1;
            self.next = now + SECOND;
        }
        rt::timer(self.next);
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }

    fn save(&self, to: &mut Writer) -> Result<(), Full> {
        to.put(self)
    }
}

fn fresh() -> Hello {
    let mut hello = Hello { seconds: 0, next: 0 };
    hello.bits(0);
    hello
}

fn adopt(state: Reader<'_>) -> Result<Hello, Damaged> {
    state.one()?.ok_or(Damaged)
}

fn run() -> ! {
    rt::serve(fresh, adopt)
}

rt::main!(run);

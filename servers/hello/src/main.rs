//! The smallest server: it says hello, and counts the seconds since.
//!
//! Invariant: between two lines it waits. It serves nobody.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

use abi::{Answer, Call};
use ipc::serve::{Serve, serve};

ipc::wiring! {
    needs { log: ipc::log }
}

/// One second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

struct Hello {
    seconds: u64,
}

impl Serve for Hello {
    fn bits(&mut self, _: u64) {
        rt::log!("hello, {} s", self.seconds);
        self.seconds += 1;
        rt::timer(rt::clock::now() + SECOND);
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }
}

fn run() -> ! {
    let mut hello = Hello { seconds: 0 };
    hello.bits(0);
    serve(rt::Trap, &mut hello)
}

rt::main!(run);

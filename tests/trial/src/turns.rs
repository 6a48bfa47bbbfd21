//! Who runs: priorities behind an answer, and floods.

use abi::kernel::control::HandleKind::{Bell, Wire};

use crate::roles::{caller, calls, echo, notifies, sleeper, waker};
use crate::servers::{Server, next};
use crate::{Verdict, only};

/// While a high server answers a low client, one between them has become ready: it runs before the client does.
pub fn middle(board: u16) -> Verdict {
    let middle = Server::new(81, 20, None, board);
    let high = Server::new(82, 30, Some((Bell, 81)), board);
    let low = Server::new(83, 10, Some((Wire, 82)), board);
    middle.start(sleeper, 1);
    high.start(waker, 0);
    low.start(caller, 2);
    let (first, second) = (next().message, next().message);
    only((first.label, second.label) == (1, 2), "the client reported first")?;
    only(first.words[2] < second.words[2], "the client ran first")?;
    [middle, high, low].iter().for_each(Server::destroy);
    Ok(())
}

/// How often each of the two below asks.
const TIMES: u64 = 4_000;

/// One floods a server with bits and another with calls: all calls are answered, and both come to their end.
pub fn floods(board: u16) -> Verdict {
    let server = Server::new(84, 20, None, board);
    let bits = Server::new(85, 10, Some((Bell, 84)), board);
    let client = Server::new(86, 10, Some((Wire, 84)), board);
    server.start(echo, 0);
    client.start(calls, TIMES);
    bits.start(notifies, TIMES);
    let (mut called, mut notified) = (0, 0);
    for _ in 0..2 {
        let message = next().message;
        *(if message.label == 1 { &mut called } else { &mut notified }) = message.words[0];
    }
    only((called, notified) == (TIMES, TIMES), "some were lost")?;
    [server, bits, client].iter().for_each(Server::destroy);
    Ok(())
}

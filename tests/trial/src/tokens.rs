//! Tokens, queues and chains of calls: who is answered, by whom, once.

use abi::Status;
use abi::kernel::control::HandleKind::Wire;
use abi::kernel::control::ThreadState;
use abi::{Answer, Handle, Message, Token, Traps};

use rt::Trap;

use crate::roles::{asker, caller, echo, forger, relay};
use crate::servers::{Server, answer, control, must, next, quiet};
use crate::{Verdict, only};

/// A moment, in nanoseconds, in which others get far.
const MOMENT: u64 = 30_000_000;

/// The second answer with a token, and one with the token of an earlier call, answer nothing.
pub fn once(board: u16) -> Verdict {
    let client = Server::new(1, 10, None, board);
    client.start(asker, 5);
    let first = next();
    answer(first.token, 6);
    answer(first.token, 7);
    let second = next();
    only(second.message.label == 6, "the second answer came through")?;
    answer(first.token, 8);
    only(quiet(MOMENT), "an old token answered a new call")?;
    only(client.state() == ThreadState::Awaiting, "the client does not wait")?;
    answer(second.token, 9);
    let third = next();
    only(third.message.label == 9, "the right answer did not come through")?;
    // The same generation, made up for another kind and for another thread.
    for wrong in [third.token.bits() ^ 0x100, third.token.bits() ^ 1 << 32] {
        answer(Token::from_bits(wrong), 10);
    }
    only(quiet(MOMENT), "a token that was made up answered")?;
    client.destroy();
    answer(third.token, 11);
    Ok(())
}

/// A server cannot answer what another took, nor twice what it took itself.
pub fn forged(board: u16) -> Verdict {
    let server = Server::new(2, 20, None, board);
    let victim = Server::new(3, 10, None, board);
    let client = Server::new(4, 10, Some((Wire, 2)), board);
    victim.start(asker, 1);
    let held = next();
    server.start(forger, 0);
    client.start(caller, 3);
    let forging = next();
    // The token that the supervisor holds, told to the one who took another call.
    let told = Message::new(0, [held.token.bits(), 0, 0, 0, 0]);
    Trap.reply(Answer { token: forging.token, message: told });
    for _ in 0..2 {
        let Message { label, words } = next().message;
        only(label != 666, "a foreign token answered")?;
        only(label == 2 || words[..2] == [0, 3], "the client got another answer than its own")?;
    }
    only(victim.state() == ThreadState::Awaiting, "the victim does not wait")?;
    [server, victim, client].iter().for_each(Server::destroy);
    Ok(())
}

/// A call that was cancelled is over: its token does not answer the next.
pub fn cancelled(board: u16) -> Verdict {
    let client = Server::new(5, 10, None, board);
    client.start(asker, 5);
    let first = next();
    only(must(control().thread_cancel(client.number), "a cancel"), "there was no call")?;
    let second = next();
    only(second.message.label == 0, "a cancelled call has an answer")?;
    answer(first.token, 7);
    only(quiet(MOMENT), "the token of a cancelled call answered")?;
    answer(second.token, 8);
    only(next().message.label == 8, "the next call got no answer")?;
    client.destroy();
    Ok(())
}

/// Of three who wait in a queue the middle one dies: the others are served, and it is not.
pub fn queue(board: u16) -> Verdict {
    let server = Server::new(6, 20, None, board);
    let clients: [Server; 3] =
        core::array::from_fn(|at| Server::new(7 + at as u16, 10, Some((Wire, 6)), board));
    for (label, client) in (10..).zip(&clients) {
        client.start(caller, label);
    }
    let queued = |client: &Server| client.state() == ThreadState::Queued;
    for _ in 0..100 {
        only(quiet(MOMENT), "a call was answered by nobody")?;
        if clients.iter().all(queued) {
            break;
        }
    }
    only(clients.iter().all(queued), "they do not queue")?;
    clients[1].destroy();
    server.start(echo, 0);
    let mut labels = 0;
    for _ in 0..2 {
        let Message { label, words } = next().message;
        only(words[..2] == [Status::Ok as u64, label + 1], "a wrong answer")?;
        labels |= 1 << label;
    }
    only(labels == 1 << 10 | 1 << 12, "another was served")?;
    only(quiet(MOMENT), "the dead one was served")?;
    [server, clients[0], clients[2]].iter().for_each(Server::destroy);
    Ok(())
}

/// Who called through three servers dies while the last of them works: all go on, and serve the next.
pub fn deep(board: u16) -> Verdict {
    let last = Server::new(10, 40, None, board);
    let middle = Server::new(11, 30, Some((Wire, 10)), board);
    let first = Server::new(12, 20, Some((Wire, 11)), board);
    let clients: [Server; 2] =
        core::array::from_fn(|at| Server::new(13 + at as u16, 10, Some((Wire, 12)), board));
    last.install(Handle(2), Wire, 0);
    for server in [first, middle, last] {
        server.start(relay, 0);
    }
    clients[0].start(caller, 1);
    let held = next();
    clients[0].destroy();
    clients[1].start(caller, 2);
    only(quiet(MOMENT), "a server took a call while it was in one")?;
    answer(held.token, 0);
    let second = next();
    only(second.message.label == 2, "the next call did not get through")?;
    answer(second.token, 0);
    let report = next();
    only(report.message.words[..2] == [Status::Ok as u64; 2], "it was not answered")?;
    [last, middle, first, clients[1]].iter().for_each(Server::destroy);
    Ok(())
}

/// A server dies while its client is in a call of another: each learns it, the inner one first.
pub fn chain(board: u16) -> Verdict {
    let inner = Server::new(15, 40, Some((Wire, 0)), board);
    let outer = Server::new(16, 30, Some((Wire, 15)), board);
    let client = Server::new(17, 10, Some((Wire, 16)), board);
    inner.start(relay, 0);
    outer.start(relay, 0);
    client.start(caller, 1);
    let held = next();
    inner.destroy();
    let report = next();
    only(report.message.label == 1, "another reported")?;
    let [status, inner_status, ..] = report.message.words;
    only(status == Status::Ok as u64, "the outer one did not answer")?;
    only(inner_status == Status::Restarted as u64, "the outer one did not learn it")?;
    answer(held.token, 9);
    // And both at once.
    let inner = inner.again(Some((Wire, 0)), board);
    inner.start(relay, 0);
    outer.destroy();
    let outer = outer.again(Some((Wire, 15)), board);
    outer.start(relay, 0);
    client.start(caller, 2);
    let reset = next();
    only(reset.message.words[0] == Status::Reset as u64, "the wire does not tell of a new server")?;
    client.start(caller, 3);
    let held = next();
    inner.destroy();
    outer.destroy();
    let report = next();
    only(report.message.words[0] == Status::Restarted as u64, "the client did not learn it")?;
    answer(held.token, 9);
    client.destroy();
    Ok(())
}

/// Clients of the trial below.
const SIXTY: usize = 60;

/// Sixty calls are taken and answered in another order: each client gets its own words.
pub fn sixty(board: u16) -> Verdict {
    let clients: [Server; SIXTY] =
        core::array::from_fn(|at| Server::new(20 + at as u16, 10, Some((Wire, 0)), board));
    let mut held = [None; SIXTY];
    for (at, client) in clients.iter().enumerate() {
        client.start(caller, at as u64);
    }
    for _ in 0..SIXTY {
        let event = next();
        let place = held.get_mut(event.message.label as usize).ok_or("a call of nobody")?;
        only(place.replace(event).is_none(), "a call came twice")?;
    }
    // 7 and 60 have no common divisor: each once, in an order of its own.
    for at in (0..SIXTY).map(|at| at * 7 % SIXTY) {
        let event = held[at].ok_or("a call did not come")?;
        let message = Message::new(event.message.label, [1000 + at as u64; 5]);
        Trap.reply(Answer { token: event.token, message });
        let report = next();
        let [status, label, _, word, _] = report.message.words;
        only(report.message.label == at as u64, "another client came back")?;
        only([status, label, word] == [0, at as u64, 1000 + at as u64], "a word of another's")?;
    }
    for client in &clients {
        client.destroy();
    }
    Ok(())
}

//! Servers killed and made again in a loop by vCPU 0 while clients call them flat out: on their own vCPU, where nothing but
//! an event stops the quick path, and from others. No call is lost, none is taken twice.
//!
//! It stands for the commit of a swap, which there is not yet: there the queue would stay, here it answers `Reset`.

use crate::board::{Of, Word};
use crate::roles::Role;
use crate::stage::{Player, Stage, US, sleep};
use crate::{fail, rounds, tell};

/// Plays it.
pub fn play(stage: &Stage) {
    let mut servers = [stage.player(1, 40, 0, 0, 0), stage.player(2, 40, 1, 0, 0)];
    for server in &servers {
        server.start(Role::Echo);
    }
    // Far from the first; beside the second; far from the second.
    let clients = [(3, 1, 1), (4, 1, 2), (5, 2, 2)]
        .map(|(slot, vcpu, to)| stage.player(slot, 10, vcpu, to, 0));
    for client in &clients {
        client.start(Role::Caller);
    }
    for round in 0..rounds(100) {
        sleep((500 + stage.board.random(0, 6000)) * US);
        let server = &mut servers[(round % 2) as usize];
        server.kill();
        server.revive(stage);
        server.start(Role::Echo);
    }
    stage.board.set(Word::Stop, 1);
    for client in &clients {
        let waits = || client.state() == abi::kernel::control::ThreadState::Waiting;
        stage.until("the clients have their answers", waits);
    }
    judge(stage, &clients);
    for server in &servers {
        let clients = clients.iter().filter(|client| client.wire() == server.slot);
        served(stage, server, clients);
    }
}

fn judge(stage: &Stage, clients: &[Player]) {
    for client in clients {
        let of = |word| stage.board.of(client.slot, word);
        let [done, ok, reset, restarted] = [Of::Done, Of::Ok, Of::Reset, Of::Restarted].map(of);
        tell(format_args!(
            "crowd: {done} calls from slot {}: {ok} answered, {reset} reset, {restarted} restarted",
            client.slot
        ));
        if done != ok + reset + restarted || of(Of::Wrong) != 0 || of(Of::Twice) != 0 {
            fail(format_args!(
                "{} wrong answers, {} taken twice, {} failed",
                of(Of::Wrong),
                of(Of::Twice),
                of(Of::Failed)
            ));
        }
        if ok == 0 || reset + restarted == 0 {
            fail(format_args!("slot {} saw nothing of it", client.slot));
        }
    }
}

/// A call that was answered was taken, and one that was taken was answered or the client knows that it may not have been.
fn served<'p>(stage: &Stage, server: &Player, clients: impl Iterator<Item = &'p Player>) {
    let (mut least, mut most) = (0, 0);
    for client in clients {
        let ok = stage.board.of(client.slot, Of::Ok);
        least += ok;
        most += ok + stage.board.of(client.slot, Of::Restarted);
    }
    let served = stage.board.of(server.slot, Of::Served);
    if !(least..=most).contains(&served) {
        fail(format_args!("{served} calls were taken, not {least} to {most}"));
    }
}

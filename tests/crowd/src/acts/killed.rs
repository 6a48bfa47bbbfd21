//! Clients killed in the middle of a queue, and three calls deep; servers in between killed, too. Server and clients are on
//! different vCPUs. Those who live get their answers, in order; those who serve for a dead one pay for themselves.

use abi::Status;
use abi::kernel::control::ThreadState;

use crate::board::{Of, Word};
use crate::roles::{Role, failed};
use crate::stage::{MS, Player, Stage, sleep};
use crate::{fail, rounds};

/// Plays it.
pub fn play(stage: &Stage) {
    let [first, second] = [(1, 1), (6, 0)].map(|(slot, vcpu)| Queue::new(stage, slot, vcpu));
    let mut queues = [first, second];
    let mut chain = Chain::new(stage, queues[0].server.slot);
    for round in 1..=rounds(12) {
        for queue in &mut queues {
            queue.round(stage, round);
        }
        chain.round(stage, round);
    }
}

/// A server and four clients, none of them on its vCPU.
struct Queue {
    server: Player,
    clients: [Player; 4],
}

impl Queue {
    fn new(stage: &Stage, slot: u16, vcpu: u16) -> Self {
        let server = stage.player(slot, 40, vcpu, 0, 0);
        server.start(Role::Holder);
        let others = stage.vcpus - 1;
        let client = |number: u16| {
            let elsewhere = vcpu + 1 + number % others;
            // The later, the more urgent.
            stage.player(slot + 1 + number, 10 + number as u8, elsewhere, slot, 0)
        };
        Self { server, clients: [0, 1, 2, 3].map(client) }
    }

    /// The first is served; of the three that wait the one in the middle is killed.
    fn round(&mut self, stage: &Stage, round: u64) {
        let board = stage.board;
        let [first, waiting @ ..] = &mut self.clients;
        let before = board.get(Word::Traced);
        board.set(Word::Held, 0);
        board.set(Word::Hold, 1);
        ask(stage, first, round * 10);
        stage.until("a call is held", || board.get(Word::Held) != 0);
        for client in waiting.iter() {
            ask(stage, client, round * 10 + u64::from(client.slot));
        }
        for client in waiting.iter() {
            stage.until("all wait", || client.state() == ThreadState::Queued);
        }
        waiting[1].kill();
        board.set(Word::Hold, 0);
        let [low, killed, high] = waiting;
        for client in [&*first, low, high] {
            stage.until("all are answered", || client.state() == ThreadState::Waiting);
        }
        stage.until("the server waits", || self.server.state() == ThreadState::Waiting);
        let served = [0, 1, 2].map(|at| board.traced(before + at));
        let expected = [&*first, high, low].map(|client| u64::from(client.slot));
        if board.get(Word::Traced) != before + 3 || served != expected {
            fail(format_args!("served were {served:?}, not {expected:?}"));
        }
        for client in [&*first, low, high] {
            let (label, result) =
                (board.of(client.slot, Of::Label), board.of(client.slot, Of::Result));
            if label != result {
                fail(format_args!("{label} was answered by {result:#x}"));
            }
            client.stop();
        }
        killed.revive(stage);
    }
}

fn ask(stage: &Stage, client: &Player, label: u64) {
    stage.board.set_of(client.slot, Of::Label, label);
    stage.board.set_of(client.slot, Of::Result, 0);
    client.start(Role::Once);
}

/// A client, two servers in between, and the one that holds.
struct Chain {
    client: Player,
    low: Player,
    high: Player,
    last: u16,
}

impl Chain {
    fn new(stage: &Stage, last: u16) -> Self {
        let high = stage.player(11, 30, 0, last, 0);
        let low = stage.player(12, 20, 3, high.slot, 0);
        let client = stage.player(13, 15, 2, low.slot, 0);
        high.start(Role::Middle);
        low.start(Role::Middle);
        Self { client, low, high, last }
    }

    fn round(&mut self, stage: &Stage, round: u64) {
        let board = stage.board;
        board.set(Word::Held, 0);
        board.set(Word::Hold, 1);
        ask(stage, &self.client, round * 10 + 1);
        stage.until("a call is held", || board.get(Word::Held) != 0);
        for player in [&self.client, &self.low, &self.high] {
            stage.until("all wait", || player.state() == ThreadState::Awaiting);
        }
        match round % 3 {
            0 => self.client_dies(stage),
            1 => self.server_dies(stage),
            _ => self.nobody_dies(stage, round),
        }
    }

    fn client_dies(&mut self, stage: &Stage) {
        self.client.kill();
        let paid = |slot| crate::stage::must(crate::stage::control().account_read(slot), "it").2;
        let before = (paid(self.last), self.client.paid());
        sleep(2 * MS);
        self.release(stage);
        let after = (paid(self.last), self.client.paid());
        if after.0 < before.0 + MS || after.1 != before.1 {
            fail(format_args!("who serves a dead client pays {before:?} {after:?}"));
        }
        self.client.revive(stage);
    }

    fn server_dies(&mut self, stage: &Stage) {
        self.low.kill();
        stage.until("the client knows", || self.client.state() == ThreadState::Waiting);
        let result = stage.board.of(self.client.slot, Of::Result);
        if result != failed(Status::Restarted) {
            fail(format_args!("the client of a dead server learns {result:#x}"));
        }
        self.release(stage);
        self.client.kill();
        self.low.revive(stage);
        self.low.start(Role::Middle);
        self.client.revive(stage);
    }

    fn nobody_dies(&mut self, stage: &Stage, round: u64) {
        self.release(stage);
        stage.until("the client is answered", || self.client.state() == ThreadState::Waiting);
        let result = stage.board.of(self.client.slot, Of::Result);
        if result != round * 10 + 1 {
            fail(format_args!("{} was answered by {result:#x}", round * 10 + 1));
        }
        self.client.stop();
    }

    /// The call that is held is answered.
    fn release(&self, stage: &Stage) {
        stage.board.set(Word::Hold, 0);
        stage.until("all have answered", || self.high.state() == ThreadState::Waiting);
    }
}

//! Clients stopped again and again by vCPU 0 while they call flat out on other vCPUs, on the quick path, which does not ask
//! whether the thread that traps may run: they stand still, and the server answers the next.

use abi::kernel::control::ThreadState;

use crate::board::Of;
use crate::roles::Role;
use crate::stage::{Stage, US, sleep};
use crate::{fail, rounds};

/// Plays it.
pub fn play(stage: &Stage) {
    let server = stage.player(1, 40, 1, 0, 0);
    server.start(Role::Echo);
    let clients = [2, 3].map(|slot| stage.player(slot, 10, 1, server.slot, 0));
    for round in 0..rounds(200) {
        let [first, second] = &clients;
        let client = if round % 2 == 0 { first } else { second };
        let before = stage.board.of(client.slot, Of::Ok);
        client.start(Role::Caller);
        stage.until("it is answered", || stage.board.of(client.slot, Of::Ok) > before);
        sleep(stage.board.random(0, 3_000) * US);
        client.stop();
        let done = stage.board.of(client.slot, Of::Done);
        sleep(500 * US);
        let still = stage.board.of(client.slot, Of::Done) == done;
        if !still || client.state() != ThreadState::Stopped {
            fail(format_args!("slot {} goes on: {:?}", client.slot, client.state()));
        }
    }
}

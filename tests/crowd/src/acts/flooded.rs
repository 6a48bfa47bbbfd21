//! Notifications without end from one vCPU, calls without end from another: the server takes both.

use crate::board::{Of, Word};
use crate::roles::Role;
use crate::stage::{MS, Stage, sleep};
use crate::{fail, rounds, tell};

/// How much more often one may be taken than the other. Bits come together, calls one by one, and an emulator with one thread
/// lets each vCPU run alone for a while.
const RATIO: u64 = 200;

/// Plays it.
pub fn play(stage: &Stage) {
    let server = stage.player(1, 40, 0, 0, 0);
    let flooder = stage.player(2, 10, 1, 0, server.slot);
    // On two vCPUs, caller and flooder take turns.
    let caller = stage.player(3, 10, 2 + stage.vcpus % 2, server.slot, 0);
    let beside = stage.player(4, 10, 1, server.slot, 0);
    server.start(Role::Echo);
    flooder.start(Role::Flooder);
    caller.start(Role::Caller);
    beside.start(Role::Caller);
    for _ in 0..rounds(40) {
        sleep(100 * MS);
    }
    stage.board.set(Word::Stop, 1);
    flooder.kill();
    let of = |word| stage.board.of(server.slot, word);
    let (calls, bits) = (of(Of::Served), of(Of::Bits));
    tell(format_args!("crowd: {calls} calls taken, {bits} waits ended by bits"));
    if calls < 100 || bits < 100 || calls > bits * RATIO || bits > calls * RATIO {
        fail(format_args!("one of them starved"));
    }
    for client in [&caller, &beside] {
        let [ok, wrong] = [Of::Ok, Of::Wrong].map(|word| stage.board.of(client.slot, word));
        if ok < 20 || wrong != 0 {
            fail(format_args!("slot {}: {ok} answers, {wrong} wrong ones", client.slot));
        }
    }
}

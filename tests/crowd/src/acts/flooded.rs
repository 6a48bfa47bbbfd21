//! Notifications without end from one vCPU, calls without end from another: the server takes both.

use crate::board::{Of, Word};
use crate::roles::Role;
use crate::stage::{MS, Stage, sleep};
use crate::{fail, rounds, tell};

/// How much more often one may be taken than the other. Bits come together, calls one by one, and an emulator that has fewer
/// processors than the domain lets each vCPU run alone for a while.
const RATIO: u64 = 1_000;
/// Lengths of time in which neither may get anywhere, of all.
const STALLS: u64 = 10;

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
    let of = |word| stage.board.of(server.slot, word);
    let (count, mut stalls, mut before) = (rounds(20), 0, (0, 0));
    for _ in 0..count {
        sleep(200 * MS);
        let now = (of(Of::Served), of(Of::Bits));
        stalls += u64::from(now.0 == before.0 || now.1 == before.1);
        before = now;
    }
    stage.board.set(Word::Stop, 1);
    flooder.kill();
    let (calls, bits) = (of(Of::Served), of(Of::Bits));
    tell(format_args!("crowd: {calls} calls taken, {bits} waits ended by bits"));
    if stalls > count / STALLS || calls > bits * RATIO || bits > calls * RATIO {
        fail(format_args!("one of them starved: nothing for {stalls} of {count} times"));
    }
    for client in [&caller, &beside] {
        let [ok, wrong] = [Of::Ok, Of::Wrong].map(|word| stage.board.of(client.slot, word));
        if ok < 20 || wrong != 0 {
            fail(format_args!("slot {}: {ok} answers, {wrong} wrong ones", client.slot));
        }
    }
}

//! What happens inside one vCPU, on the quick path, while the others do something else: sleep, or enter the kernel all the time.
//! A thread that the wrong vCPU is told of, or that the core takes for one that does not run, never goes on.

use super::lost::watch;
use crate::board::Of;
use crate::roles::Role;
use crate::stage::{MS, Player, Stage, sleep};
use crate::{fail, rounds, tell};

/// For how long calls are watched at least, in nanoseconds.
const LENGTH: u64 = 3_000 * MS;
/// Notifications to and fro that must happen for each time that the first vCPU wakes.
const LEAST: u64 = 10;

/// Plays it.
pub fn play(stage: &Stage) {
    asleep(stage);
    busy(stage);
}

/// Two on the last vCPU that notify each other, one more urgent than the other, while all other vCPUs sleep most of the time.
fn asleep(stage: &Stage) {
    let last = stage.vcpus - 1;
    let ping = stage.player(1, 30, last, 0, 0);
    let pong = stage.player(2, 20, last, 0, ping.slot);
    ping.ring(pong.slot);
    pong.start(Role::Pong);
    ping.start(Role::Ping);
    let naps = rounds(20);
    for _ in 0..naps {
        sleep(50 * MS);
    }
    let done = stage.board.of(ping.slot, Of::Done);
    tell(format_args!("crowd: {done} notifications to and fro within {naps} naps"));
    if done < naps * LEAST {
        fail(format_args!("they wait for a vCPU that has nothing to do with them"));
    }
    [ping, pong].iter().for_each(Player::kill);
}

/// Calls inside each of two vCPUs, interrupted again and again: one may enter the kernel at any moment of a call on the other,
/// and be the last that came before the other does.
fn busy(stage: &Stage) {
    let [first, second] = [(3, 0), (6, 1)].map(|(slot, vcpu)| {
        stage.player(slot, 40, vcpu, 0, 0).start(Role::Echo);
        stage.player(slot + 1, 10, vcpu, slot, 0).start(Role::Caller);
        stage.player(slot + 2, 30, vcpu, 0, 0).start(Role::Napper);
        [slot + 1, slot + 2]
    });
    let [[a, b], [c, d]] = [first, second];
    watch(stage, [a, b, c, d], LENGTH);
}

//! Wake-ups at the worst moment: a notification from another vCPU between a server's last look at its inbox and its parking,
//! and a timer that rings while its vCPU goes to sleep. One that is lost ends a sequence that never ends otherwise.

use rt::clock::now as time;

use crate::board::Of;
use crate::roles::Role;
use crate::stage::{MS, Player, Stage, sleep};
use crate::{fail, rounds, tell};

/// How long each part is played at least, in nanoseconds.
const LENGTH: u64 = 6_000 * MS;
/// How many rounds each has to make at least, unless the command line says more.
const LEAST: u64 = 20;
/// Tenths of a second for which nothing may happen.
const PATIENCE: u32 = 100;

/// Plays it.
pub fn play(stage: &Stage) {
    // Two pairs that are alone on their vCPUs, as far as there are any, and one on one vCPU.
    let pairs = [(1, 0, 1), (3, 2, 3), (5, 1, 1)];
    let watched = pairs.map(|(slot, ..)| slot);
    let players = pairs.map(|(slot, from, to)| {
        let ping = stage.player(slot, 20, from, 0, 0);
        let pong = stage.player(slot + 1, 20, to, 0, slot);
        ping.ring(slot + 1);
        pong.start(Role::Pong);
        ping.start(Role::Ping);
        [ping, pong]
    });
    watch(stage, watched, LENGTH);
    players.iter().flatten().for_each(Player::kill);
    let napper = stage.player(7, 30, stage.vcpus - 1, 0, 0);
    napper.start(Role::Napper);
    watch(stage, [napper.slot], LENGTH);
}

/// Sees to it that all that are watched go on, until they have done enough and some time has passed. How much they do in
/// it depends on how many processors the emulator gets: a round takes two sleeps of a vCPU.
pub fn watch<const N: usize>(stage: &Stage, watched: [u16; N], length: u64) {
    let (enough, end) = (rounds(LEAST), time() + length);
    let mut before = [0; N];
    loop {
        // An emulator may stand still for a while.
        for _ in 0..PATIENCE {
            sleep(100 * MS);
            let now = watched.map(|slot| stage.board.of(slot, Of::Done));
            if now.iter().zip(before).all(|(now, before)| *now != before) {
                break;
            }
        }
        let now = watched.map(|slot| stage.board.of(slot, Of::Done));
        if now.iter().zip(before).any(|(now, before)| *now == before) {
            fail(format_args!("a wake-up was lost: {before:?} {now:?}"));
        }
        before = now;
        if now.iter().all(|done| *done >= enough) && time() >= end {
            tell(format_args!("crowd: {now:?} wake-ups, none lost"));
            return;
        }
    }
}

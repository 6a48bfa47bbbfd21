//! Figures: calls per second of one, two and four pairs, each on a vCPU of its own, and the time of a round trip on one vCPU
//! and to another. `crowd: NAME VALUE`.

use crate::board::{Of, Word};
use crate::roles::Role;
use crate::stage::{MS, Player, Stage, sleep};
use crate::{rounds, tell};

/// How often each is measured.
const TIMES: usize = 5;

/// Plays it.
pub fn play(stage: &Stage) {
    let length = rounds(300) * MS;
    let most = stage.vcpus.min(4);
    let servers: [Option<Player>; 4] =
        core::array::from_fn(|at| player(stage, most, at, |at| (1 + at, 40, at, 0)));
    let clients: [Option<Player>; 4] =
        core::array::from_fn(|at| player(stage, most, at, |at| (5 + at, 10, at, 1 + at)));
    for server in servers.iter().flatten() {
        server.start(Role::Echo);
    }
    for count in [1, 2, 4].into_iter().filter(|count| *count <= most) {
        let pairs = clients.iter().flatten().take(count.into());
        let (least, middle, greatest) = measure(stage, pairs, length);
        tell(format_args!("crowd: pairs_{count} {middle} {least} {greatest}"));
    }
    if most > 1 {
        let far = stage.player(9, 10, 0, 2, 0);
        let (least, middle, greatest) = measure(stage, core::iter::once(&far), length);
        tell(format_args!("crowd: far_calls {middle} {least} {greatest}"));
    }
}

type Describe = fn(u16) -> (u16, u8, u16, u16);

fn player(stage: &Stage, most: u16, at: usize, describe: Describe) -> Option<Player> {
    let at = at as u16;
    let (slot, priority, vcpu, wire) = describe(at);
    (at < most).then(|| stage.player(slot, priority, vcpu, wire, 0))
}

/// Calls per second: the least, the median, the most of some times.
fn measure<'p>(
    stage: &Stage,
    pairs: impl Iterator<Item = &'p Player> + Clone,
    length: u64,
) -> (u64, u64, u64) {
    let mut rates = [0; TIMES];
    let calls = || pairs.clone().map(|client| stage.board.of(client.slot, Of::Ok)).sum::<u64>();
    stage.board.set(Word::Stop, 0);
    pairs.clone().for_each(|client| client.start(Role::Caller));
    sleep(length / 4);
    for rate in &mut rates {
        let (start, before) = (rt::clock::now(), calls());
        sleep(length);
        let (time, done) = (rt::clock::now() - start, calls() - before);
        *rate = done * 1_000 * MS / time.max(1);
    }
    stage.board.set(Word::Stop, 1);
    pairs.for_each(|client| client.stop());
    rates.sort_unstable();
    let [least, _, middle, _, most] = rates;
    (least, middle, most)
}

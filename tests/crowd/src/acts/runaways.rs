//! Servers that run away, at many priorities, each with a budget: each gets its share and no more; who is less urgent than all of them
//! is kept waiting no longer than their budgets allow; who is more urgent is woken as if they were not there.

use super::accounts::{Limit, Share, tell_times};
use crate::board::{Of, Word};
use crate::roles::Role;
use crate::stage::{MS, Player, Stage, US, sleep};
use crate::{fail, rounds, tell};

/// As many priorities as fit, each with a twentieth of the time.
pub fn every_priority(stage: &Stage) {
    let limit = Limit { budget: MS, period: 20 * MS };
    play::<8>(stage, limit, |number| 20 + 28 * number as u8);
}

/// Sixty-four accounts with the smallest budget: two in three parts of the time.
pub fn many(stage: &Stage) {
    let limit = Limit { budget: 100 * US, period: 10 * MS };
    play::<64>(stage, limit, |number| 20 + 3 * number as u8);
}

fn play<const COUNT: usize>(stage: &Stage, limit: Limit, priority: impl Fn(usize) -> u8) {
    let runaways: [Player; COUNT] = core::array::from_fn(|number| {
        let player = stage.player(3 + number as u16, priority(number), 0, 0, 0);
        limit.set(&player);
        player
    });
    let urgent = stage.player(1, 240, 0, 0, 0);
    let below = stage.player(2, 5, 0, 0, 0);
    below.start(Role::Spinner);
    urgent.start(Role::Waker);
    for runaway in &runaways {
        runaway.start(Role::Runaway);
    }
    let shares: [Share; COUNT] = core::array::from_fn(|at| Share::new(&runaways[at], limit));
    sleep(rounds(10) * 1_000 * MS);
    stage.board.set(Word::Stop, 1);
    judge(&shares);
    runaways.iter().for_each(Player::stop);
    sleep(50 * MS);
    tell_times(stage, &urgent, "woken late by");
    tell_times(stage, &below, "did not run for");
    let late = stage.board.of(urgent.slot, Of::Percentile);
    let [exact, bound] = [0, late].map(|late| limit.longest_interference(COUNT as u64, late));
    tell(format_args!(
        "crowd: the least urgent waits at most {} us by the budgets, {} us with interrupts that are late",
        exact / US,
        bound / US
    ));
    if stage.board.of(below.slot, Of::Percentile) > bound {
        fail(format_args!("the least urgent waits longer"));
    }
}

/// Each had its share. Few may owe so much that this cannot be seen yet: those that ran when the emulator stood still.
fn judge(shares: &[Share]) {
    let (mut most, mut sum, mut settled) = (0, 0, 0);
    for spent in shares.iter().filter_map(|share| share.settled(0)) {
        settled += 1;
        most = most.max(spent.off());
        sum += spent.paid * 1_000 / spent.time.max(1);
        if spent.off() > 20 || !spent.is_near_full() {
            fail(format_args!("{spent:?}"));
        }
    }
    tell(format_args!(
        "crowd: {settled} of {} accounts settled: {sum} per mille of the time used, off by {most} per mille of what was granted at most",
        shares.len()
    ));
    if settled < shares.len() * 3 / 4 {
        fail(format_args!("too many owe time"));
    }
}

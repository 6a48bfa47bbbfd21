//! Who pays for a server: its caller, through servers in between, and itself once the caller is dead.

use super::accounts::{Limit, Share, tell_times};
use crate::board::{Of, Word};
use crate::roles::{Role, SERVICE};
use crate::stage::{MS, Player, Stage, US, sleep};
use crate::{fail, rounds, tell};

/// A client of a tenth of a millisecond calls a server that takes a whole one: it gets no more than its share in the long run, and
/// another client hardly notices.
pub fn small(stage: &Stage) {
    let server = stage.player(1, 40, 0, 0, 0);
    let small = stage.player(2, 10, 0, server.slot, 0);
    let other = stage.player(3, 20, 0, server.slot, 0);
    server.start(Role::Slow);
    let alone = measure(stage, &other, || ());
    let limit = Limit { budget: 100 * US, period: 20 * MS };
    limit.set(&small);
    small.start(Role::Caller);
    let share = Share::new(&small, limit);
    let beside = measure(stage, &other, || keeps_to(&share, &server));
    tell(format_args!("crowd: the other's p99 is {} us alone, {} us beside it", alone, beside));
    if stage.board.of(other.slot, Of::Failed) != 0 {
        fail(format_args!("a call failed"));
    }
}

/// The 99th percentile of a client's calls, in microseconds; what is done while it still calls.
fn measure(stage: &Stage, client: &Player, last: impl FnOnce()) -> u64 {
    stage.board.set(Word::Stop, 0);
    client.start(Role::TimedCaller);
    sleep(rounds(4) * 1_000 * MS);
    last();
    stage.board.set(Word::Stop, 1);
    sleep(100 * MS);
    client.stop();
    tell_times(stage, client, "is answered after");
    stage.board.of(client.slot, Of::Percentile) / US
}

/// It had its share and no more, and the server paid nothing itself.
fn keeps_to(share: &Share, server: &Player) {
    let Some(spent) = share.settled(SERVICE) else {
        fail(format_args!("it owes time: {:?}", share.spent()));
    };
    tell(format_args!(
        "crowd: paid {} us, granted {} us, could have {} us; the server itself {} us",
        spent.paid / US,
        spent.granted / US,
        spent.full / US,
        server.paid() / US
    ));
    // The call that is not paid back yet.
    let open = SERVICE * 1_000 / spent.granted.max(1);
    if spent.off() > 20 + open || !spent.is_near_full() {
        fail(format_args!("{spent:?}"));
    }
}

/// The same through a server in between, which pays nothing either.
pub fn nested(stage: &Stage) {
    let server = stage.player(1, 40, 0, 0, 0);
    let middle = stage.player(2, 30, 0, server.slot, 0);
    let client = stage.player(3, 10, 0, middle.slot, 0);
    let below = stage.player(4, 5, 0, 0, 0);
    let limit = Limit { budget: MS, period: 10 * MS };
    limit.set(&client);
    server.start(Role::Slow);
    middle.start(Role::Middle);
    below.start(Role::Spinner);
    let share = Share::new(&client, limit);
    client.start(Role::TimedCaller);
    sleep(rounds(5) * 1_000 * MS);
    keeps_to(&share, &server);
    let (paid, own) = (client.paid(), server.paid() + middle.paid());
    if own > paid / 10 {
        fail(format_args!("servers paid {own} themselves, their client {paid}"));
    }
    if below.paid() < paid * 5 {
        fail(format_args!("who is below had {} of the rest", below.paid()));
    }
}

/// A client dies while a server runs on its account: the server, which has a budget too, pays itself and rests, others run, and all
/// who waited are answered.
pub fn killed(stage: &Stage) {
    let server = stage.player(1, 40, 0, 0, 0);
    let mut client = stage.player(2, 10, 0, server.slot, 0);
    let waiting = stage.player(3, 15, 0, server.slot, 0);
    let below = stage.player(4, 5, 0, 0, 0);
    let limit = Limit { budget: MS, period: 10 * MS };
    limit.set(&server);
    limit.set(&client);
    server.start(Role::Holder);
    for round in 1..=rounds(20) {
        let board = stage.board;
        board.set(Word::Held, 0);
        board.set(Word::Hold, 1);
        board.set_of(client.slot, Of::Label, round);
        client.start(Role::Once);
        stage.until("a call is held", || board.get(Word::Held) != 0);
        board.set_of(waiting.slot, Of::Label, round);
        board.set_of(waiting.slot, Of::Result, 0);
        waiting.start(Role::Once);
        below.start(Role::Runaway);
        client.kill();
        let before = [&client, &server, &below].map(Player::paid);
        sleep(50 * MS);
        let after = [&client, &server, &below].map(Player::paid);
        let [dead, own, rest] = [0, 1, 2].map(|at| after[at] - before[at]);
        if dead != 0 || own < MS || rest < own {
            fail(format_args!("dead {dead}, the server {own}, below {rest}"));
        }
        below.stop();
        board.set(Word::Hold, 0);
        stage.until("who waited is answered", || board.of(waiting.slot, Of::Result) == round);
        waiting.stop();
        client.revive(stage);
    }
}

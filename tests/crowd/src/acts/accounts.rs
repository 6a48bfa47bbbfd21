//! What the acts about accounts have in common: limits, and what was spent of them.

use crate::board::Of;
use crate::stage::{MS, Player, Stage, US, control, must, sleep};
use crate::tell;

/// What an account may use.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// CPU time in each period, in nanoseconds.
    pub budget: u64,
    /// In nanoseconds.
    pub period: u64,
}

impl Limit {
    /// Sets it.
    pub fn set(self, player: &Player) {
        must(control().account_set(player.slot, self.budget, self.period), "a limit");
    }

    /// The longest time for which `count` accounts of this limit can keep a less urgent server from running, in nanoseconds: each
    /// spends its budget at most as often as the time has periods, begun ones counted, and once more, and what it overdraws
    /// because the interrupt that ends its turn is `late`.
    pub fn longest_interference(self, count: u64, late: u64) -> u64 {
        let mut time = 0u64;
        for _ in 0..1_000 {
            let next = count * ((time.div_ceil(self.period) + 1) * self.budget + late);
            if next == time {
                break;
            }
            time = next;
        }
        time
    }
}

/// An account from some time on.
pub struct Share {
    slot: u16,
    limit: Limit,
    start: u64,
    paid: u64,
    granted: u64,
}

/// What was spent since then; times in nanoseconds.
#[derive(Debug)]
pub struct Spent {
    /// By whom.
    #[expect(dead_code, reason = "told by Debug")]
    slot: u16,
    /// How long that was.
    pub time: u64,
    /// What was used.
    pub paid: u64,
    /// What was given.
    pub granted: u64,
    /// What could have been given.
    pub full: u64,
}

fn read(slot: u16) -> (u64, u64) {
    let (_, _, paid, granted, _) = must(control().account_read(slot), "an account");
    (paid, granted)
}

impl Share {
    /// From here on.
    pub fn new(player: &Player, limit: Limit) -> Self {
        let (paid, granted) = read(player.slot);
        Self { slot: player.slot, limit, start: rt::clock::now(), paid, granted }
    }

    /// What was spent so far.
    pub fn spent(&self) -> Spent {
        let (paid, granted) = read(self.slot);
        let time = rt::clock::now() - self.start;
        let full = time / self.limit.period * self.limit.budget;
        let (paid, granted) = (paid - self.paid, granted - self.granted);
        Spent { slot: self.slot, time, paid, granted, full }
    }

    /// The same, when it owes no more than a call of `longest`: a server runs on while an emulator stands still, and pays that
    /// back later. `None` if it owes more for long.
    pub fn settled(&self, longest: u64) -> Option<Spent> {
        for _ in 0..100 {
            let spent = self.spent();
            if spent.paid <= spent.granted + self.limit.budget + longest {
                return Some(spent);
            }
            sleep(10 * MS);
        }
        None
    }
}

impl Spent {
    /// By how much it is not what was granted, in thousandths.
    pub fn off(&self) -> u64 {
        self.paid.abs_diff(self.granted) * 1_000 / self.granted.max(1)
    }

    /// It got what it could have got, but for some periods.
    pub fn is_near_full(&self) -> bool {
        self.granted <= self.full + self.full / 20 && self.granted >= self.full / 2
    }
}

/// Tells what a server measured.
pub fn tell_times(stage: &Stage, player: &Player, what: &str) {
    let of = |word| stage.board.of(player.slot, word);
    let [p50, p99, most] = [Of::Median, Of::Percentile, Of::Longest].map(|word| of(word) / US);
    tell(format_args!(
        "crowd: slot {} {what} {p50} us p50, {p99} us p99, {most} us max ({} times)",
        player.slot,
        of(Of::Done)
    ));
}

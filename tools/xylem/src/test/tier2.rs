//! Tier 2: whole systems on the real domain 0, each on a private copy of the rig that is resumed from the one snapshot.
//!
//! Invariant: every case is counted once, whichever worker runs it. A case that fails leaves its evidence in a folder that
//! the message names, and the cases after it begin on a fresh copy.

mod address;
mod create;
mod fault;
mod files;
mod guest;
mod keep;
mod liar;
mod life;
mod load;
mod machine;
mod manage;
mod many;
mod packet;
mod ping;
mod poke;
mod restarts;
mod rude;
mod swap;
mod swaps;
mod systems;
mod ways;

use rig::{Cache, Silent};

use super::{Tally, check, failed, parallel};
use crate::failure::Result;
use crate::ui::Screen;
use fault::Outcome;
use machine::Machine;
use systems::Systems;

/// Copies of the rig at the same time: each is one thread of the host.
const AT_A_TIME: usize = 2;

/// One thing that is tested.
#[derive(Clone, Copy)]
struct Case {
    /// Its name, which a filter looks at.
    name: &'static str,
    /// Tests it.
    run: fn(&Machine<'_>) -> Outcome,
}

/// Cases that can follow one another on one copy of the rig.
type Group = &'static [Case];

const fn case(name: &'static str, run: fn(&Machine<'_>) -> Outcome) -> Case {
    Case { name, run }
}

/// All cases; groups that take longest come first.
const GROUPS: &[Group] = &[
    &[
        case("liar-states", liar::states),
        case("liar-replaced", liar::replaced),
        case("liar-rings", liar::rings),
        case("liar-facts", liar::facts),
    ],
    &[
        case("idle-domain", life::idle),
        case("pause", life::pause),
        case("reboot", life::reboot),
        case("shutdown", life::shutdown),
        case("shutdown-typed", life::typed_shutdown),
        case("create-again", life::again),
        case("nmis", life::nmis),
        case("panic", life::panic),
    ],
    &[
        case("rude-slow-heads", rude::slowloris),
        case("rude-silence", rude::silent),
        case("rude-half-open", rude::half_open),
        case("rude-oversized", rude::oversized),
        case("rude-pipelined", rude::pipelined),
        case("rude-garbage", rude::garbage),
    ],
    &[case("restarts", restarts::each)],
    &[
        case("manage-rude", manage::rude),
        case("manage-ps", manage::ps),
        case("manage-log", manage::log),
        case("manage-restart", manage::restart),
        case("manage-crash", manage::crash),
    ],
    &[case("five-domains", many::five)],
    &[
        case("create", create::page),
        case("pings", ping::sizes),
        case("thousand-requests", load::thousand),
        case("requests-in-a-row", load::in_a_row),
    ],
    &[case("large-file", files::large)],
    &[case("run-on-rig", ways::rig), case("run-by-ssh", ways::ssh), case("run-on-xl", ways::xl)],
    &[
        case("address-of-manifest", address::of_manifest),
        case("address-of-words", address::of_words),
    ],
    &[case("swap", swap::page)],
    &[
        case("swap-httpd", swaps::httpd),
        case("swap-fs", swaps::fs),
        case("swap-console", swaps::console),
        case("swap-manage", swaps::manage),
    ],
    &[case("second-disk", files::written)],
    &[case("paged", files::paged)],
];

/// The filter that all cases pass.
const ALL: &str = "tier2";

/// Runs all cases whose name contains the filter.
///
/// # Errors
/// When the rig cannot be set up.
pub fn run(filter: Option<&str>) -> Result<Tally> {
    let filter = filter.filter(|filter| *filter != ALL);
    let wanted = |case: &&Case| filter.is_none_or(|filter| case.name.contains(filter));
    let choose = |group: &Group| group.iter().filter(wanted).copied().collect::<Vec<_>>();
    let groups: Vec<Vec<Case>> =
        GROUPS.iter().map(choose).filter(|cases| !cases.is_empty()).collect();
    if groups.is_empty() {
        return Ok(Tally::default());
    }
    let cache = Cache::open()?;
    rig::setup(&cache, &Screen::default())?;
    let systems = Systems::default();
    if filter.is_none() {
        systems.prepare();
    }
    Ok(parallel::each(&groups, AT_A_TIME, |group| in_turn(&cache, &systems, group)))
}

/// Runs cases on one copy of the rig, and on a fresh one after each failure.
fn in_turn(cache: &Cache, systems: &Systems, cases: &[Case]) -> Tally {
    let (mut tally, mut machine) = (Tally::default(), None);
    for case in cases {
        tally.add(check(case.name, || {
            failed::forget(case.name);
            let run = |machine: &mut _| tell(case, attempt(cache, systems, case, machine), machine);
            let is_good = match run(&mut machine) {
                Verdict::StoodStill => run(&mut machine) == Verdict::Good,
                verdict => verdict == Verdict::Good,
            };
            Tally::one(is_good)
        }));
    }
    tally
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    /// Bad, but this machine did not let the emulator run for a while, which looks to a domain as if one of its servers
    /// had not let go of the processor. Such an attempt is told and made again, once.
    StoodStill,
}

/// Tells of a failure and keeps what there is to be looked at; the copy of the rig goes.
fn tell(case: &Case, outcome: Outcome, machine: &mut Option<Machine<'_>>) -> Verdict {
    let Err(fault) = outcome else { return Verdict::Good };
    let machine = machine.take();
    let kept = keep::evidence(case.name, machine.as_ref());
    println!("{}: {fault}; {kept}", case.name);
    match machine.and_then(|machine| machine.stood_still()) {
        Some(line) => {
            println!("{}: domain 0 says `{line}`", case.name);
            Verdict::StoodStill
        }
        None => Verdict::Bad,
    }
}

fn attempt<'s>(
    cache: &Cache,
    systems: &'s Systems,
    case: &Case,
    machine: &mut Option<Machine<'s>>,
) -> Outcome {
    let machine = match machine {
        Some(machine) => machine,
        None => machine.insert(Machine::resume(cache, systems, &Silent)?),
    };
    (case.run)(machine)
}

#[cfg(test)]
mod tests {
    use super::GROUPS;

    #[test]
    fn names_are_given_once() {
        let mut names: Vec<_> = GROUPS.iter().copied().flatten().map(|case| case.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

//! `bench ipc`: the instructions of each trap, counted by QEMU while the domain runs under Xen (see [`counted`]).
//!
//! A loop of known length must count as what it is, or nothing is told. What an event costs is counted from outside
//! (`trace`). Counts are the same from run to run; a kernel or a server that was compiled otherwise has others.

use std::collections::BTreeMap;

use rig::{Cache, Progress};

use super::counted::{self, Counts};
use super::{Figure, trace};
use crate::args::Bench;
use crate::code::Costs;
use crate::failure::{Context, Failure, Result};
use crate::system;

/// Instructions of the loop of known length.
const LOOP: u32 = 2001;
/// A figure may be this much above what it was.
const TOLERANCE: f64 = 1.03;

/// A figure: its name, the goal, and what seL4 takes (x86_64, fast path, no KPTI, measured in the same way).
type Known = (&'static str, Option<f64>, Option<f64>);

const KNOWN: [Known; 17] = [
    ("call", Some(85.0), Some(184.0)),
    ("reply_wait", Some(90.0), Some(211.0)),
    ("round_trip", Some(175.0), Some(395.0)),
    ("round_trip_10_words", Some(300.0), Some(1572.0)),
    ("round_trip_4_kib", None, None),
    ("typed_call", None, None),
    ("deferred_reply", None, None),
    ("notify_higher", Some(250.0), Some(665.0)),
    ("notify_lower", Some(250.0), None),
    ("notify_busy", Some(250.0), None),
    ("event", Some(300.0), Some(355.0)),
    ("preemption", None, None),
    ("kernel_call", Some(250.0), None),
    ("switch", None, None),
    ("fault", None, None),
    ("pager", None, None),
    ("server", None, None),
];

/// The figures.
///
/// # Errors
/// Those of building and of the rig.
pub fn figures(args: &Bench, progress: &dyn Progress) -> Result<Vec<Figure>> {
    let (counts, costs) = measure(args.verbose, progress)?;
    let figure = |(name, goal, rival): Known| {
        let [median, least, most] = counts.get(name).copied().unwrap_or_default().map(f64::from);
        let mut figure = Figure::new("ipc", name, "instructions", median).spread(least, most);
        if let Some(goal) = goal {
            figure = figure.goal(goal);
        }
        if let Some(rival) = rival {
            figure = figure.rival("seL4", rival);
        }
        figure
    };
    Ok(KNOWN.into_iter().map(figure).chain(costs.iter().flat_map(accesses)).collect())
}

/// What a path does, as figures.
fn accesses((path, costs): &(String, Costs)) -> [Figure; 4] {
    let Costs { loads, stores, serialising, exiting, .. } = *costs;
    [("loads", loads), ("stores", stores), ("serialising", serialising), ("exiting", exiting)]
        .map(|(what, count)| Figure::new("ipc", format!("{path}_{what}"), what, count as f64))
}

/// What is worse than it was when the figures were last written down; nothing if all is well.
///
/// # Errors
/// Those of building and of the rig.
pub fn worse(progress: &dyn Progress) -> Result<Vec<String>> {
    let file = system::root().join("tests/figures/ipc.toml");
    let text = std::fs::read_to_string(&file).context("read", &file)?;
    let before: BTreeMap<String, f64> = toml::from_str(&text)
        .map_err(|error| Failure::Manifest { text: format!("{}: {error}", file.display()) })?;
    Ok(compare(&before, &measure(false, progress)?.0))
}

fn compare(before: &BTreeMap<String, f64>, now: &BTreeMap<String, Counts>) -> Vec<String> {
    let told = |(name, _, _): &Known| {
        let count = now.get(*name).map_or(0.0, |[median, ..]| f64::from(*median));
        match before.get(*name) {
            Some(before) if count <= before * TOLERANCE => None,
            Some(before) => Some(format!("{name}: {count} instructions, and was {before}")),
            None => Some(format!("{name}: {count} instructions, and it is not known what it was")),
        }
    };
    KNOWN.iter().filter_map(told).collect()
}

/// All counts by name, and what some paths do.
pub type Measured = (BTreeMap<String, Counts>, Vec<(String, Costs)>);

/// Counts everything.
fn measure(is_verbose: bool, progress: &dyn Progress) -> Result<Measured> {
    let packed = system::build_and_pack(&system::find("meter")?, is_verbose, progress)?;
    let cache = Cache::open()?;
    rig::setup(&cache, progress)?;
    let (events, costs) = trace::measure(&cache, &packed.kernel, &packed.image, progress)?;
    let sound = |counts: &BTreeMap<String, Counts>| is_sound(counts, &events);
    let counts = counted::measure("meter", &packed, &cache, is_verbose, sound)?;
    Ok((counts.into_iter().chain(events).collect(), costs))
}

/// A loop of known length has its length, and all figures are there, among the counts or the events.
fn is_sound(counts: &BTreeMap<String, Counts>, events: &BTreeMap<String, Counts>) -> bool {
    let length = counts.get("loop_2000").map(|[median, ..]| *median);
    let is_there = |name| {
        counts.get(name).or_else(|| events.get(name)).is_some_and(|[median, ..]| *median > 0)
    };
    length == Some(LOOP) && KNOWN.iter().all(|(name, ..)| is_there(*name))
}

#[cfg(test)]
mod tests {
    use super::{Counts, KNOWN, compare, is_sound};
    use std::collections::BTreeMap;

    fn counts(length: u32) -> BTreeMap<String, Counts> {
        let mut counts: BTreeMap<String, Counts> =
            KNOWN.map(|(name, ..)| (name.to_owned(), [100, 99, 3998])).into();
        counts.insert("loop_2000".into(), [length, 1, 1]);
        counts
    }

    #[test]
    fn nothing_is_told_if_a_loop_of_known_length_has_another_or_figures_are_missing() {
        assert!(is_sound(&counts(2001), &BTreeMap::new()));
        assert!(!is_sound(&counts(2002), &BTreeMap::new()));
        let event = BTreeMap::from([("fault".to_owned(), [1, 1, 1])]);
        let mut some = counts(2001);
        some.remove("fault");
        assert!(!is_sound(&some, &BTreeMap::new()));
        assert!(is_sound(&some, &event));
    }

    #[test]
    fn more_than_three_in_a_hundred_is_worse() {
        let now = counts(2001);
        let mut before: BTreeMap<String, f64> =
            KNOWN.iter().map(|(name, ..)| ((*name).to_owned(), 100.0)).collect();
        assert!(compare(&before, &now).is_empty());
        before.insert("call".into(), 97.0);
        before.remove("fault");
        let told = compare(&before, &now);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("call: 100 instructions, and was 97"), "{told:?}");
    }
}

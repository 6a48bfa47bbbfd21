//! `bench ipc`: the instructions of each trap, counted by QEMU while the domain runs under Xen.
//!
//! With `-icount shift=0` QEMU's time goes on by one nanosecond an instruction, and the time-stamp counter with it; Xen passes
//! it on as it is. The system `meter` reads it before and after each trap, 1,000 times. What a reading takes (`clock`, the
//! same window with nothing in it) is subtracted; there is no loop inside a window. A loop of known length must count as
//! what it is, or nothing is told.
//!
//! What an event costs is counted from outside (`trace`).
//!
//! Counts are the same from run to run; a kernel or a server that was compiled otherwise has others.

use std::collections::BTreeMap;
use std::time::Duration;

use rig::direct::{self, Boot};
use rig::{Cache, Progress};

use super::{Figure, trace};
use crate::args::Bench;
use crate::code::Costs;
use crate::failure::{Context, Failure, Result};
use crate::system;

/// What the run may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Instructions of the loop of known length.
const LOOP: u32 = 2001;
/// A figure may be this much above what it was.
const TOLERANCE: f64 = 1.03;

/// A figure: its name, the goal, and what seL4 takes (x86_64, fast path, no KPTI, measured in the same way).
type Known = (&'static str, Option<f64>, Option<f64>);

const KNOWN: [Known; 16] = [
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
    ("server", None, None),
];

/// Median, least and most of a figure's samples.
pub type Counts = [u32; 3];

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

/// Counts everything; what a reading of the counter takes is subtracted.
fn measure(is_verbose: bool, progress: &dyn Progress) -> Result<Measured> {
    let packed = system::build_and_pack(&system::find("meter")?, is_verbose, progress)?;
    let cache = Cache::open()?;
    rig::setup(&cache, progress)?;
    let mut boot = Boot::of(&packed.kernel);
    boot.image = Some(&packed.image);
    boot.machine = boot.machine.counting();
    let mut lines = Vec::new();
    direct::run(&cache, &boot, LIMIT, |line| {
        if is_verbose {
            eprintln!("{line}");
        }
        lines.push(line.to_owned());
    })?;
    let (events, costs) = trace::measure(&cache, &packed.kernel, &packed.image, progress)?;
    let counts = read(&lines, events).ok_or_else(|| strange(&lines))?;
    Ok((counts, costs))
}

fn strange(lines: &[String]) -> Failure {
    let said: Vec<&str> =
        lines.iter().filter_map(|line| line.split_once("meter: ")).map(|it| it.1).collect();
    Failure::Strange { who: "meter", what: "the count".into(), text: said.join("; ") }
}

/// All counts that the lines tell, and those of events; if a loop of known length has its length.
fn read(lines: &[String], events: BTreeMap<String, Counts>) -> Option<BTreeMap<String, Counts>> {
    let raw: BTreeMap<String, Counts> = lines.iter().filter_map(|line| figure(line)).collect();
    let [clock, ..] = *raw.get("clock")?;
    let without =
        |(name, counts): (String, Counts)| (name, counts.map(|count| count.saturating_sub(clock)));
    let counts: BTreeMap<String, Counts> = raw.into_iter().map(without).chain(events).collect();
    let sound = counts.get("loop_2000")?[0] == LOOP;
    let complete =
        KNOWN.iter().all(|(name, ..)| counts.get(*name).is_some_and(|[median, ..]| *median > 0));
    (sound && complete).then_some(counts)
}

/// A line `meter: NAME MEDIAN LEAST MOST`.
fn figure(line: &str) -> Option<(String, Counts)> {
    let mut words = line.split_once("meter: ")?.1.split_whitespace();
    let name = words.next()?.to_owned();
    let mut count = || words.next()?.parse().ok();
    Some((name, [count()?, count()?, count()?]))
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, compare, read};
    use std::collections::BTreeMap;

    fn lines(length: u32) -> Vec<String> {
        let mut lines = vec![
            "(d0) meter: clock 2 2 3".to_owned(),
            format!("(d0) meter: loop_2000 {length} 1 1"),
        ];
        lines.extend(KNOWN.map(|(name, ..)| format!("(d0) meter: {name} 102 101 4000")));
        lines
    }

    #[test]
    fn what_a_reading_takes_is_subtracted() {
        let counts = read(&lines(2003), BTreeMap::new()).unwrap();
        assert_eq!(counts["call"], [100, 99, 3998]);
    }

    #[test]
    fn nothing_is_told_if_a_loop_of_known_length_has_another() {
        assert!(read(&lines(2004), BTreeMap::new()).is_none());
        assert!(read(&lines(2003)[..9], BTreeMap::new()).is_none(), "figures are missing");
    }

    #[test]
    fn more_than_three_in_a_hundred_is_worse() {
        let now = read(&lines(2003), BTreeMap::new()).unwrap();
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

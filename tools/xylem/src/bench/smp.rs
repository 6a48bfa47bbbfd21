//! `bench smp`: calls of one, two and four pairs of client and server, each pair on a vCPU of its own, and the round trip to a
//! server on another vCPU, all in one run of the system `crowd`.
//!
//! QEMU has a thread for each processor of the machine here, and the host may have fewer: more pairs than the host has
//! processors share them, and cannot do more calls in the same time. Times in an emulator say nothing; ratios of one run do.

use std::collections::BTreeMap;
use std::time::Duration;

use rig::direct::{self, Boot};
use rig::{Cache, Progress};

use super::Figure;
use crate::args::Bench;
use crate::failure::{Failure, Result};
use crate::system;

/// What the run may take.
const LIMIT: Duration = Duration::from_secs(120);
/// vCPUs of the domain.
const VCPUS: u32 = 4;

/// Median, least and most of what was counted.
type Counts = [f64; 3];

/// The figures.
///
/// # Errors
/// Those of building and of the rig.
pub fn figures(args: &Bench, progress: &dyn Progress) -> Result<Vec<Figure>> {
    let lines = run(args.verbose, progress)?;
    read(&lines).ok_or_else(|| {
        let said = lines.iter().filter_map(|line| line.split_once("crowd: "));
        let text = said.map(|(_, text)| text).collect::<Vec<_>>().join("; ");
        Failure::Strange { who: "crowd", what: "the count".into(), text }
    })
}

fn run(is_verbose: bool, progress: &dyn Progress) -> Result<Vec<String>> {
    let packed = system::build_and_pack(&system::find("crowd")?, is_verbose, progress)?;
    let cache = Cache::open()?;
    rig::setup(&cache, progress)?;
    let mut boot = Boot::of(&packed.kernel);
    boot.image = Some(&packed.image);
    boot.arguments = "crowd=pairs rounds=1000";
    boot.vcpus = VCPUS;
    let mut lines = Vec::new();
    direct::run(&cache, &boot, LIMIT, |line| {
        if is_verbose {
            eprintln!("{line}");
        }
        lines.push(line.to_owned());
    })?;
    Ok(lines)
}

/// The figures that the lines tell, if they tell all.
fn read(lines: &[String]) -> Option<Vec<Figure>> {
    let counts: BTreeMap<&str, Counts> = lines.iter().filter_map(|line| figure(line)).collect();
    let of = |name: &str| counts.get(name).filter(|[_, least, _]| *least > 0.0);
    let (one, far) = (of("pairs_1")?, of("far_calls")?);
    let rate = |name: &str| Some(told(name, "calls/s", *of(name)?).higher());
    let by_one = |name, pairs: &str| {
        Some(told(name, "times one pair", of(pairs)?.map(|rate| rate / one[0])).higher())
    };
    // The fewer calls, the longer each takes.
    let [middle, least, most] = *far;
    let longer = [middle, most, least].map(|rate| one[0] / rate);
    Some(vec![
        rate("pairs_1")?,
        rate("pairs_2")?,
        rate("pairs_4")?,
        by_one("scale_2", "pairs_2")?,
        by_one("scale_4", "pairs_4")?,
        told("far_round_trip", "round trips on one vCPU", longer),
        told("lock_waits", "of 1000 times", [lock_waits(lines)?; 3]),
    ])
}

fn told(name: &str, unit: &'static str, [middle, least, most]: Counts) -> Figure {
    Figure::new("smp", name, unit, middle).spread(least, most)
}

/// A line `crowd: NAME MEDIAN LEAST MOST`.
fn figure(line: &str) -> Option<(&str, Counts)> {
    let mut words = line.split_once("crowd: ")?.1.split_whitespace();
    let name = words.next()?;
    let mut count = || words.next()?.parse().ok();
    Some((name, [count()?, count()?, count()?]))
}

/// How often the kernel's lock was taken only after a wait, of 1,000 times, the quick path left out.
fn lock_waits(lines: &[String]) -> Option<f64> {
    let line = lines.iter().find_map(|line| line.split_once("lock taken "))?.1;
    let numbers: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [at_once, waited, ..] = numbers[..] else { return None };
    Some(waited * 1000.0 / (at_once + waited))
}

#[cfg(test)]
mod tests {
    use super::read;

    const LINES: [&str; 5] = [
        "(d0) crowd: pairs_1 1000 900 1100",
        "(d0) crowd: pairs_2 1900 1800 2000",
        "(d0) crowd: pairs_4 2000 1900 2100",
        "(d0) crowd: far_calls 100 50 200",
        "(d0) crowd: lock taken 90 times at once and 10 times after a wait, 3 yields, 0 flushes",
    ];

    #[test]
    fn ratios_are_those_of_one_run() {
        let lines = LINES.map(String::from);
        let told: Vec<String> = read(&lines).unwrap().iter().map(super::Figure::json).collect();
        assert!(told[3].contains("\"scale_2\"") && told[3].contains("\"value\":1.9"), "{told:?}");
        assert!(told[5].contains("\"value\":10,\"low\":5,\"high\":20"), "{told:?}");
        assert!(told[6].contains("\"value\":100,"), "{told:?}");
    }

    #[test]
    fn nothing_is_told_if_something_is_missing() {
        for missing in 0..LINES.len() {
            let mut lines = LINES.map(String::from).to_vec();
            lines.remove(missing);
            assert!(read(&lines).is_none(), "without line {missing}");
        }
    }
}

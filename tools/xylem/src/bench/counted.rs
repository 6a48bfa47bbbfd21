//! Systems that count instructions: boots one with QEMU counting, and reads what its server tells.
//!
//! With `-icount shift=0` QEMU's time goes on by one nanosecond an instruction, and the time-stamp counter with it; Xen passes
//! it on as it is. The server reads it before and after what is counted, many times, with no loop inside a window, and tells
//! `[SERVER] NAME MEDIAN LEAST MOST` (`SERVER:` if there is no log). Invariant: what a reading takes (the figure `clock`) is subtracted from all.

use std::collections::BTreeMap;
use std::time::Duration;

use rig::Cache;
use rig::direct::{self, Boot};

use crate::failure::{Failure, Result};
use crate::system::Packed;

/// What a run may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Median, least and most of a figure's samples.
pub type Counts = [u32; 3];

/// All figures of a packed system whose server of the name `system` counts, if `sound` thinks that they are right.
///
/// # Errors
/// Those of the rig; what the server said if that is not sound.
pub fn measure(
    system: &'static str,
    packed: &Packed,
    cache: &Cache,
    is_verbose: bool,
    sound: impl Fn(&BTreeMap<String, Counts>) -> bool,
) -> Result<BTreeMap<String, Counts>> {
    let lines = lines(packed, cache, is_verbose)?;
    read(system, &lines).filter(sound).ok_or_else(|| Failure::Strange {
        who: system,
        what: "the count".into(),
        text: lines.iter().filter_map(|line| said(system, line)).collect::<Vec<_>>().join("; "),
    })
}

fn lines(packed: &Packed, cache: &Cache, is_verbose: bool) -> Result<Vec<String>> {
    let mut boot = Boot::of(&packed.kernel);
    boot.image = Some(&packed.image);
    boot.machine = boot.machine.counting();
    let mut lines = Vec::new();
    direct::run(cache, &boot, LIMIT, |line| {
        if is_verbose {
            eprintln!("{line}");
        }
        lines.push(line.to_owned());
    })?;
    Ok(lines)
}

/// What a server said, of a line of the console.
fn said<'a>(server: &str, line: &'a str) -> Option<&'a str> {
    line.split_once(server)?.1.trim_start_matches([':', ']']).strip_prefix(' ')
}

/// All counts that the lines tell.
pub fn read(server: &str, lines: &[String]) -> Option<BTreeMap<String, Counts>> {
    let raw: BTreeMap<String, Counts> =
        lines.iter().filter_map(|line| counts(said(server, line)?)).collect();
    let [clock, ..] = *raw.get("clock")?;
    let without =
        |(name, counts): (String, Counts)| (name, counts.map(|count| count.saturating_sub(clock)));
    Some(raw.into_iter().map(without).collect())
}

/// A line `NAME MEDIAN LEAST MOST`.
fn counts(said: &str) -> Option<(String, Counts)> {
    let mut words = said.split_whitespace();
    let name = words.next()?.to_owned();
    let mut count = || words.next()?.parse().ok();
    Some((name, [count()?, count()?, count()?]))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_a_reading_takes_is_subtracted() {
        let lines =
            ["(d0) meter: clock 2 2 3", "(d0) [meter] call 102 101 4000", "(d0) meter: hello"];
        let counts = read("meter", &lines.map(String::from)).unwrap();
        assert_eq!(counts["call"], [100, 99, 3998]);
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn without_the_clock_nothing_is_told() {
        assert!(read("meter", &["(d0) meter: call 102 101 4000".to_owned()]).is_none());
    }
}

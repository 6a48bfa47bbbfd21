//! `bench http`: how fast the web system's front page is served, beside the same bytes from a Linux guest.
//!
//! Invariant: `ab` and `ping` run in dom0, on the bridge that both domains are on, against one domain at a time.
//! Xylem makes its page for each request; Linux (busybox httpd) serves a file that has the same bytes, and closes each
//! connection after it.

use super::ab::{self, Report};
use super::ground::{self, Ground, Guest};
use super::samples::Samples;
use super::status::LinuxStatus;
use super::{Figure, ping};
use crate::args::Bench;
use crate::failure::Result;
use crate::system;
use crate::ui::Screen;

/// One way of asking.
struct Load {
    /// In the figures' names.
    name: &'static str,
    at_once: u32,
    keeps_alive: bool,
    requests: u32,
}

const fn load(name: &'static str, at_once: u32, keeps_alive: bool, requests: u32) -> Load {
    Load { name, at_once, keeps_alive, requests }
}

const LOADS: [Load; 4] = [
    load("c1", 1, true, 200),
    load("c8", 8, true, 200),
    load("c64", 64, true, 320),
    load("c8_close", 8, false, 100),
];

/// Both domains under one load, once.
#[derive(Debug, Clone, Copy)]
struct Pair {
    ours: Report,
    theirs: Report,
}

/// The figures.
///
/// # Errors
/// Those of building and of the rig, and when a domain does not answer.
pub fn figures(args: &Bench, screen: &Screen) -> Result<Vec<Figure>> {
    let packed = ground::web(args, screen)?;
    let ground = Ground::open(screen)?;
    let (xylem, linux) = ground.both(&packed, screen)?;
    xylem.start(screen)?;
    let rival = linux.status::<LinuxStatus>(&linux.start(screen)?)?.title();
    let page = u32::try_from(xylem.front_page()?.len()).unwrap_or(u32::MAX);
    let (ours, theirs) = (round_trips(&ground, &xylem)?, round_trips(&ground, &linux)?);
    let mut figures = vec![
        Figure::new("http", "page_size", "bytes", f64::from(page)),
        ours.figure("http", "ping_rtt", "ms").rival(&rival, theirs.median()),
    ];
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let name = format!("http: round {round} of {}", args.rounds);
        rounds.push(system::quiet_phase(screen, &name, || all(&ground, &xylem, &linux))?);
    }
    for (at, load) in LOADS.iter().enumerate() {
        let pairs: Vec<Pair> = rounds.iter().filter_map(|round| round.get(at).copied()).collect();
        figures.extend(told(load, &pairs, &rival));
    }
    Ok(figures)
}

fn round_trips(ground: &Ground, guest: &Guest<'_>) -> Result<Samples> {
    let text = ground.run(&ping::command(guest.address()))?;
    ping::read(&text).ok_or_else(|| guest.strange("what ping said", &text))
}

/// Each load, against one domain and then the other.
fn all(ground: &Ground, xylem: &Guest<'_>, linux: &Guest<'_>) -> Result<Vec<Pair>> {
    let under = |load: &Load| {
        let (ours, theirs) = (report(ground, load, xylem)?, report(ground, load, linux)?);
        Ok(Pair { ours, theirs })
    };
    LOADS.iter().map(under).collect()
}

fn report(ground: &Ground, load: &Load, guest: &Guest<'_>) -> Result<Report> {
    let command = ab::command(&guest.front(), load.requests, load.at_once, load.keeps_alive);
    let text = ground.run(&command)?;
    ab::read(&text).ok_or_else(|| guest.strange("what ab said", &text))
}

fn told(load: &Load, pairs: &[Pair], rival: &str) -> Vec<Figure> {
    let both = |what: &str, unit, value: fn(&Report) -> f64| {
        let ours: Samples = pairs.iter().map(|pair| value(&pair.ours)).collect();
        let theirs: Samples = pairs.iter().map(|pair| value(&pair.theirs)).collect();
        ours.figure("http", format!("{what}_{}", load.name), unit).rival(rival, theirs.median())
    };
    vec![
        both("requests", "1/s", |report| report.rate).higher(),
        both("p50", "ms", |report| report.half),
        both("p99", "ms", |report| report.most),
        both("failed", "requests", |report| report.failed).goal(0.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_load_tells_rate_and_latency_of_both() {
        let report = |rate| Report { rate, half: 1000.0 / rate, most: 2000.0 / rate, failed: 0.0 };
        let pair = |rate| Pair { ours: report(rate), theirs: report(rate / 2.0) };
        let figures = told(&LOADS[1], &[pair(100.0), pair(200.0), pair(50.0)], "Linux");
        let expected = r#"{"bench":"http","name":"requests_c8","unit":"1/s","value":100,"low":50,"high":200,"better":"higher","rival":"Linux","rival_value":50}"#;
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&figures[0].json()), read(expected));
        assert_eq!(read(&figures[1].json())["rival_value"], 20);
        assert_eq!(figures[3].is_met(), Some(true));
    }
}

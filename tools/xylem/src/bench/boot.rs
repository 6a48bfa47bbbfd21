//! `bench boot`: what it takes until the web system answers, beside a Linux guest.
//!
//! Invariant: sizes are those of the files that are booted, times those of dom0's own clock, and both domains are asked by
//! the same script, in turns.

use std::path::Path;
use std::process::Command;

use super::Figure;
use super::ground::{self, Ground, Guest};
use super::moments::Moments;
use super::samples::Samples;
use super::status::{LinuxStatus, Status};
use crate::args::Bench;
use crate::failure::{Context, Failure, Result};
use crate::system::{self, Packed};
use crate::ui::Screen;

/// At most so many ms from the return of `xl create` to the first answer of the page.
const ANSWER_GOAL: f64 = 500.0;
/// At least so many times sooner than the Linux guest.
const SOONER_GOAL: f64 = 10.0;
/// At most so many bytes of kernel, without what only a debugger reads.
const KERNEL_GOAL: f64 = 131_072.0;
/// At most so many bytes of packed image.
const IMAGE_GOAL: f64 = 1_500_000.0;
/// At most so many bytes of memory for the domain.
const MEMORY_GOAL: f64 = 16_777_216.0;

/// Both domains, created once.
struct Round {
    ours: Moments,
    own: Status,
    theirs: Moments,
}

/// The figures.
///
/// # Errors
/// Those of building and of the rig, and when a domain does not answer.
pub fn figures(args: &Bench, screen: &Screen) -> Result<Vec<Figure>> {
    let packed = ground::web(args, screen)?;
    let ground = Ground::open(screen)?;
    let (xylem, linux) = ground.both(&packed, screen)?;
    let (mut rounds, mut rival) = (Vec::new(), None);
    for round in 1..=args.rounds {
        let name = format!("boot: round {round} of {}", args.rounds);
        let done = system::quiet_phase(screen, &name, || create(&xylem, &linux, screen))?;
        rival = Some(linux.status::<LinuxStatus>(&done.theirs)?);
        rounds.push(done);
    }
    let title = rival.as_ref().map_or_else(String::new, LinuxStatus::title);
    let mut figures = times(&rounds, &title);
    figures.extend(sizes(&packed)?);
    if let (Some(last), Some(rival)) = (rounds.last(), &rival) {
        let theirs = (linux.memory(), rival.used(linux.memory()));
        figures.extend(memory(&last.own, theirs, &title));
    }
    Ok(figures)
}

/// Creates one after the other, each on its own.
fn create(xylem: &Guest<'_>, linux: &Guest<'_>, screen: &Screen) -> Result<Round> {
    let ours = xylem.start(screen)?;
    xylem.end()?;
    let theirs = linux.start(screen)?;
    linux.end()?;
    Ok(Round { own: xylem.status(&ours)?, ours, theirs })
}

fn times(rounds: &[Round], rival: &str) -> Vec<Figure> {
    let both = |name, moment: fn(&Moments) -> f64| {
        let ours: Samples = rounds.iter().map(|round| moment(&round.ours)).collect();
        let theirs: Samples = rounds.iter().map(|round| moment(&round.theirs)).collect();
        ours.figure("boot", name, "ms").rival(rival, theirs.median())
    };
    let own = |name, moment: fn(&Round) -> f64| {
        rounds.iter().map(moment).collect::<Samples>().figure("boot", name, "ms")
    };
    let sooner: Samples =
        rounds.iter().map(|round| round.theirs.answered / round.ours.answered).collect();
    vec![
        both("create", |moments| -moments.begun),
        own("kernel_entry", Round::entry),
        own("servers_ready", |round| round.entry() + round.ready()),
        both("first_ping", |moments| moments.pinged),
        both("first_answer", |moments| moments.answered).goal(ANSWER_GOAL),
        sooner.figure("boot", "first_answer_sooner", "times").higher().goal(SOONER_GOAL),
        both("create_to_answer", |moments| moments.answered - moments.begun),
        own("entry_to_ready", Round::ready),
        own("entry_to_answer", |round| round.ours.answered - round.entry()),
    ]
}

impl Round {
    /// When the kernel was entered, in ms after `xl create` returned: the domain runs before that.
    fn entry(&self) -> f64 {
        self.ours.told - milliseconds(self.own.uptime_ns)
    }

    /// From the kernel's entry until all servers were ready.
    fn ready(&self) -> f64 {
        self.ours.ready_after.unwrap_or(f64::NAN)
    }
}

fn sizes(packed: &Packed) -> Result<Vec<Figure>> {
    let stripped = stripped(&packed.kernel)?;
    Ok(vec![
        size("kernel_size", stripped.path())?.goal(KERNEL_GOAL),
        size("image_size", &packed.image)?.goal(IMAGE_GOAL),
    ])
}

fn size(name: &str, file: &Path) -> Result<Figure> {
    let length = std::fs::metadata(file).context("look at", file)?.len();
    Ok(Figure::new("boot", name, "bytes", bytes(length)))
}

/// The kernel without symbols and debugging data, as `strip` leaves it.
fn stripped(kernel: &Path) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new().context("create a file in", std::env::temp_dir())?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(file.path()).arg(kernel);
    let said = strip.output().map_err(|source| Failure::Io {
        what: "run (it is in the package binutils)",
        path: "strip".into(),
        source,
    })?;
    if said.status.success() {
        return Ok(file);
    }
    let text = String::from_utf8_lossy(&said.stderr).trim().to_owned();
    Err(Failure::Strange { who: "strip", what: "what it said".into(), text })
}

/// `theirs`: what the rival was given, and what of it is not available.
fn memory(status: &Status, theirs: (u64, u64), rival: &str) -> Vec<Figure> {
    let figure = |name: String, amount: u64| Figure::new("boot", name, "bytes", bytes(amount));
    let used = status.memory_bytes.saturating_sub(status.free_bytes);
    let mut figures = vec![
        figure("memory_domain".into(), status.memory_bytes)
            .goal(MEMORY_GOAL)
            .rival(rival, bytes(theirs.0)),
        figure("memory_used".into(), used).rival(rival, bytes(theirs.1)),
        figure("memory_kernel".into(), status.kernel_bytes),
    ];
    figures.extend(status.servers.iter().map(|server| {
        figure(format!("memory_{}", server.name.replace('-', "_")), server.memory_bytes)
    }));
    figures
}

#[allow(clippy::cast_precision_loss)]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

#[allow(clippy::cast_precision_loss)]
fn bytes(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::status::Server;
    use super::*;

    fn status() -> Status {
        let servers = vec![Server { name: "stain-a".into(), memory_bytes: 8192 }];
        Status {
            uptime_ns: 350_000_000,
            memory_bytes: 16 << 20,
            free_bytes: 12 << 20,
            kernel_bytes: 4096,
            servers,
        }
    }

    fn moments(answered: f64) -> Moments {
        let (begun, pinged, told) = (-700.0, answered - 50.0, answered + 50.0);
        Moments { begun, pinged, answered, told, ready_after: Some(150.0), status: String::new() }
    }

    #[test]
    fn the_kernels_entry_is_found_from_its_uptime() {
        let round = Round { ours: moments(250.0), own: status(), theirs: moments(3000.0) };
        assert_eq!((round.entry(), round.ready()), (-50.0, 150.0));
        let figures = times(&[round], "Linux");
        let told: Vec<String> = figures.iter().map(Figure::json).collect();
        let has = |part: &str| told.iter().any(|line| line.contains(part));
        assert!(has(r#""name":"servers_ready","unit":"ms","value":100"#), "{told:?}");
        assert!(has(
            r#""name":"first_answer_sooner","unit":"times","value":12,"better":"higher","goal":10"#
        ));
        assert!(has(
            r#""name":"first_answer","unit":"ms","value":250,"goal":500,"rival":"Linux","rival_value":3000"#
        ));
    }

    #[test]
    fn memory_is_told_for_each_server_under_a_plain_name() {
        let figures = memory(&status(), (128 << 20, 90 << 20), "Linux");
        assert_eq!(figures.len(), 4);
        assert!(
            figures[1].json().contains(r#""name":"memory_used","unit":"bytes","value":4194304"#)
        );
        assert!(figures[3].json().contains(r#""name":"memory_stain_a""#));
    }
}

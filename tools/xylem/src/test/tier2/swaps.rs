//! Servers are swapped while they are used: no request fails, no file is broken, no line and no link is lost.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipc::manage::{Answer, From, Line, Request};

use sha2::{Digest, Sha256};

use super::fault::{Fault, Outcome, Step, ensure};
use super::files::Files;
use super::guest::Guest;
use super::machine::{Machine, Order};
use crate::link::Link;
use crate::swaps::{self, PLACE, Plan, Run, SCRIPT, percentile};

/// Swaps of a server in one case.
const COUNT: u32 = 20;
/// Bytes of the file that is fetched meanwhile.
const SIZE: usize = 1 << 20;
/// For all swaps of one server.
const LIMIT: Duration = Duration::from_secs(180);

/// The web server, for another one with another page, and back.
pub fn httpd(machine: &Machine<'_>) -> Outcome {
    let place = Place::new(machine)?;
    place.swap("httpd", &["httpd-alt", "httpd"]).map(drop)
}

/// The file system, with files open.
pub fn fs(machine: &Machine<'_>) -> Outcome {
    Place::new(machine)?.swap("fs", &[]).map(drop)
}

/// The console, which is told to do it itself.
pub fn console(machine: &Machine<'_>) -> Outcome {
    Place::new(machine)?.swap("console", &[]).map(drop)
}

/// The operator's link, with an operator at it who waits for lines of the log.
pub fn manage(machine: &Machine<'_>) -> Outcome {
    let place = Place::new(machine)?;
    let step = "the operator's link";
    let mut link = Link::open(machine.dom0(), Some(place.web.name())).step(step)?;
    let (first, _) = lines(&mut link, From::Last(1), 0)?;
    let first = first.last().map_or(0, |line| line.number + 1);
    let is_over = AtomicBool::new(false);
    let (swapped, told) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| follow(&mut link, first, &is_over));
        let swapped = place.swap("manage", &[]);
        is_over.store(true, Ordering::SeqCst);
        (swapped, reader.join())
    });
    swapped?;
    let told = told.map_err(|_| Fault::new(step, "its reader panicked"))??;
    let numbers: Vec<u64> = told.iter().map(|line| line.number).collect();
    let is_whole = numbers.iter().zip(first..).all(|(number, wanted)| *number == wanted);
    ensure(is_whole, "each line has the next number", || format!("{first}: {numbers:?}"))?;
    let swaps = told.iter().filter(|line| line.text.contains("manage is swapped to")).count();
    ensure(swaps == COUNT as usize, "no line is lost", || format!("{swaps} swaps are told"))
}

/// Reads lines of the log from a number on, in one session, until it is over and there are no more.
fn follow(link: &mut Link, first: u64, is_over: &AtomicBool) -> Outcome<Vec<Line>> {
    let (mut all, mut from) = (Vec::new(), first);
    loop {
        let was_over = is_over.load(Ordering::SeqCst);
        let (lines, next) = lines(link, From::Number(from), 500)?;
        if was_over && lines.is_empty() {
            return Ok(all);
        }
        all.extend(lines);
        from = next;
    }
}

fn lines(link: &mut Link, from: From, wait: u32) -> Outcome<(Vec<Line>, u64)> {
    let step = "lines of the log";
    match link.ask(&Request::Log { from, server: None, wait }).step(step)? {
        Answer::Log { lines, next } => Ok((lines, next)),
        other => Err(Fault::new(step, format!("{other:?}"))),
    }
}

/// The domain that a server is swapped in.
struct Place<'m> {
    machine: &'m Machine<'m>,
    web: Guest<'m>,
    /// Of the file on its disk.
    sum: String,
}

impl<'m> Place<'m> {
    /// The one that an earlier case has left, or a new one.
    fn new(machine: &'m Machine<'m>) -> Outcome<Self> {
        let files = Files::make(machine, SIZE)?;
        let content = fs::read(&files.large).step("the file")?;
        let sum = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        let web = match Guest::find(machine, "web-swap")? {
            Some(web) => web,
            None => machine.create(Order { disks: vec![files.disk()], ..Order::of("web-swap") })?,
        };
        web.page()?;
        let (mut script, size) = (SCRIPT.as_bytes(), SCRIPT.len() as u64);
        machine.dom0().write(&mut script, size, PLACE).step("the script of the swaps")?;
        Ok(Self { machine, web, sum })
    }

    /// Swaps a server again and again; nobody outside may notice.
    fn swap(&self, server: &str, images: &[&str]) -> Outcome<Run> {
        self.web.mark()?;
        let address = self.web.address()?;
        let (domain, sum) = (self.web.name(), Some(self.sum.as_str()));
        let plan = Plan { domain, address: &address, server, images, count: COUNT, sum };
        let step = format!("{COUNT} swaps of {server}");
        let start = Instant::now();
        let text = self.machine.run(&step, &plan.command(), LIMIT)?;
        let run = swaps::read(&text).ok_or_else(|| Fault::new(&step, text.clone()))?;
        tell(server, &run, start.elapsed());
        let Run { requests, failed, slow, large, broken, .. } = run;
        let all = run.swaps.len() as u32 == COUNT && slow == u64::from(COUNT);
        let served = requests > 100 && large > 0;
        ensure(all && served && failed == 0 && broken == 0, &step, || text.clone())?;
        self.web.is_unhurt(&step)?;
        Ok(run)
    }
}

fn tell(server: &str, run: &Run, time: Duration) {
    let stopped =
        |percent| percentile(run.swaps.iter().map(|swap| swap.stopped), percent) as f32 / 1000.0;
    let bytes = |percent| percentile(run.swaps.iter().map(|swap| swap.bytes), percent);
    println!(
        "swap-{server}: {} swaps in {:.0} s, stopped for {:.1} ms (p50), {:.1} (p99), {:.1} (max), {} to {} bytes of state; \
         {} requests, {} failed, the longest took {} ms; {} files",
        run.swaps.len(),
        time.as_secs_f32(),
        stopped(50),
        stopped(99),
        stopped(100),
        bytes(0),
        bytes(100),
        run.requests,
        run.failed,
        run.longest,
        run.large,
    );
}

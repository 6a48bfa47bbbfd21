//! Tier 1: scenarios that need no domain 0. The kernel runs as Xen's own PVH domain 0.
//!
//! Invariant: a failure leaves its console in a folder that the message names.

use std::path::PathBuf;

use rig::direct::{self, Boot};
use rig::{Cache, Silent};

use super::scenario::{End, Scenario};
use super::{Tally, check};
use crate::failure::{Context, Result};
use crate::system;
use crate::ui::Screen;

/// Runs all scenarios whose name contains the filter; `fast` leaves out those that are slow.
///
/// # Errors
/// When the rig cannot be set up.
pub fn run(filter: Option<&str>, fast: bool) -> Result<Tally> {
    let named = |scenario: &Scenario| filter.is_none_or(|filter| scenario.name.contains(filter));
    let wanted = |scenario: &Scenario| named(scenario) && !(fast && scenario.slow);
    let all = Scenario::all(&system::root().join("tests/scenarios"))?;
    let scenarios: Vec<Scenario> = all.into_iter().filter(wanted).collect();
    let mut tally = Tally::default();
    if scenarios.is_empty() {
        return Ok(tally);
    }
    let cache = Cache::open()?;
    rig::setup(&cache, &Screen::default())?;
    for scenario in &scenarios {
        tally.add(check(&scenario.name, || Tally::one(told(scenario, attempt(&cache, scenario)))));
    }
    Ok(tally)
}

fn told(scenario: &Scenario, verdict: Result<Option<String>>) -> bool {
    match verdict {
        Ok(None) => return true,
        Ok(Some(reason)) => println!("{}: {reason}", scenario.name),
        Err(error) => println!("{}: {error}", scenario.name),
    }
    false
}

/// Boots a scenario; what is wrong with it, or nothing.
fn attempt(cache: &Cache, scenario: &Scenario) -> Result<Option<String>> {
    let packed = system::build_and_pack(&system::find(&scenario.system)?, false, &Silent)?;
    let mut boot = Boot::of(&packed.kernel);
    boot.image = Some(&packed.image);
    boot.arguments = &scenario.arguments;
    let mut lines = Vec::new();
    let end = direct::run(cache, &boot, scenario.limit(), |line| lines.push(line.to_owned()))?;
    let end = match end {
        direct::End::Halted => Some(End::Poweroff),
        direct::End::Rebooted => Some(End::Reboot),
        direct::End::Crashed => Some(End::Crash),
        _ => None,
    };
    let Some(reason) = scenario.judge(&lines, end) else { return Ok(None) };
    let folder = keep(scenario, &lines)?;
    Ok(Some(format!("{reason}; the console is in {}", folder.display())))
}

/// Keeps the console of a failed scenario.
fn keep(scenario: &Scenario, lines: &[String]) -> Result<PathBuf> {
    let folder = system::root().join("target/failed").join(&scenario.name);
    std::fs::create_dir_all(&folder).context("create", &folder)?;
    let console = folder.join("console.log");
    std::fs::write(&console, lines.join("\n")).context("write", &console)?;
    Ok(folder)
}

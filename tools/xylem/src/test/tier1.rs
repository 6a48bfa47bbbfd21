//! Tier 1: scenarios that need no domain 0. The kernel runs as Xen's own PVH domain 0.
//!
//! Invariant: each system is built and packed once, then the scenarios run side by side, as many as there are processors.
//! A failure leaves its console in a folder that the message names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rig::direct::{self, Boot};
use rig::{Cache, Silent};

use super::scenario::{Damage, End, Scenario};
use super::{Tally, check, failed, parallel};
use crate::failure::{Context, Failure, Result};
use crate::system::{self, Packed};
use crate::ui::Screen;

/// The systems of the scenarios, by name and by the number of vCPUs that they are packed for, if it is not the manifest's.
type Systems<'s> = BTreeMap<(&'s str, Option<u32>), Result<Packed>>;

/// Most scenarios at a time: each takes a processor and 512 MiB.
const AT_A_TIME: usize = 4;

/// Runs all scenarios whose name contains the filter; `fast` leaves out those that are slow.
///
/// # Errors
/// When the rig cannot be set up.
pub fn run(filter: Option<&str>, fast: bool) -> Result<Tally> {
    let named = |scenario: &Scenario| filter.is_none_or(|filter| scenario.name.contains(filter));
    let wanted = |scenario: &Scenario| named(scenario) && !(fast && scenario.slow);
    let all = Scenario::all(&system::root().join("tests/scenarios"))?;
    let mut scenarios: Vec<Scenario> = all.into_iter().filter(wanted).collect();
    if scenarios.is_empty() {
        return Ok(Tally::default());
    }
    // Those that take longest first: the others fill what is left.
    scenarios.sort_by_key(|scenario| std::cmp::Reverse(scenario.limit));
    let cache = Cache::open()?;
    rig::setup(&cache, &Screen::default())?;
    let systems = pack(&scenarios);
    Ok(parallel::each(&scenarios, AT_A_TIME, |scenario| {
        check(&scenario.name, || Tally::one(told(scenario, attempt(&cache, scenario, &systems))))
    }))
}

fn pack(scenarios: &[Scenario]) -> Systems<'_> {
    let mut systems = Systems::new();
    for scenario in scenarios {
        systems.entry((&scenario.system, scenario.vcpus)).or_insert_with(|| {
            let manifest = system::find(&scenario.system)?;
            match scenario.vcpus {
                None => system::build_and_pack(&manifest, false, &Silent),
                Some(vcpus) => widened(&manifest, vcpus),
            }
        });
    }
    systems
}

/// Packs a system for another number of vCPUs: its servers are spread over them.
fn widened(manifest: &Path, vcpus: u32) -> Result<Packed> {
    let text = std::fs::read_to_string(manifest).context("read", manifest)?;
    let line = |line: &str| match line.split_once(" = ") {
        Some(("name", name)) if line.starts_with("name") => {
            let name = name.trim_matches('"');
            format!("name = \"{name}-{vcpus}-vcpus\"\nvcpus = {vcpus}\n")
        }
        Some(("vcpus", _)) => String::new(),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    let folder = tempfile::tempdir().context("create", std::env::temp_dir())?;
    let file = folder.path().join("widened.toml");
    std::fs::write(&file, text).context("write", &file)?;
    system::build_and_pack(&file, false, &Silent)
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
fn attempt(cache: &Cache, scenario: &Scenario, systems: &Systems<'_>) -> Result<Option<String>> {
    let packed = match systems.get(&(scenario.system.as_str(), scenario.vcpus)) {
        Some(Ok(packed)) => packed,
        Some(Err(error)) => return Ok(Some(error.to_string())),
        None => return Ok(Some(format!("`{}` was not packed", scenario.system))),
    };
    let damaged = scenario.damage.as_ref().map(|damage| Damaged::new(scenario, damage, packed));
    let damaged = damaged.transpose()?;
    failed::forget(&scenario.name);
    let mut boot = Boot::of(&packed.kernel);
    boot.image = Some(damaged.as_ref().map_or(&packed.image, |damaged| &damaged.0));
    boot.arguments = &scenario.arguments;
    boot.vcpus = packed.vcpus;
    let mut lines = Vec::new();
    let end = direct::run(cache, &boot, scenario.limit(), |line| lines.push(line.to_owned()))?;
    let Some(reason) = scenario.judge(&lines, End::of(&end)) else {
        for figure in scenario.figures(&lines) {
            println!("{}: {figure}", scenario.name);
        }
        return Ok(None);
    };
    let folder = keep(scenario, &lines)?;
    Ok(Some(format!("{reason}; the console is in {}", folder.display())))
}

/// A damaged image beside the sound one; its file goes when the value goes.
struct Damaged(PathBuf);

impl Damaged {
    fn new(scenario: &Scenario, damage: &Damage, packed: &Packed) -> Result<Self> {
        let sound = std::fs::read(&packed.image).context("read", &packed.image)?;
        let bytes = damage.apply(sound).map_err(|reason| Failure::Manifest {
            text: format!("the damage does not fit `{}`: {reason}", packed.name),
        })?;
        let file = packed.image.with_file_name(format!("damaged-{}.img", scenario.name));
        system::replace(&file, &bytes)?;
        Ok(Self(file))
    }
}

impl Drop for Damaged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Keeps the console of a failed scenario.
fn keep(scenario: &Scenario, lines: &[String]) -> Result<PathBuf> {
    let folder = failed::folder(&scenario.name);
    std::fs::create_dir_all(&folder).context("create", &folder)?;
    let console: &Path = &folder.join("console.log");
    std::fs::write(console, lines.join("\n")).context("write", console)?;
    Ok(folder)
}

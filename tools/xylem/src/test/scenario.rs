//! A whole-system test as a description: what to boot, what must be seen, what must not, and how it ends.
//!
//! Invariant: a scenario passes only if the domain ended as it says and every expected line was seen.

mod damage;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rig::direct;
use serde::Deserialize;

pub use damage::Damage;

use crate::failure::{Context, Failure, Result};

/// How the domain must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// Powered off.
    Poweroff,
    /// Crashed.
    Crash,
    /// Rebooted.
    Reboot,
}

impl End {
    /// How the domain ended, if it did.
    pub const fn of(end: &direct::End) -> Option<Self> {
        match end {
            direct::End::Halted => Some(Self::Poweroff),
            direct::End::Rebooted => Some(Self::Reboot),
            direct::End::Crashed => Some(Self::Crash),
            _ => None,
        }
    }
}

/// One scenario of tests/scenarios.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: that of its file.
    #[serde(skip)]
    pub name: String,
    /// The system, as `run` takes it.
    pub system: String,
    /// Words for the kernel's command line.
    #[serde(default)]
    pub arguments: String,
    /// A word that is added to them for a second run.
    pub again: Option<String>,
    /// vCPUs that the system is packed for; what its manifest says by default.
    #[serde(skip)]
    pub vcpus: Option<u32>,
    /// One run more for each of these numbers of vCPUs.
    #[serde(default)]
    pub vcpus_too: Vec<u32>,
    /// What is done to the packed image before it is booted.
    pub damage: Option<Damage>,
    /// Seconds that it may take.
    pub limit: u64,
    /// It is left out of `--fast`.
    #[serde(default)]
    pub slow: bool,
    /// How it must end.
    pub end: End,
    /// Texts that must be seen, each in some line.
    pub expect: Vec<String>,
    /// Texts that must not be seen.
    #[serde(default)]
    pub never: Vec<String>,
    /// Most lines that the domain may write, empty ones left out.
    pub most: Option<usize>,
    /// Figures: what these lines hold behind the text is told of a run in which all is well.
    pub tell: Option<String>,
}

/// What Xen puts before a line of domain 0's.
const DOMAIN: &str = "(d0)";

impl Scenario {
    /// All scenarios of a folder, by name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>> {
        let entries = std::fs::read_dir(folder).context("read", folder)?;
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        paths.sort();
        let read: Result<Vec<Self>> = paths.iter().map(|path| Self::read(path)).collect();
        Ok(read?.into_iter().flat_map(Self::runs).collect())
    }

    /// Its runs: one, one more with the word that is added, and one more for each further number of vCPUs.
    fn runs(self) -> Vec<Self> {
        let on = |vcpus: &u32| Self {
            name: format!("{}-{vcpus}-vcpus", self.name),
            vcpus: Some(*vcpus),
            ..self.clone()
        };
        let wider: Vec<Self> = self.vcpus_too.iter().map(on).collect();
        let second = self.again.as_ref().map(|word| Self {
            name: format!("{}-{word}", self.name),
            arguments: format!("{} {word}", self.arguments).trim_start().to_owned(),
            ..self.clone()
        });
        std::iter::once(self).chain(second).chain(wider).collect()
    }

    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("read", path)?;
        let parsed: std::result::Result<Self, _> = toml::from_str(&text);
        let scenario = parsed
            .map_err(|error| Failure::Manifest { text: format!("{}: {error}", path.display()) })?;
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            ..scenario
        })
    }

    /// Its time limit.
    pub const fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// The figures among what was seen.
    pub fn figures<'l>(&self, lines: &'l [String]) -> Vec<&'l str> {
        let Some(mark) = self.tell.as_deref() else { return Vec::new() };
        lines.iter().filter_map(|line| Some(line.split_once(mark)?.1.trim())).collect()
    }

    /// What is wrong with what was seen; nothing if all is well.
    pub fn judge(&self, lines: &[String], end: Option<End>) -> Option<String> {
        let seen = |text: &&String| lines.iter().any(|line| line.contains(text.as_str()));
        if let Some(bad) = self.never.iter().find(seen) {
            return Some(format!("saw what must not be: `{bad}`"));
        }
        if let Some(missing) = self.expect.iter().find(|text| !seen(text)) {
            return Some(format!("this line is missing: `{missing}`"));
        }
        let own =
            |line: &&String| line.strip_prefix(DOMAIN).is_some_and(|text| !text.trim().is_empty());
        let written = lines.iter().filter(own).count();
        if let Some(most) = self.most.filter(|most| written > *most) {
            return Some(format!("the domain wrote {written} lines, not {most} at most"));
        }
        (end != Some(self.end)).then(|| format!("ended as {end:?}, not as {:?}", self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Scenario};

    fn scenario() -> Scenario {
        let text = "system = \"hello\"\nlimit = 10\nend = \"poweroff\"\nexpect = [\"hello\"]\nnever = [\"panic\"]\n";
        toml::from_str(text).unwrap()
    }

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        let verdict = scenario().judge(&lines(&["(d0) x"]), Some(End::Poweroff));
        assert_eq!(verdict.as_deref(), Some("this line is missing: `hello`"));
    }

    #[test]
    fn what_must_not_be_is_named() {
        assert!(
            scenario().judge(&lines(&["hello", "kernel panic"]), Some(End::Poweroff)).is_some()
        );
    }

    #[test]
    fn lines_of_the_domain_are_counted_without_xens_and_empty_ones() {
        let one = Scenario { most: Some(1), ..scenario() };
        let seen = lines(&["(XEN) x", "(d0) hello", "(d0) ", "(XEN) y"]);
        assert_eq!(one.judge(&seen, Some(End::Poweroff)), None);
        let none = Scenario { most: Some(0), ..scenario() };
        assert!(none.judge(&seen, Some(End::Poweroff)).is_some());
    }

    #[test]
    fn figures_are_told_without_their_mark() {
        let telling = Scenario { tell: Some("x: ".into()), ..scenario() };
        assert_eq!(telling.figures(&lines(&["(d0) x: 5 us", "y: 6 us"])), ["5 us"]);
        assert!(scenario().figures(&lines(&["x: 5 us"])).is_empty());
    }

    #[test]
    fn the_end_counts() {
        assert!(scenario().judge(&lines(&["hello"]), Some(End::Crash)).is_some());
        assert!(scenario().judge(&lines(&["hello"]), None).is_some());
        assert_eq!(scenario().judge(&lines(&["hello"]), Some(End::Poweroff)), None);
    }

    #[test]
    fn a_second_run_has_one_word_more() {
        let runs = Scenario { again: Some("slow-path".into()), ..scenario() }.runs();
        let told: Vec<_> = runs.iter().map(|run| (&*run.name, &*run.arguments)).collect();
        assert_eq!(told, [("", ""), ("-slow-path", "slow-path")]);
        assert_eq!(scenario().runs().len(), 1);
    }

    #[test]
    fn the_scenarios_of_the_tree_can_be_read() {
        let all = Scenario::all(&crate::system::root().join("tests/scenarios")).unwrap();
        assert!(!all.is_empty());
    }
}

//! A private apt: its own lists, its own (empty) idea of what is installed, its own archives.
//!
//! Invariant: nothing of the host is changed and no root is needed. Archives are checked by apt against the signed
//! lists. It downloads and no more: see `unpack`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::Context;
use crate::packages::Toolstack;
use crate::{Cache, Error, Progress, Result, sources, tool};

/// One archive of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its file name.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The private apt of a cache.
#[derive(Debug)]
pub struct Apt {
    folder: PathBuf,
    log: PathBuf,
}

impl Apt {
    /// Prepares it: folders, the one source, the keyring.
    ///
    /// # Errors
    /// [`Error::NoMirror`] and [`Error::NoKeyring`], and when files cannot be written.
    pub fn prepare(cache: &Cache, stack: &Toolstack, progress: &dyn Progress) -> Result<Self> {
        let apt = Self { folder: cache.apt(), log: cache.log("apt.log") };
        for part in ["lists/partial", "archives/partial"] {
            let path = apt.folder.join(part);
            fs::create_dir_all(&path).context("create", path)?;
        }
        fs::write(apt.folder.join("status"), stack.spared_status())
            .context("write", &apt.folder)?;
        let (mirror, keyring) = (mirror()?, keyring(&apt.folder, progress)?);
        let source = format!(
            "Types: deb\nURIs: {mirror}\nSuites: {}\nComponents: main\nSigned-By: {}\n",
            stack.suite,
            keyring.display()
        );
        fs::write(apt.folder.join("rig.sources"), source).context("write", &apt.folder)?;
        Ok(apt)
    }

    /// Where the archives are.
    pub fn archives(&self) -> PathBuf {
        self.folder.join("archives")
    }

    /// Fetches the signed lists of the archive.
    ///
    /// # Errors
    /// [`Error::Apt`].
    pub fn update(&self) -> Result<()> {
        self.finish("update", self.command(&["update"])?)
    }

    /// The archives that the packages need, with all that those need.
    ///
    /// # Errors
    /// [`Error::Apt`].
    pub fn plan(&self, packages: &[String]) -> Result<Vec<Archive>> {
        let mut command = self.base();
        command.args(["install", "-y", "--print-uris"]).args(packages);
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|error| tool::could_not_start("apt-get", &error))?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            fs::write(&self.log, &text).context("write", &self.log)?;
            return Err(self.failed("install --print-uris", &String::from_utf8_lossy(&text)));
        }
        Ok(plan_of(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Downloads the packages; what is there already, whole or in part, is not fetched again.
    ///
    /// # Errors
    /// [`Error::Apt`].
    pub fn download(&self, packages: &[String], progress: &dyn Progress) -> Result<()> {
        let mut arguments = vec!["install", "-y", "--download-only"];
        arguments.extend(packages.iter().map(String::as_str));
        let mut child = self.command(&arguments)?;
        while child.try_wait().context("wait for", &self.log)?.is_none() {
            progress.advance(size_of(&self.archives()) + size_of(&self.archives().join("partial")));
            std::thread::sleep(Duration::from_millis(100));
        }
        self.finish("install --download-only", child)
    }

    fn base(&self) -> Command {
        let at =
            |option: &str, part: &str| format!("{option}={}", self.folder.join(part).display());
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
        let options = [
            at("Dir::Etc::sourcelist", "rig.sources"),
            "Dir::Etc::sourceparts=/dev/null".into(),
            "Dir::Etc::preferences=/dev/null".into(),
            "Dir::Etc::preferencesparts=/dev/null".into(),
            at("Dir::State", ""),
            at("Dir::State::lists", "lists"),
            at("Dir::State::status", "status"),
            at("Dir::Cache", ""),
            at("Dir::Cache::archives", "archives"),
            "APT::Sandbox::User=root".into(),
            "APT::Architecture=amd64".into(),
            "APT::Architectures::=amd64".into(),
            "APT::Install-Recommends=false".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            "Debug::NoLocking=1".into(),
            // Data of software centres: not needed, and larger than the package lists.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".into(),
        ];
        for option in options {
            command.args(["-o", &option]);
        }
        command
    }

    fn command(&self, arguments: &[&str]) -> Result<Child> {
        let log = File::create(&self.log).context("create", &self.log)?;
        let both = log.try_clone().context("open", &self.log)?;
        self.base()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(both)
            .spawn()
            .map_err(|error| tool::could_not_start("apt-get", &error))
    }

    fn finish(&self, step: &str, mut child: Child) -> Result<()> {
        let status = child.wait().context("wait for", &self.log)?;
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        // apt-get update ends well even when the archive could not be reached.
        let unreachable =
            step == "update" && text.lines().any(|line| line.starts_with("W: Failed to fetch"));
        if status.success() && !unreachable { Ok(()) } else { Err(self.failed(step, &text)) }
    }

    fn failed(&self, step: &str, text: &str) -> Error {
        let reason = text
            .lines()
            .find(|line| line.starts_with("E: ") || line.starts_with("W: Failed"))
            .map_or_else(|| tool::last_line(text), str::to_owned);
        Error::Apt { step: step.into(), reason, log: self.log.clone() }
    }
}

fn mirror() -> Result<String> {
    match std::env::var("XYLEM_MIRROR") {
        Ok(given) if !given.is_empty() => Ok(given),
        _ => sources::find(&sources::of_host(), |path| fs::read_to_string(path).ok())
            .ok_or(Error::NoMirror),
    }
}

const KEYRINGS: [&str; 2] = ["debian-archive-keyring.gpg", "debian-archive-keyring.pgp"];

fn keyring(folder: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("XYLEM_KEYRING").filter(|given| !given.is_empty()) {
        return Ok(given.into());
    }
    if let Some(path) = keyring_in(Path::new("/usr/share/keyrings")) {
        return Ok(path);
    }
    let own = folder.join("keyring");
    match keyring_in(&own.join("usr/share/keyrings")) {
        Some(path) => Ok(path),
        None => fetch_keyring(&own, progress),
    }
}

fn keyring_in(folder: &Path) -> Option<PathBuf> {
    KEYRINGS.iter().map(|name| folder.join(name)).find(|path| path.exists())
}

/// Takes the keyring from the host's own distribution (Ubuntu has the package), checked by the host's own apt.
fn fetch_keyring(own: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    progress
        .note("fetching the package debian-archive-keyring from this machine's own distribution");
    crate::cache::fresh(own)?;
    tool::run(
        Command::new("apt-get").args(["-q", "download", "debian-archive-keyring"]).current_dir(own),
    )
    .map_err(|_| Error::NoKeyring)?;
    let entries = fs::read_dir(own).context("read", own)?;
    let archive = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .ok_or(Error::NoKeyring)?;
    tool::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(own))?;
    keyring_in(&own.join("usr/share/keyrings")).ok_or(Error::NoKeyring)
}

/// Reads the lines `'address' file size hash` of `--print-uris`.
fn plan_of(text: &str) -> Vec<Archive> {
    text.lines()
        .filter(|line| line.starts_with('\''))
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            Some(Archive { file: words.next()?.to_owned(), bytes: words.next()?.parse().ok()? })
        })
        .collect()
}

/// The bytes of the files right in a folder.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|data| data.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_and_other_lines_are_not() {
        let text = "Reading package lists...\nThe following NEW packages will be installed:\n  bash\n\
                    'http://m.example/debian/pool/main/b/bash/bash_5.2.deb' bash_5.2_amd64.deb 1500792 MD5Sum:ab\n\
                    'http://m.example/x%2b1.deb' broken\n";
        assert_eq!(
            plan_of(text),
            [Archive { file: "bash_5.2_amd64.deb".into(), bytes: 1_500_792 }]
        );
    }
}

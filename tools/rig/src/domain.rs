//! Domains of ours in any dom0: written down for `xl`, created, watched, ended.
//!
//! Invariant: only what the trait [`Dom0`] offers is used, so this is the same for every dom0. All files of a domain
//! are in one folder of dom0, with the list of its disks, so another process can end it.

use std::time::Duration;

use crate::dom0::{Dom0, Stream, quoted};
use crate::spec::{Spec, config};
use crate::{Error, Result};

/// For commands that ask only.
const ASK: Duration = Duration::from_secs(30);
/// For the toolstack to make or end a domain.
const CHANGE: Duration = Duration::from_secs(90);

/// A domain that was created.
pub struct Domain<'a> {
    dom0: &'a dyn Dom0,
    name: String,
}

impl<'a> Domain<'a> {
    /// Creates it. Another one of this name that is ending is waited for.
    ///
    /// # Errors
    /// [`Error::DomainExists`], [`Error::Command`] with what `xl` said, and those of the way to dom0.
    pub fn create(dom0: &'a dyn Dom0, spec: &Spec<'_>) -> Result<Self> {
        Self::make(dom0, spec, &format!(" && {}", Self::named(dom0, spec.name)?.start()))
    }

    /// Does all that [`Domain::create`] does but the last: what [`Domain::start`] says is left to the caller.
    ///
    /// # Errors
    /// Those of [`Domain::create`].
    pub fn write(dom0: &'a dyn Dom0, spec: &Spec<'_>) -> Result<Self> {
        Self::make(dom0, spec, "")
    }

    /// The command that starts a domain that was written.
    pub fn start(&self) -> String {
        format!("xl create {}/config", self.folder())
    }

    /// Brings the files, then does the rest in one command, since each costs time.
    fn make(dom0: &'a dyn Dom0, spec: &Spec<'_>, start: &str) -> Result<Self> {
        let domain = Self::named(dom0, spec.name)?;
        // The files of a domain of this name may be in use: ours get their names when none is there.
        std::thread::scope(|scope| {
            let kernel = scope.spawn(|| dom0.put(spec.kernel, &domain.file("kernel.new")));
            dom0.put(spec.image, &domain.file("image.new"))?;
            kernel.join().unwrap_or_else(|_| Err(domain.lost()))
        })?;
        let mut paths = Vec::new();
        let made =
            domain.attach(spec, &mut paths).and_then(|()| domain.settle(spec, &paths, start));
        if made.is_err() {
            paths.iter().for_each(|path| drop(dom0.detach(path)));
        }
        made.map(|()| domain)
    }

    /// A domain of this name, whether it runs or not.
    ///
    /// # Errors
    /// [`Error::Command`] when it cannot be a name.
    pub fn named(dom0: &'a dyn Dom0, name: &str) -> Result<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with(['-', '.']) || !name.bytes().all(is_plain) {
            let text = "a domain's name has letters, digits, `-`, `_` and `.` only".into();
            return Err(Error::Command {
                dom0: dom0.name(),
                command: format!("create {name}"),
                status: 1,
                text,
            });
        }
        Ok(Self { dom0, name: name.into() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, while it is there.
    ///
    /// # Errors
    /// Those of the way to dom0.
    pub fn id(&self) -> Result<Option<u32>> {
        let output = self.dom0.exec(&format!("xl domid {} 2>/dev/null", self.name), ASK)?;
        Ok(output.text.trim().parse().ok())
    }

    /// The letters of `xl list` for its state (`r` runs, `b` waits, `p` paused, `s` shut down, `c` crashed, `d` dies).
    ///
    /// # Errors
    /// Those of the way to dom0.
    pub fn state(&self) -> Result<Option<String>> {
        let output = self.dom0.exec(&format!("xl list {} 2>/dev/null", self.name), ASK)?;
        Ok(if output.is_ok() { state_of(&output.text) } else { None })
    }

    /// Ends it at once and waits until it is gone; fine when it is not there. What was written of it stays.
    ///
    /// # Errors
    /// [`Error::Command`], and those of the way to dom0.
    pub fn end(&self) -> Result<()> {
        self.dom0.run(&end(&self.name), CHANGE).map(drop)
    }

    /// Ends it at once, waits until it is gone, and takes its disks back; fine when it is not there.
    ///
    /// # Errors
    /// [`Error::Command`], and those of the way to dom0.
    pub fn destroy(&self) -> Result<()> {
        let (end, folder) = (end(&self.name), self.folder());
        let command = format!("{end}; cat {folder}/disks 2>/dev/null; rm -rf {folder}");
        let disks = self.dom0.run(&command, CHANGE)?;
        disks
            .lines()
            .filter(|line| line.starts_with('/'))
            .try_for_each(|path| self.dom0.detach(path))
    }

    /// Waits until it is gone by itself.
    ///
    /// # Errors
    /// [`Error::CommandTimeout`] when it is still there after `limit`.
    pub fn wait_gone(&self, limit: Duration) -> Result<()> {
        self.dom0.run(&gone(&self.name), limit).map(drop)
    }

    /// What it writes to its console, from its beginning on and as it comes; ends when the domain is gone.
    ///
    /// # Errors
    /// Those of the way to dom0.
    pub fn console(&self) -> Result<Stream> {
        self.dom0.follow(&console(&self.name, &self.folder()))
    }

    /// Types text at its console.
    ///
    /// # Errors
    /// [`Error::Command`] when it has none.
    pub fn type_text(&self, text: &str) -> Result<()> {
        let tty =
            format!("tty=$(xenstore-read /local/domain/$(xl domid {})/console/tty)", self.name);
        self.dom0.run(&format!("{tty} && printf %s {} >\"$tty\"", quoted(text)), ASK).map(drop)
    }

    /// The note that it was created with; empty for a domain that is not ours.
    ///
    /// # Errors
    /// Those of the way to dom0.
    pub fn note(&self) -> Result<String> {
        Ok(self.dom0.exec(&format!("cat {} 2>/dev/null", self.file("note")), ASK)?.text)
    }

    /// Why it shut down last, as the toolstack noted it; `None` when it did not.
    ///
    /// # Errors
    /// Those of the way to dom0.
    pub fn last_shutdown(&self) -> Result<Option<Reason>> {
        let output =
            self.dom0.exec(&format!("cat /var/log/xen/xl-{}.log 2>/dev/null", self.name), ASK)?;
        Ok(reason_in(&output.text))
    }

    fn folder(&self) -> String {
        format!("/var/lib/xylem/domains/{}", self.name)
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder())
    }

    fn attach(&self, spec: &Spec<'_>, paths: &mut Vec<String>) -> Result<()> {
        for disk in &spec.disks {
            paths.push(self.dom0.attach(disk.image, disk.writable)?);
        }
        Ok(())
    }

    fn settle(&self, spec: &Spec<'_>, paths: &[String], start: &str) -> Result<()> {
        let command = settle(&self.folder(), spec, paths, start);
        let output = self.dom0.exec(&command, CHANGE)?;
        match output.status {
            0 => Ok(()),
            TAKEN => Err(Error::DomainExists { name: self.name.clone(), dom0: self.dom0.name() }),
            status => {
                let (dom0, text) = (self.dom0.name(), output.text.trim().to_owned());
                Err(Error::Command { dom0, command: self.start(), status, text })
            }
        }
    }

    fn lost(&self) -> Error {
        Error::Channel { dom0: self.dom0.name(), reason: "a copy was lost".into() }
    }
}

/// Why a domain shut down (Xen public/sched.h, SHUTDOWN_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It powered itself off.
    Poweroff,
    /// It asked for a reboot.
    Reboot,
    /// It was saved.
    Suspend,
    /// It crashed, by its own word or Xen's.
    Crash,
    /// Another number.
    Other(u32),
}

/// The last reason in xl's log of a domain.
fn reason_in(log: &str) -> Option<Reason> {
    let (_, rest) = log.rsplit_once("has shut down, reason code ")?;
    Some(match rest.split_whitespace().next()?.parse().ok()? {
        0 => Reason::Poweroff,
        1 => Reason::Reboot,
        2 => Reason::Suspend,
        3 => Reason::Crash,
        other => Reason::Other(other),
    })
}

/// The names of all domains but dom0.
///
/// # Errors
/// Those of the way to dom0, and [`Error::Command`].
pub fn names(dom0: &dyn Dom0) -> Result<Vec<String>> {
    let list = dom0.run("xl list", ASK)?;
    let names = list.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != "Domain-0").map(str::to_owned).collect())
}

/// The status of [`free`] when a domain has the name.
const TAKEN: i32 = 9;

/// The command that makes sure that no domain has this name; one that shuts down or dies has some seconds for that.
fn free(name: &str) -> String {
    format!(
        "n=0; while s=$(xl list {name} 2>/dev/null | awk 'NR == 2 {{ print $(NF - 1) }}') && [ -n \"$s\" ]; do \
         case $s in *[sd]*) [ $n -lt 50 ] || exit {TAKEN} ;; *) exit {TAKEN} ;; esac; sleep 0.1; n=$((n+1)); done"
    )
}

/// The command that writes a domain down in its folder, and starts it with `start`.
///
/// A domain of ours has its folder as long as it lives: without one the look at all domains, which takes time, is only
/// made when something went wrong.
fn settle(folder: &str, spec: &Spec<'_>, paths: &[String], start: &str) -> String {
    let (log, free) = (log(spec.name), free(spec.name));
    format!(
        "free() {{ {free}; }}; cd {folder} || exit; [ ! -e config ] || free; \
         mv kernel.new kernel && mv image.new image && \
         printf %s {disks} >disks && printf %s {note} >note && printf %s {config} >config || exit; \
         {{ stat -c %s {log} || echo 0; }} >start 2>/dev/null{start} || {{ status=$?; free; exit $status; }}",
        disks = quoted(&format!("{}\n", paths.join("\n"))),
        note = quoted(spec.note),
        config = quoted(&config(spec, folder, paths)),
    )
}

/// The command that waits until no domain has this name.
fn gone(name: &str) -> String {
    format!("while xl domid {name} >/dev/null 2>&1; do sleep 0.1; done")
}

/// The command that ends a domain and waits until it is gone.
fn end(name: &str) -> String {
    format!("xl destroy {name} 2>/dev/null; {}", gone(name))
}

/// Where xenconsoled keeps the console of a domain, if it does.
fn log(name: &str) -> String {
    format!("/var/log/xen/console/guest-{name}.log")
}

/// The command that prints the console of a domain until the domain is gone and does not come back.
fn console(name: &str, folder: &str) -> String {
    let log = log(name);
    let from_log = format!(
        "start=$(cat {folder}/start 2>/dev/null); tail -s 0.1 -c +$((${{start:-0}} + 1)) -F {log} 2>/dev/null & reader=$!"
    );
    let from_tty = "tty=$(xenstore-read /local/domain/$id/console/tty); stty -F $tty raw -echo; cat $tty & reader=$!";
    format!(
        "id=$(xl domid {name}) || exit 1; \
         if [ -e {log} ] || pgrep -f 'xenconsoled.*--log=(all|guest)' >/dev/null; then {from_log}; else {from_tty}; fi; \
         while :; do \
           node=/local/domain/$id/domid; sh -c 'echo $$; exec xenstore-watch '$node | \
           {{ read -r watch; while read -r _; do xenstore-exists $node || break; done; kill $watch; }}; \
           n=0; until id=$(xl domid {name} 2>/dev/null) || [ $n = 8 ]; do sleep 0.2; n=$((n+1)); done; \
           [ -n \"$id\" ] || break; \
         done; sleep 0.3; kill $reader 2>/dev/null"
    )
}

/// The column of states in what `xl list NAME` prints.
fn state_of(list: &str) -> Option<String> {
    let line = list.lines().nth(1)?;
    let states = line.split_whitespace().rev().nth(1)?;
    Some(states.replace('-', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_or_xl_would_take_apart_are_refused() {
        let dom0 = crate::shell::Shell::here();
        for wrong in ["", "a b", "a;b", "-x", "../x", "a/b", "ü"] {
            assert!(Domain::named(&dom0, wrong).is_err(), "{wrong}");
        }
        assert!(Domain::named(&dom0, "web-alt_2.x").is_ok());
    }

    #[test]
    fn the_last_reason_in_the_log_counts() {
        let log = "Waiting for domain x (domid 1) to die\nDomain 1 has shut down, reason code 1 0x1\n\
                   Domain 2 has shut down, reason code 3 0x3\nAction for shutdown reason code 3 is destroy\n";
        assert_eq!(reason_in(log), Some(Reason::Crash));
        assert_eq!(reason_in("Waiting for domain x (domid 1) to die\n"), None);
    }

    #[test]
    fn the_state_is_the_fifth_column() {
        let list = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                    web                                          3    16     1     -b----       0.1\n";
        assert_eq!(state_of(list).as_deref(), Some("b"));
        assert_eq!(state_of("error"), None);
    }
}

//! Domains of ours in any dom0: written down for `xl`, created, watched, ended.
//!
//! Invariant: only what the trait [`Dom0`] offers is used, so this is the same for every dom0. All files of a domain
//! are in one folder of dom0, with the list of its disks, so another process can end it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::dom0::{Dom0, Stream, quoted};
use crate::{Error, Result};

/// For commands that ask only.
const ASK: Duration = Duration::from_secs(30);
/// For the toolstack to make or end a domain.
const CHANGE: Duration = Duration::from_secs(90);

/// A disk of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk<'a> {
    /// The image, on this machine.
    pub image: &'a Path,
    /// The device in the domain: `xvda`.
    pub device: &'a str,
    /// Whether the domain may write.
    pub writable: bool,
}

/// What a domain is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec<'a> {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: &'a str,
    /// The kernel, on this machine.
    pub kernel: &'a Path,
    /// The packed image, on this machine.
    pub image: &'a Path,
    /// Memory in MiB.
    pub memory: u32,
    /// Virtual processors.
    pub vcpus: u32,
    /// The kernel's command line.
    pub extra: &'a str,
    /// The bridge of its network device; none without.
    pub bridge: Option<&'a str>,
    /// The address of its network device, or one that `xl` chooses.
    pub mac: Option<&'a str>,
    /// Its disks.
    pub disks: Vec<Disk<'a>>,
    /// What becomes of it when it crashes or asks for a reboot.
    pub restart: Restart,
}

/// What the toolstack does when a domain has shut itself down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Reboot when it asks for that; otherwise remove it.
    OnReboot,
    /// Remove it always.
    Never,
    /// Keep it as it is, to look at.
    Keep,
}

impl Restart {
    fn lines(self) -> [(&'static str, &'static str); 3] {
        let (poweroff, reboot, crash) = match self {
            Self::OnReboot => ("destroy", "restart", "destroy"),
            Self::Never => ("destroy", "destroy", "destroy"),
            Self::Keep => ("preserve", "preserve", "preserve"),
        };
        [("on_poweroff", poweroff), ("on_reboot", reboot), ("on_crash", crash)]
    }
}

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
        let domain = Self::named(dom0, spec.name)?;
        if dom0.exec(&free(spec.name), ASK)?.status == TAKEN {
            return Err(Error::DomainExists { name: spec.name.into(), dom0: dom0.name() });
        }
        std::thread::scope(|scope| {
            let kernel = scope.spawn(|| dom0.put(spec.kernel, &domain.file("kernel")));
            dom0.put(spec.image, &domain.file("image"))?;
            kernel.join().unwrap_or_else(|_| Err(domain.lost()))
        })?;
        let mut paths = Vec::new();
        let created = domain.attach(spec, &mut paths).and_then(|()| domain.start(spec, &paths));
        if created.is_err() {
            paths.iter().for_each(|path| drop(dom0.detach(path)));
        }
        created.map(|()| domain)
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

    /// Ends it at once, waits until it is gone, and takes its disks back; fine when it is not there.
    ///
    /// # Errors
    /// [`Error::Command`], and those of the way to dom0.
    pub fn destroy(&self) -> Result<()> {
        let name = &self.name;
        let command = format!(
            "xl destroy {name} 2>/dev/null; {}; cat {}/disks 2>/dev/null; rm -rf {}",
            gone(name),
            self.folder(),
            self.folder()
        );
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

    fn start(&self, spec: &Spec<'_>, paths: &[String]) -> Result<()> {
        let config = config(spec, &self.folder(), paths);
        let (log, folder) = (log(&self.name), self.folder());
        // The log of an older domain of this name is not ours: note where ours begins.
        let command = format!(
            "printf %s {disks} >{folder}/disks; printf %s {config} >{folder}/config; \
             stat -c %s {log} >{folder}/start 2>/dev/null; xl create {folder}/config",
            disks = quoted(&format!("{}\n", paths.join("\n"))),
            config = quoted(&config),
        );
        self.dom0.run(&command, CHANGE).map(drop)
    }

    fn lost(&self) -> Error {
        Error::Channel { dom0: self.dom0.name(), reason: "a copy was lost".into() }
    }
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

/// The command that waits until no domain has this name.
fn gone(name: &str) -> String {
    format!("while xl domid {name} >/dev/null 2>&1; do sleep 0.1; done")
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
         if pgrep -f 'xenconsoled.*--log=(all|guest)' >/dev/null; then {from_log}; else {from_tty}; fi; \
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

/// The domain's configuration for `xl`.
fn config(spec: &Spec<'_>, folder: &str, paths: &[String]) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("name", word(spec.name));
    line("type", word("pvh"));
    line("kernel", word(&format!("{folder}/kernel")));
    line("ramdisk", word(&format!("{folder}/image")));
    line("memory", spec.memory.to_string());
    line("vcpus", spec.vcpus.to_string());
    // The guest reads the time stamp counter itself; the default would make each read an exit.
    line("tsc_mode", word("native"));
    if !spec.extra.is_empty() {
        line("extra", word(spec.extra));
    }
    if let Some(bridge) = spec.bridge {
        let mac = spec.mac.map_or(String::new(), |mac| format!(",mac={mac}"));
        line("vif", format!("[{}]", word(&format!("bridge={bridge}{mac}"))));
    }
    let disks: Vec<String> =
        spec.disks.iter().zip(paths).map(|(disk, path)| word(&target(disk, path))).collect();
    line("disk", format!("[{}]", disks.join(", ")));
    for (key, value) in spec.restart.lines() {
        line(key, word(value));
    }
    text
}

/// One disk in the words of xl-disk-configuration: the path last, because it may have commas.
fn target(disk: &Disk<'_>, path: &str) -> String {
    let access = if disk.writable { "rw" } else { "ro" };
    format!("format=raw, vdev={}, access={access}, target={path}", disk.device)
}

/// A text of an xl configuration.
fn word(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec<'static> {
        let path = Path::new("/here/x");
        let disks = vec![
            Disk { image: path, device: "xvda", writable: false },
            Disk { image: path, device: "xvdb", writable: true },
        ];
        let (bridge, mac) = (Some("xenbr0"), None);
        let (name, extra, restart) = ("web", r#"motd="a\b""#, Restart::OnReboot);
        Spec {
            name,
            kernel: path,
            image: path,
            memory: 16,
            vcpus: 1,
            extra,
            bridge,
            mac,
            disks,
            restart,
        }
    }

    #[test]
    fn the_configuration_is_what_xl_reads() {
        let expected = r#"name = "web"
type = "pvh"
kernel = "/f/kernel"
ramdisk = "/f/image"
memory = 16
vcpus = 1
tsc_mode = "native"
extra = "motd=\"a\\b\""
vif = ["bridge=xenbr0"]
disk = ["format=raw, vdev=xvda, access=ro, target=/dev/vdb", "format=raw, vdev=xvdb, access=rw, target=/dev/vdc"]
on_poweroff = "destroy"
on_reboot = "restart"
on_crash = "destroy"
"#;
        assert_eq!(config(&spec(), "/f", &["/dev/vdb".into(), "/dev/vdc".into()]), expected);
    }

    #[test]
    fn a_domain_without_devices_has_none() {
        let bare = Spec { bridge: None, disks: vec![], extra: "", ..spec() };
        let text = config(&bare, "/f", &[]);
        assert!(
            text.contains("disk = []") && !text.contains("vif") && !text.contains("extra"),
            "{text}"
        );
    }

    #[test]
    fn names_that_a_shell_or_xl_would_take_apart_are_refused() {
        let dom0 = crate::shell::Shell::here();
        for wrong in ["", "a b", "a;b", "-x", "../x", "a/b", "ü"] {
            assert!(Domain::named(&dom0, wrong).is_err(), "{wrong}");
        }
        assert!(Domain::named(&dom0, "web-alt_2.x").is_ok());
    }

    #[test]
    fn the_state_is_the_fifth_column() {
        let list = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                    web                                          3    16     1     -b----       0.1\n";
        assert_eq!(state_of(list).as_deref(), Some("b"));
        assert_eq!(state_of("error"), None);
    }
}

//! Tier 1: our kernel itself as Xen's PVH dom0, without a toolstack. The quickest way to a real Xen.
//!
//! Invariant: QEMU is gone when the value is gone or this process ends. It judges nothing but how the domain ended.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::command::{self, Machine};
use crate::error::Context;
use crate::process::{Guard, Identity};
use crate::tree::Tree;
use crate::{Cache, Error, Result, run};

/// What to boot.
#[derive(Debug, Clone)]
pub struct Boot<'a> {
    /// The kernel, an ELF with a PVH note.
    pub kernel: &'a Path,
    /// Its module: the image of a system.
    pub image: Option<&'a Path>,
    /// Its command line.
    pub arguments: &'a str,
    /// Further arguments of Xen.
    pub xen: &'a str,
    /// vCPUs of the domain.
    pub vcpus: u32,
    /// The machine.
    pub machine: Machine,
}

impl<'a> Boot<'a> {
    /// A kernel alone on the usual machine.
    pub fn of(kernel: &'a Path) -> Self {
        Self { kernel, image: None, arguments: "", xen: "", vcpus: 1, machine: Machine::direct() }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The domain shut itself down, with poweroff.
    Halted,
    /// The domain asked for a reboot.
    Rebooted,
    /// The domain shut itself down as crashed, or Xen ended it.
    Crashed,
    /// Xen itself panicked.
    XenPanicked,
    /// QEMU ended before the domain did.
    QemuEnded,
    /// The time was up.
    TimedOut,
    /// Whoever read the lines had enough.
    Stopped,
}

impl End {
    /// What a line of the console says about the end, if it does.
    fn of(line: &str) -> Option<Self> {
        const MEANINGS: [(&str, End); 7] = [
            ("Hardware Dom0 halted", End::Halted),
            ("Hardware Dom0 shutdown", End::Rebooted),
            ("Hardware Dom0 crashed", End::Crashed),
            ("Hardware Dom0 watchdog", End::Crashed),
            ("Domain 0 crashed", End::Crashed),
            ("Hardware Dom0 ", End::Crashed),
            ("Panic on CPU", End::XenPanicked),
        ];
        MEANINGS.into_iter().find(|(text, _)| line.contains(text)).map(|(_, end)| end)
    }
}

/// A running kernel.
pub struct Direct {
    lines: Receiver<String>,
    qemu: Child,
    deadline: Instant,
    run: PathBuf,
    _guard: Guard,
}

impl Direct {
    /// Starts it; it has `limit` to end.
    ///
    /// # Errors
    /// When the kernel or QEMU is not there.
    pub fn start(cache: &Cache, boot: &Boot<'_>, limit: Duration) -> Result<Self> {
        let run = run::fresh_private(cache)?;
        let xen = cache.image().join("xen");
        let files =
            [("xen", Some(xen.as_path())), ("kernel", Some(boot.kernel)), ("image", boot.image)];
        for (name, target) in files.into_iter().filter_map(|(name, target)| Some((name, target?))) {
            let target = target.canonicalize().context("find", target)?;
            symlink(target, run.join(name)).context("link", run.join(name))?;
        }
        let mut qemu = Tree::at(cache.tree()).qemu()?;
        let machine = boot.machine.clone().for_vcpus(boot.vcpus);
        let xen = format!("dom0_max_vcpus={} {}", boot.vcpus, boot.xen);
        qemu.args(command::direct(&machine, &xen, boot.arguments, boot.image.is_some()));
        qemu.current_dir(&run).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let errors =
            fs::File::create(run.join("qemu.log")).context("create", run.join("qemu.log"))?;
        let mut qemu = qemu.stderr(errors).spawn().context("start QEMU in", &run)?;
        let identity = Identity::of(qemu.id()).unwrap_or(Identity { pid: qemu.id(), started: 0 });
        let guard = Guard::new(identity, Some(&run)).context("watch QEMU in", &run)?;
        let lines = qemu
            .stdout
            .take()
            .map(reader)
            .ok_or_else(|| Error::QemuStart { reason: "no console".into() })?;
        Ok(Self { lines, qemu, deadline: Instant::now() + limit, run, _guard: guard })
    }

    /// The next line of the console, or how the run ended.
    ///
    /// # Errors
    /// The end, which is no failure.
    pub fn line(&mut self) -> std::result::Result<String, End> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(End::TimedOut),
            Err(RecvTimeoutError::Disconnected) => Err(End::QemuEnded),
        }
    }

    /// Gives each line to `each` until the domain has ended or `each` says false.
    pub fn follow(&mut self, mut each: impl FnMut(&str) -> bool) -> End {
        loop {
            match self.line() {
                Err(end) => return end,
                Ok(line) => {
                    let wanted = each(&line);
                    match End::of(&line) {
                        Some(end) => return end,
                        None if !wanted => return End::Stopped,
                        None => {}
                    }
                }
            }
        }
    }

    /// Gives each address of the trace to `each`, in the order of execution.
    ///
    /// # Errors
    /// There is no trace.
    pub fn trace(&self, mut each: impl FnMut(u64)) -> Result<()> {
        let path = self.run.join(command::TRACE);
        let mut lines = BufReader::new(fs::File::open(&path).context("open", &path)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).context("read", &path)? > 0 {
            // `Trace CPU: HOST [BASE/ADDRESS/FLAGS/…]`
            let address = line.split(|byte| *byte == b'/').nth(1);
            let text = address.and_then(|digits| std::str::from_utf8(digits).ok());
            if let Some(address) = text.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
                each(address);
            }
            line.clear();
        }
        Ok(())
    }

    /// What QEMU itself said.
    pub fn complaint(&self) -> String {
        fs::read_to_string(self.run.join("qemu.log")).unwrap_or_default()
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The lines of a run, and how it ended.
///
/// # Errors
/// When it cannot be started, or QEMU ended by itself and said why.
pub fn run(
    cache: &Cache,
    boot: &Boot<'_>,
    limit: Duration,
    mut each: impl FnMut(&str),
) -> Result<End> {
    let mut direct = Direct::start(cache, boot, limit)?;
    let end = direct.follow(|line| {
        each(line);
        true
    });
    let complaint = direct.complaint();
    match end {
        End::QemuEnded if !complaint.trim().is_empty() => {
            Err(Error::QemuStart { reason: complaint.trim().into() })
        }
        end => Ok(end),
    }
}

fn reader(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(output);
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        assert_eq!(End::of("(XEN) Hardware Dom0 halted: halting machine"), Some(End::Halted));
        assert_eq!(End::of("(XEN) Hardware Dom0 shutdown: rebooting machine"), Some(End::Rebooted));
        assert_eq!(
            End::of("(XEN) Hardware Dom0 crashed: rebooting machine in 5 seconds."),
            Some(End::Crashed)
        );
        assert_eq!(End::of("(XEN) Panic on CPU 0:"), Some(End::XenPanicked));
        assert_eq!(End::of("[net] ready"), None);
    }
}

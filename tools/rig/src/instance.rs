//! One running QEMU with Xen and a Linux dom0.
//!
//! Invariant: an instance that is owned ends with its value and with its process; one that is not outlives both and is
//! found again by its name. None has a state on disk worth keeping: a kill is a clean end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::channel::Channel;
use crate::command::{self, Machine, Memory};
use crate::error::Context;
use crate::monitor::Monitor;
use crate::process::{Guard, Identity};
use crate::progress::phase;
use crate::run::Record;
use crate::snapshot::Print;
use crate::tree::Tree;
use crate::{Cache, Error, Progress, Result, cache, ports, run, setup, setup_stamp, tool};

/// The name of the instance that `xylem run` uses and keeps.
pub const WARM: &str = "warm";

const BOOT_LIMIT: Duration = Duration::from_secs(180);
const RESUME_LIMIT: Duration = Duration::from_secs(15);
/// Space for the memory of a booting instance, and for its snapshot.
const MEMORY_SPACE: u64 = 1600 << 20;

/// A running rig.
#[derive(Debug)]
pub struct Instance {
    run: PathBuf,
    record: Record,
    token: String,
    /// Where the hypervisor's console is kept when it died.
    log: PathBuf,
    _guard: Option<Guard>,
}

impl Instance {
    /// The rig that stays between commands: found, or else started.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn warm(cache: &Cache, progress: &dyn Progress) -> Result<Self> {
        setup(cache, progress)?;
        let _lock = cache.lock("warm", progress)?;
        match Self::find(cache, WARM)? {
            Some(instance) if instance.record.image == setup_stamp() => Ok(instance),
            Some(old) => {
                progress.note("the rig that runs is of another version: starting it anew");
                old.stop()?;
                start(cache, Some(WARM), progress)
            }
            None => start(cache, Some(WARM), progress),
        }
    }

    /// A rig of the caller's own, which ends with this value and with this process.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn private(cache: &Cache, progress: &dyn Progress) -> Result<Self> {
        setup(cache, progress)?;
        start(cache, None, progress)
    }

    /// The running instance of this name.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn find(cache: &Cache, name: &str) -> Result<Option<Self>> {
        let run = cache.run(name);
        let Some(record) = run::living(&run) else { return Ok(None) };
        let token = fs::read_to_string(run.join("token")).context("read", run.join("token"))?;
        Ok(Some(Self { run, record, token, log: cache.log("rig-died.log"), _guard: None }))
    }

    /// The way to its dom0.
    pub fn dom0(&self) -> Channel {
        Channel::new(self.record.port, &self.token, &self.run)
    }

    /// Its run folder: `xen.log`, `qemu.log`.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// What is noted of it.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The console of the hypervisor so far.
    pub fn xen_log(&self) -> String {
        xen_log(&self.run)
    }

    /// Whether QEMU still runs.
    pub fn is_alive(&self) -> bool {
        self.record.qemu.is_alive()
    }

    /// Makes sure that QEMU still runs.
    ///
    /// # Errors
    /// [`Error::Died`] with the last line of the hypervisor.
    pub fn check(&self) -> Result<()> {
        if self.is_alive() {
            return Ok(());
        }
        Err(Error::Died { last: tool::last_line(&self.xen_log()), log: self.keep_log() })
    }

    /// Copies the hypervisor's console to where it stays when the run folder goes.
    fn keep_log(&self) -> PathBuf {
        let _ = fs::copy(self.run.join("xen.log"), &self.log);
        self.log.clone()
    }

    /// Opens QEMU's monitor.
    ///
    /// # Errors
    /// [`Error::Died`], [`Error::Monitor`].
    pub fn monitor(&self) -> Result<Monitor> {
        self.check()?;
        Monitor::connect(&self.run)
    }

    /// Leads a port of 127.0.0.1 to a guest.
    ///
    /// # Errors
    /// [`Error::PortInUse`].
    pub fn forward(&mut self, port: u16, guest: &str, guest_port: u16) -> Result<()> {
        let same = |(known, address, target): &(u16, String, u16)| {
            *known == port && address == guest && *target == guest_port
        };
        if self.record.forwards.iter().any(same) {
            return Ok(());
        }
        self.unforward(port)?;
        ports::check_free(port)?;
        let said = self
            .monitor()?
            .human(&format!("hostfwd_add dat tcp:127.0.0.1:{port}-{guest}:{guest_port}"))?;
        if said.contains("could not") {
            return Err(Error::PortInUse { port });
        }
        self.record.forwards.push((port, guest.into(), guest_port));
        run::note(&self.run, &self.record)
    }

    /// Ends what [`Instance::forward`] did; a port that leads nowhere is fine.
    ///
    /// # Errors
    /// [`Error::Monitor`].
    pub fn unforward(&mut self, port: u16) -> Result<()> {
        if self.record.forwards.iter().all(|(known, _, _)| *known != port) {
            return Ok(());
        }
        self.monitor()?.human(&format!("hostfwd_remove dat tcp:127.0.0.1:{port}"))?;
        self.record.forwards.retain(|(known, _, _)| *known != port);
        run::note(&self.run, &self.record)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When its folder cannot be tidied up.
    pub fn stop(self) -> Result<()> {
        self.record.qemu.kill();
        for name in ["ram", "monitor", "pid", "token", "record.json"] {
            let _ = fs::remove_file(self.run.join(name));
        }
        Ok(())
    }
}

/// Resumes the snapshot if there is one that fits; otherwise boots, makes a snapshot, and resumes that.
fn start(cache: &Cache, name: Option<&str>, progress: &dyn Progress) -> Result<Instance> {
    let machine = Machine::dom0();
    let seen = age(cache);
    match usable(cache, &machine)? {
        Ok(()) => match phase(progress, "rig: resume", None, || resume(cache, name, &machine)) {
            Ok(instance) => return Ok(instance),
            Err(error @ (Error::PortInUse { .. } | Error::DiskFull { .. })) => return Err(error),
            Err(error) => {
                progress.note(&format!("the snapshot could not be resumed ({error}): booting anew"))
            }
        },
        Err("") => {}
        Err(reason) => {
            progress.note(&format!("the snapshot does not fit ({reason}): booting anew"))
        }
    }
    let lock = cache.lock("boot", progress)?;
    // Another process may have made it while this one waited.
    let made_by_another = age(cache) != seen && usable(cache, &machine)?.is_ok();
    if !made_by_another {
        renew(cache, &machine, progress)?;
    }
    drop(lock);
    phase(progress, "rig: resume", None, || resume(cache, name, &machine))
}

/// When the stored snapshot was made, if there is one.
fn age(cache: &Cache) -> Option<SystemTime> {
    cache.snapshot().join("stamp").metadata().ok()?.modified().ok()
}

/// Whether the stored snapshot can be used; the inner error is why not, empty when there is none.
fn usable(cache: &Cache, machine: &Machine) -> Result<std::result::Result<(), &'static str>> {
    let Some(stored) = Print::of(&cache.snapshot()) else { return Ok(Err("")) };
    Ok(stored.misfit(&Print::now(cache, machine)?).map_or(Ok(()), Err))
}

/// Boots cold and replaces the snapshot.
fn renew(cache: &Cache, machine: &Machine, progress: &dyn Progress) -> Result<()> {
    cache.need_space(MEMORY_SPACE)?;
    let instance =
        phase(progress, "rig: first boot of Xen and dom0", None, || boot(cache, machine))?;
    phase(progress, "rig: snapshot", None, || save(cache, machine, instance))
}

/// Boots Xen and dom0 from nothing, as an instance of this process.
///
/// # Errors
/// [`Error::Died`], [`Error::Timeout`], [`Error::QemuStart`].
pub fn boot(cache: &Cache, machine: &Machine) -> Result<Instance> {
    let instance = launch(cache, None, machine, Memory::Saved)?;
    let end = Instant::now() + BOOT_LIMIT;
    while !instance.xen_log().contains("RIG-READY") {
        instance.check()?;
        if Instant::now() > end {
            let log = instance.keep_log();
            return Err(Error::Timeout {
                what: "the first boot of dom0".into(),
                limit: BOOT_LIMIT,
                log,
            });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    instance.dom0().wait(RESUME_LIMIT)?;
    Ok(instance)
}

/// Saves a cold-booted instance as the snapshot, which ends it.
fn save(cache: &Cache, machine: &Machine, instance: Instance) -> Result<()> {
    let new = cache.path().join("snapshot.new");
    cache::fresh(&new)?;
    let mut monitor = instance.monitor()?;
    monitor.command("stop", serde_json::json!({}))?;
    monitor.save(&new.join("state"))?;
    instance.record.qemu.kill();
    fs::rename(instance.run.join("ram"), new.join("ram"))
        .context("move", instance.run.join("ram"))?;
    // Pages that were never used are holes again; without the tool the file is only larger.
    let _ = Command::new("fallocate").arg("-d").arg(new.join("ram")).stderr(Stdio::null()).status();
    let _lock = cache.lock("snapshot", &crate::Silent)?;
    cache::publish(&new, &cache.snapshot(), &Print::now(cache, machine)?.to_stamp())
}

/// Starts an instance from the snapshot: its memory is read as it is used.
fn resume(cache: &Cache, name: Option<&str>, machine: &Machine) -> Result<Instance> {
    let _lock = cache.lock_shared("snapshot")?;
    let instance = launch(cache, name, machine, Memory::Private)?;
    let loaded =
        instance.monitor().and_then(|mut monitor| monitor.load(&cache.snapshot().join("state")));
    match loaded.and_then(|()| instance.dom0().wait(RESUME_LIMIT)) {
        Ok(()) => Ok(instance),
        Err(error) => {
            instance.record.qemu.kill();
            Err(error)
        }
    }
}

/// Starts QEMU in a fresh run folder; it is owned by this process when it has no name.
fn launch(
    cache: &Cache,
    name: Option<&str>,
    machine: &Machine,
    memory: Memory,
) -> Result<Instance> {
    let run = match name {
        Some(name) => run::fresh(cache, name, false)?,
        None => run::fresh_private(cache)?,
    };
    link_files(cache, &run, memory)?;
    let token = fs::read_to_string(run.join("token")).context("read", run.join("token"))?;
    let mut tries = 0;
    let (port, pid) = loop {
        let port = ports::free()?;
        match spawn(cache, &run, command::dom0(machine, memory, port)) {
            Ok(pid) => break (port, pid),
            // Somebody else took the port in between.
            Err(Error::QemuStart { reason })
                if reason.contains("hostfwd") || reason.contains("forwarding") =>
            {
                tries += 1;
                if tries == 5 {
                    return Err(Error::PortInUse { port });
                }
            }
            Err(error) => return Err(error),
        }
    };
    let qemu =
        Identity::of(pid).ok_or_else(|| Error::QemuStart { reason: "it ended at once".into() })?;
    let record = Record { qemu, port, image: setup_stamp(), forwards: Vec::new() };
    let guard = match name {
        Some(_) => None,
        None => Some(Guard::new(qemu, Some(&run)).context("watch QEMU in", &run)?),
    };
    run::note(&run, &record)?;
    Ok(Instance { run, record, token, log: cache.log("rig-died.log"), _guard: guard })
}

fn link_files(cache: &Cache, run: &Path, memory: Memory) -> Result<()> {
    let image = cache.image();
    let mut files = vec![("xen", image.join("xen")), ("linux", image.join("linux"))];
    files.extend([("initramfs", image.join("initramfs")), ("root", image.join("dom0.img"))]);
    if memory == Memory::Private {
        files.push(("ram", cache.snapshot().join("ram")));
    }
    for (name, target) in files {
        // QEMU would make a file that is missing, and wait for ever.
        fs::metadata(&target).context("find", &target)?;
        symlink(target, run.join(name)).context("link", run.join(name))?;
    }
    // A copy: the image may be made anew, with another token, while this instance runs.
    fs::copy(image.join("token"), run.join("token")).context("copy", image.join("token")).map(drop)
}

/// Starts QEMU, which goes to the background by itself once all is open.
fn spawn(cache: &Cache, run: &Path, line: Vec<String>) -> Result<u32> {
    let mut qemu = Tree::at(cache.tree()).qemu()?;
    let log = run.join("qemu.log");
    let errors = fs::File::create(&log).context("create", &log)?;
    qemu.args(line).current_dir(run).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    let status = qemu.status().map_err(|error| tool::could_not_start("QEMU", &error))?;
    if !status.success() {
        let reason = tool::last_line(&fs::read_to_string(&log).unwrap_or_default());
        return Err(Error::QemuStart { reason });
    }
    let pid = fs::read_to_string(run.join("pid")).context("read", run.join("pid"))?;
    pid.trim().parse().map_err(|_| Error::QemuStart { reason: "it left no process number".into() })
}

fn xen_log(run: &Path) -> String {
    String::from_utf8_lossy(&fs::read(run.join("xen.log")).unwrap_or_default()).into_owned()
}

//! A copy of the rig, for one case after the other: commands in its domain 0, and domains on it.
//!
//! Invariant: it ends with its value. Every command has a time limit, and one that fails becomes a fault that names the step.

use std::path::Path;
use std::time::Duration;

use rig::{Cache, Channel, Disk, Dom0, Instance, Output, Progress, Restart, Spec};
use tempfile::TempDir;

use super::fault::{Fault, Outcome, Step, ensure, short};
use super::guest::Guest;
use super::systems::Systems;
use crate::place::mac_of;
use crate::system::Packed;

/// For a command that only asks.
pub const ASK: Duration = Duration::from_secs(20);
/// Between two looks at something that is waited for, in seconds.
const PAUSE: &str = "0.1";

/// A copy of the rig.
pub struct Machine<'s> {
    systems: &'s Systems,
    scratch: TempDir,
    dom0: Channel,
    instance: Instance,
}

/// A domain that is wanted.
pub struct Order<'a> {
    /// The system.
    pub system: &'a str,
    /// The domain's name.
    pub name: &'a str,
    /// Memory in MiB; none: what the manifest says.
    pub memory: Option<u32>,
    /// Words for the kernel.
    pub extra: &'a str,
    /// Its disks.
    pub disks: Vec<Disk<'a>>,
    /// What becomes of it when it shuts down.
    pub restart: Restart,
}

impl<'a> Order<'a> {
    /// A system as a domain of the same name, with nothing special.
    pub const fn of(system: &'a str) -> Self {
        Self {
            system,
            name: system,
            memory: None,
            extra: "",
            disks: Vec::new(),
            restart: Restart::OnReboot,
        }
    }
}

impl<'s> Machine<'s> {
    /// Resumes a copy.
    ///
    /// # Errors
    /// When the rig cannot be started.
    pub fn resume(cache: &Cache, systems: &'s Systems, progress: &dyn Progress) -> Outcome<Self> {
        let step = "resume the rig";
        let scratch = tempfile::tempdir().step(step)?;
        let instance = Instance::private(cache, progress).step(step)?;
        let dom0 = instance.dom0();
        // What the snapshot's domain 0 had to say is not about this copy.
        dom0.exec("dmesg -c >/dev/null", ASK).step(step)?;
        Ok(Self { systems, scratch, dom0, instance })
    }

    /// The way to its domain 0.
    pub fn dom0(&self) -> &dyn Dom0 {
        &self.dom0
    }

    /// The copy itself.
    pub const fn instance(&self) -> &Instance {
        &self.instance
    }

    /// A folder of this machine that goes with the copy.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The packed system of a name.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn packed(&self, system: &str) -> Outcome<Packed> {
        self.systems.packed(system)
    }

    /// Runs a command in domain 0, however it ends.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn exec(&self, step: &str, command: &str, limit: Duration) -> Outcome<Output> {
        self.dom0.exec(command, limit).step(step)
    }

    /// Runs a command in domain 0 that has to go well, and gives what it printed.
    ///
    /// # Errors
    /// With what it printed, when it does not.
    pub fn run(&self, step: &str, command: &str, limit: Duration) -> Outcome<String> {
        let output = self.exec(step, command, limit)?;
        ensure(output.is_ok(), step, || {
            format!("`{}` gave {}: {}", short(command), output.status, short(&output.text))
        })?;
        Ok(output.text)
    }

    /// Runs a command in domain 0 again and again until it goes well, and gives what it printed then.
    ///
    /// # Errors
    /// With what it printed last, when it has not gone well within `limit`.
    pub fn until(&self, step: &str, command: &str, limit: Duration) -> Outcome<String> {
        let text = format!(
            "end=$(($(date +%s) + {})); while :; do out=$({command}) && break; \
             [ $(date +%s) -lt $end ] || {{ printf %s \"$out\"; exit 1; }}; sleep {PAUSE}; done; printf %s \"$out\"",
            limit.as_secs()
        );
        let output = self.exec(step, &text, limit + ASK)?;
        if output.is_ok() {
            return Ok(output.text);
        }
        let reason =
            format!("not within {} s; last seen: {}", limit.as_secs(), short(&output.text));
        Err(Fault::new(step, reason))
    }

    /// The line in which domain 0 says that time passed without it running, by its second clock, if it does.
    pub fn stood_still(&self) -> Option<String> {
        let look = "dmesg | grep -m 1 'clocksource: Long readout interval'";
        let output = self.dom0.exec(look, ASK).ok()?;
        output.is_ok().then(|| output.text.trim().to_owned())
    }

    /// Creates a domain.
    ///
    /// # Errors
    /// With what `xl` said.
    pub fn create(&self, order: Order<'_>) -> Outcome<Guest<'_>> {
        let packed = self.packed(order.system)?;
        let mac = mac_of(order.name);
        let spec = Spec {
            name: order.name,
            kernel: &packed.kernel,
            image: &packed.image,
            memory: order.memory.unwrap_or(packed.memory),
            vcpus: 1,
            extra: order.extra,
            bridge: packed.has_network.then_some("xenbr0"),
            mac: packed.has_network.then_some(mac.as_str()),
            disks: order.disks,
            restart: order.restart,
            note: "",
        };
        Guest::create(self, &spec)
    }

    /// A domain that runs.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn found(&self, name: &str) -> Outcome<Guest<'_>> {
        let there = Guest::find(self, name)?;
        there.ok_or_else(|| Fault::new(format!("find {name}"), "there is no such domain"))
    }

    /// The domain `web`, which an earlier case on this copy may have left; its page answers.
    ///
    /// # Errors
    /// When there is none and none can be created, or it does not answer.
    pub fn web(&self) -> Outcome<Guest<'_>> {
        let there = Guest::find(self, "web")?;
        let web = there.map_or_else(|| self.create(Order::of("web")), Ok)?;
        web.page()?;
        Ok(web)
    }
}

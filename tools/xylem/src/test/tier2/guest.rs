//! A domain that a case looks at: its console, its page, its end.
//!
//! Invariant: what is looked for on its console is looked for behind the last [`Guest::mark`], so no line counts twice.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use rig::Spec;
use rig::dom0::quoted;
use rig::domain::Domain;

use super::fault::{Fault, Outcome, Step, ensure};
use super::machine::{ASK, Machine};

/// For a domain to come up, with an emulator that has half a core.
pub const UP: Duration = Duration::from_secs(30);

/// For a domain to end when it is asked to.
pub const END: Duration = Duration::from_secs(20);

/// Words on the console that no healthy domain writes.
const BAD: &str = "faulted:|starts again in|stays off|cannot be started|KERNEL PANIC";

/// A domain.
pub struct Guest<'m> {
    machine: &'m Machine<'m>,
    domain: Domain<'m>,
    /// Bytes of its console's log that do not count any more.
    seen: Cell<u64>,
    /// Its network address, once it was told.
    address: OnceCell<String>,
}

impl<'m> Guest<'m> {
    /// Creates one.
    ///
    /// # Errors
    /// With what `xl` said.
    pub fn create(machine: &'m Machine<'m>, spec: &Spec<'_>) -> Outcome<Self> {
        let step = format!("xl create {}", spec.name);
        let size = log_size(machine, spec.name)?;
        let domain = Domain::create(machine.dom0(), spec).step(&step)?;
        Ok(Self { machine, domain, seen: Cell::new(size), address: OnceCell::new() })
    }

    /// The one of this name, if it runs.
    ///
    /// # Errors
    /// When domain 0 does not answer.
    pub fn find(machine: &'m Machine<'m>, name: &str) -> Outcome<Option<Self>> {
        let domain = Domain::named(machine.dom0(), name).step(name)?;
        if domain.id().step("xl domid")?.is_none() {
            return Ok(None);
        }
        let seen = Cell::new(log_size(machine, name)?);
        Ok(Some(Self { machine, domain, seen, address: OnceCell::new() }))
    }

    /// Where it runs.
    pub const fn machine(&self) -> &'m Machine<'m> {
        self.machine
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.domain.name()
    }

    /// Its number.
    ///
    /// # Errors
    /// When it is not there.
    pub fn id(&self) -> Outcome<u32> {
        let step = format!("xl domid {}", self.name());
        self.domain.id().step(&step)?.ok_or_else(|| Fault::new(step, "there is no such domain"))
    }

    /// What the rig can do with it.
    pub const fn domain(&self) -> &Domain<'m> {
        &self.domain
    }

    /// From now on only what comes later counts.
    ///
    /// # Errors
    /// When domain 0 does not answer.
    pub fn mark(&self) -> Outcome {
        self.seen.set(log_size(self.machine, self.name())?);
        Ok(())
    }

    /// Waits for a line with this text, and gives it.
    ///
    /// # Errors
    /// With the text that is missing.
    pub fn sees(&self, text: &str, limit: Duration) -> Outcome<String> {
        let step = format!("the console of {} shows `{text}`", self.name());
        let look = format!("{} | grep -a -m 1 -F -- {}", self.since(), quoted(text));
        let line = self.machine.until(&step, &look, limit)?;
        Ok(line.trim().to_owned())
    }

    /// Makes sure that no server has faulted or was started again since the mark.
    ///
    /// # Errors
    /// With the line that tells.
    pub fn is_healthy(&self, step: &str) -> Outcome {
        let found = self.machine.exec(
            step,
            &format!("{} | grep -a -m 1 -E {}", self.since(), quoted(BAD)),
            ASK,
        )?;
        ensure(!found.is_ok(), step, || format!("the console says: {}", found.text.trim()))
    }

    /// The address of its network device.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn address(&self) -> Outcome<String> {
        if let Some(address) = self.address.get() {
            return Ok(address.clone());
        }
        let step = format!("{} tells its address", self.name());
        let look = format!(
            "grep -a '^.net. address [0-9]' {} | tail -n 1 | grep -o -E '([0-9]+[.]){{3}}[0-9]+' | head -n 1 | grep .",
            log(self.name())
        );
        let address = self.machine.until(&step, &look, UP)?.trim().to_owned();
        Ok(self.address.get_or_init(|| address).clone())
    }

    /// The address of a page.
    ///
    /// # Errors
    /// When it does not tell its address.
    pub fn url(&self, path: &str) -> Outcome<String> {
        Ok(format!("http://{}{path}", self.address()?))
    }

    /// Waits until the front page answers, and gives it.
    ///
    /// # Errors
    /// When it does not.
    pub fn page(&self) -> Outcome<String> {
        let url = self.url("/")?;
        let step = format!("{url} answers");
        self.machine.until(&step, &format!("curl -sSf -m 3 {url} 2>&1"), UP)
    }

    /// Fetches a page at the first try, within 5 seconds.
    ///
    /// # Errors
    /// When it does not answer with 200.
    pub fn get(&self, step: &str, path: &str) -> Outcome<String> {
        let url = self.url(path)?;
        self.machine.run(step, &format!("curl -sSf -m 5 {url} 2>&1"), ASK)
    }

    /// The state of its system, as JSON, once it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn status(&self) -> Outcome<String> {
        let url = self.url("/status.json")?;
        let step = format!("{url} answers");
        self.machine.until(&step, &format!("curl -sSf -m 3 {url} 2>&1"), UP)
    }

    /// Waits until it is gone by itself.
    ///
    /// # Errors
    /// When it is still there after a while.
    pub fn is_gone(&self) -> Outcome {
        self.domain.wait_gone(END).step(&format!("{} is gone", self.name()))
    }

    /// After something that might have hurt: the page answers at the first try, and no server has faulted.
    ///
    /// # Errors
    /// When it does not.
    pub fn is_unhurt(&self, after: &str) -> Outcome {
        let step = format!("a good request after {after}");
        let look = format!(
            "page=$(curl -sSf -m 5 {} 2>&1) || {{ echo \"$page\"; exit 1; }}; [[ $page == *'</html>'* ]] || exit 2; \
             ! {} | grep -a -m 1 -E {}",
            self.url("/")?,
            self.since(),
            quoted(BAD)
        );
        let found = self.machine.exec(&step, &look, ASK)?;
        ensure(found.is_ok(), &step, || match found.text.trim() {
            "" => "the page is not whole".into(),
            text => format!("`{text}`"),
        })
    }

    /// Types a line at its console.
    ///
    /// # Errors
    /// When it has none.
    pub fn types(&self, line: &str) -> Outcome {
        self.domain.type_text(&format!("{line}\n")).step(&format!("type `{line}`"))
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// With what `xl` said.
    pub fn destroy(&self) -> Outcome {
        self.domain.destroy().step(&format!("xl destroy {}", self.name()))
    }

    /// The command that prints its console since the mark.
    fn since(&self) -> String {
        format!("tail -c +{} {} 2>/dev/null", self.seen.get() + 1, log(self.name()))
    }
}

/// Where xenconsoled keeps the console of a domain.
fn log(name: &str) -> String {
    format!("/var/log/xen/console/guest-{name}.log")
}

fn log_size(machine: &Machine<'_>, name: &str) -> Outcome<u64> {
    let size = machine.exec(
        "look at the console",
        &format!("stat -c %s {} 2>/dev/null", log(name)),
        ASK,
    )?;
    Ok(size.text.trim().parse().unwrap_or(0))
}

//! Where figures are measured: a copy of the rig for this command alone, and the two domains that are compared on it.
//!
//! Invariant: both domains are on the same bridge of the same dom0, with the same settings but memory and kernel; both are
//! asked by the same script. All ends with its value.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rig::domain::Domain;
use rig::{Archive, Cache, Channel, Dom0, Instance, Progress, Restart, Spec};
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use super::moments::Moments;
use crate::args::Bench;
use crate::failure::{Context, Failure, Result};
use crate::place::mac_of;
use crate::system::{self, Packed, quiet_phase};
use crate::ui::Screen;

/// For whatever a domain does.
const LIMIT: Duration = Duration::from_secs(180);
/// Creates a domain and tells when it answers.
const FIRST_ANSWER: &str = include_str!("first_answer.sh");
/// Its place in dom0.
const SCRIPT: &str = "/run/xylem-first-answer";
/// MiB of the Linux guest: with less its initramfs leaves too little.
const LINUX_MEMORY: u32 = 128;
/// Where the Linux guest serves the bytes of Xylem's front page.
const COPY: &str = "front.html";

/// The web system, built and packed, or as it was given.
///
/// # Errors
/// Those of building.
pub fn web(args: &Bench, screen: &Screen) -> Result<Packed> {
    let manifest = system::find("web")?;
    match args.built.pair() {
        Some((kernel, image)) => system::ready(&manifest, kernel, image),
        None => system::build_and_pack(&manifest, args.verbose, screen),
    }
}

/// A copy of the rig.
pub struct Ground {
    cache: Cache,
    // Before the instance: the way goes first.
    dom0: Channel,
    _instance: Instance,
}

/// What there is to know of a kind of guest.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// The domain's name.
    name: &'static str,
    /// What it is called in messages.
    who: &'static str,
    /// What stands before its address on its console.
    told: &'static str,
    /// Where it tells of itself.
    status: &'static str,
    /// A line of its console that says when it was ready.
    ready: &'static str,
    /// Where its front page is.
    front: &'static str,
    /// How often a round may be tried: a rival that fails shall not end the bench, a failure of ours shall.
    tries: u32,
}

const XYLEM: Kind = Kind {
    name: "bench-web",
    who: "the web system",
    told: "[net] address ",
    status: "/status.json",
    ready: "servers are ready",
    front: "/",
    tries: 1,
};

const LINUX: Kind = Kind {
    name: "bench-linux",
    who: "the Linux guest",
    told: "DHCP ",
    status: "/cgi-bin/status",
    ready: "",
    front: "/front.html",
    tries: 2,
};

impl Ground {
    /// Resumes a copy of the rig.
    ///
    /// # Errors
    /// Those of the rig.
    pub fn open(screen: &Screen) -> Result<Self> {
        let cache = Cache::open()?;
        let instance = Instance::private(&cache, screen)?;
        if rig::is_mended(&cache)? {
            screen.note("QEMU is mended: an injected interrupt is delivered once");
        } else {
            screen.note(
                "this QEMU is not mended: the Linux guest may die of an interrupt that comes twice",
            );
        }
        let dom0 = instance.dom0();
        let size = FIRST_ANSWER.len() as u64;
        dom0.write(&mut FIRST_ANSWER.as_bytes(), size, SCRIPT)?;
        Ok(Self { cache, dom0, _instance: instance })
    }

    /// Runs a command in dom0 that has to go well, and gives what it printed.
    ///
    /// # Errors
    /// With what it printed, when it does not.
    pub fn run(&self, command: &str) -> Result<String> {
        Ok(self.way().run(command, LIMIT)?)
    }

    fn way(&self) -> &dyn Dom0 {
        &self.dom0
    }

    /// The web system and the Linux guest, each written down, run once, and ended.
    ///
    /// # Errors
    /// When one does not answer.
    pub fn both(&self, packed: &Packed, screen: &Screen) -> Result<(Guest<'_>, Guest<'_>)> {
        let xylem = self.xylem(packed, screen)?;
        let page = xylem.front_page()?;
        xylem.end()?;
        let linux = self.linux(&page, screen)?;
        linux.end()?;
        Ok((xylem, linux))
    }

    fn xylem(&self, packed: &Packed, screen: &Screen) -> Result<Guest<'_>> {
        let mac = mac_of(XYLEM.name);
        let spec =
            Spec { memory: packed.memory, ..spec(XYLEM, &packed.kernel, &packed.image, &mac) };
        quiet_phase(screen, "the web system, a first time", || Guest::new(self, XYLEM, &spec))
    }

    /// The Linux guest, which serves a copy of a page too.
    fn linux(&self, front_page: &str, screen: &Screen) -> Result<Guest<'_>> {
        let initramfs = self.initramfs(front_page)?;
        let (kernel, mac) = (self.cache.image().join("linux"), mac_of(LINUX.name));
        let spec = Spec {
            memory: LINUX_MEMORY,
            extra: "console=hvc0 dhcp quiet",
            ..spec(LINUX, &kernel, initramfs.path(), &mac)
        };
        quiet_phase(screen, "the Linux guest, a first time", || Guest::new(self, LINUX, &spec))
    }

    /// The guest's own initramfs, and a second archive with the page after it.
    fn initramfs(&self, front_page: &str) -> Result<NamedTempFile> {
        let mut page = Archive::default();
        page.file(&format!("www/{COPY}"), front_page.as_bytes());
        let mut file = NamedTempFile::new().context("create a file in", std::env::temp_dir())?;
        self.way().read("/rig/guest-initramfs", file.as_file_mut())?;
        file.write_all(&page.finish()).context("write", file.path())?;
        Ok(file)
    }
}

/// What both kinds have in common.
fn spec<'a>(kind: Kind, kernel: &'a Path, image: &'a Path, mac: &'a str) -> Spec<'a> {
    Spec {
        name: kind.name,
        kernel,
        image,
        memory: 0,
        vcpus: 1,
        extra: "",
        bridge: Some("xenbr0"),
        mac: Some(mac),
        disks: Vec::new(),
        restart: Restart::Keep,
        note: "",
    }
}

/// One of the two.
pub struct Guest<'g> {
    ground: &'g Ground,
    domain: Domain<'g>,
    kind: Kind,
    mac: String,
    address: String,
    memory: u32,
}

impl<'g> Guest<'g> {
    /// Writes it down and runs it once: that tells its address, and later rounds find all of dom0 in memory.
    fn new(ground: &'g Ground, kind: Kind, spec: &Spec<'_>) -> Result<Self> {
        let domain = Domain::write(ground.way(), spec)?;
        let mac = spec.mac.unwrap_or_default().to_owned();
        let mut guest =
            Self { ground, domain, kind, mac, address: String::new(), memory: spec.memory };
        guest.address = guest.learn()?;
        Ok(guest)
    }

    fn learn(&self) -> Result<String> {
        let (start, log, told) = (self.domain.start(), self.log(), self.kind.told);
        let text = self.ground.run(&format!(
            "{start} >/dev/null || exit; n=0; \
             until a=$(grep -aF '{told}' {log} | tail -n 1) && [ -n \"$a\" ]; do \
             [ $((n += 1)) -lt 600 ] || {{ tail -n 20 {log}; exit 1; }}; sleep 0.1; done; echo \"$a\""
        ))?;
        let address = address_in(&text, told);
        address.ok_or_else(|| self.strange("its console", &text))
    }

    fn log(&self) -> String {
        format!("/var/log/xen/console/guest-{}.log", self.kind.name)
    }

    /// Ends it; it can be started again.
    ///
    /// # Errors
    /// Those of the way to dom0.
    pub fn end(&self) -> Result<()> {
        Ok(self.domain.end()?)
    }

    /// Creates it, and tells when it answered.
    ///
    /// # Errors
    /// When it does not answer, even when it is tried again.
    pub fn start(&self, screen: &Screen) -> Result<Moments> {
        let mut tried = 1;
        loop {
            self.end()?;
            match self.first_answer() {
                Err(error) if tried < self.kind.tries => {
                    screen.note(&format!("{} failed, and is tried again: {error}", self.kind.who));
                    tried += 1;
                }
                result => return result,
            }
        }
    }

    fn first_answer(&self) -> Result<Moments> {
        let (start, log, kind) = (self.domain.start(), self.log(), self.kind);
        let words = [&start, &self.address, &self.mac, kind.status, &log, kind.ready];
        let words = words.map(|word| format!(" '{word}'")).concat();
        let text = self.ground.run(&format!("bash {SCRIPT}{words}"))?;
        Moments::read(&text).ok_or_else(|| self.strange("its first answer", &text))
    }

    /// The address of its front page; of the same bytes for both.
    pub fn front(&self) -> String {
        format!("http://{}{}", self.address, self.kind.front)
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its front page.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn front_page(&self) -> Result<String> {
        self.ground.run(&format!("curl -sS --retry 9 --retry-connrefused -m 20 {}", self.front()))
    }

    /// The memory it was given, in bytes.
    pub fn memory(&self) -> u64 {
        u64::from(self.memory) << 20
    }

    /// What it said of itself.
    ///
    /// # Errors
    /// When that is something else.
    pub fn status<T: DeserializeOwned>(&self, moments: &Moments) -> Result<T> {
        serde_json::from_str(&moments.status)
            .map_err(|_| self.strange("its status", &moments.status))
    }

    /// The failure that it, or a tool about it, said what we do not understand.
    pub fn strange(&self, what: &str, text: &str) -> Failure {
        Failure::Strange { who: self.kind.who, what: what.into(), text: text.trim().into() }
    }
}

/// The address that stands after some words.
fn address_in(text: &str, told: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once(told)?;
    let address: String =
        rest.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    address.parse::<std::net::Ipv4Addr>().ok().map(|address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_on_consoles_of_both_kinds() {
        let ours = "[net] address 10.0.3.15/24\r\n";
        assert_eq!(address_in(ours, XYLEM.told).as_deref(), Some("10.0.3.15"));
        assert_eq!(address_in("DHCP 10.0.3.16\r\n", LINUX.told).as_deref(), Some("10.0.3.16"));
        assert_eq!(address_in("DHCP \r\n", LINUX.told), None);
        assert_eq!(address_in("", LINUX.told), None);
    }
}

//! The manifest: a system as the user describes it, in TOML.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::account::Time;
use crate::nearest::{hint, nearest};
use crate::report::Report;
use crate::size::{self, Pages};

/// What a slot may say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    image: Option<Spanned<String>>,
    /// Further images, packed so that the slot can be swapped to them.
    #[serde(default)]
    pub alternates: Vec<Spanned<String>>,
    /// Higher runs first.
    pub priority: Spanned<u8>,
    /// The slot that serves each need.
    #[serde(default)]
    pub wires: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    config: BTreeMap<Spanned<String>, Spanned<toml::Value>>,
    /// `always`, `never` or `crash`.
    pub restart: Option<Spanned<Restart>>,
    /// Most CPU time between two waits, in milliseconds; 0: no limit.
    pub longest_ms: Option<Spanned<u64>>,
    /// CPU time that it gets in each period; no limit unless given.
    pub budget: Option<Spanned<Time>>,
    /// That period.
    pub period: Option<Spanned<Time>>,
    /// The vCPU.
    pub vcpu: Option<Spanned<u16>>,
    /// The slot that decides about its faults and its memory, instead of the supervisor.
    pub manager: Option<Spanned<String>>,
    /// Memory that its manager may fill, page by page.
    pub space: Option<Spanned<Pages>>,
    /// Memory that it fills for those that it manages.
    pub frames: Option<Spanned<Pages>>,
    /// Its stack, instead of what the server asks for.
    pub stack: Option<Spanned<Pages>>,
    /// Its heap, instead of what the server asks for.
    pub heap: Option<Spanned<Pages>>,
    /// May print on the hypervisor's debug console.
    #[serde(default)]
    pub debug: bool,
    /// The front-end directory below `device/`.
    pub device: Option<Spanned<String>>,
}

/// What happens when a server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// Started again.
    Always,
    /// Left dead.
    Never,
    /// The domain crashes.
    Crash,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: Spanned<String>,
    memory: Option<Spanned<String>>,
    vcpus: Option<Spanned<u16>>,
    #[serde(default)]
    servers: toml::Table,
}

/// A manifest, decoded.
#[derive(Debug, Clone)]
pub struct Manifest {
    file: String,
    text: String,
    /// Name of the system.
    pub name: String,
    name_span: Range<usize>,
    memory: Option<(u32, Range<usize>)>,
    vcpus: Option<Spanned<u16>>,
    /// The slots, in the order of the file, the supervisor first.
    pub servers: Vec<(String, Server)>,
}

/// Memory of a domain whose manifest does not say, in MiB.
const MEMORY: u32 = 32;

impl Server {
    /// The image's name.
    pub fn image<'a>(&'a self, slot: &'a str) -> &'a str {
        self.image.as_ref().map_or(slot, |image| image.get_ref())
    }

    /// All images that may fill it, the first one first.
    pub fn images<'a>(&'a self, slot: &'a str) -> impl Iterator<Item = &'a str> {
        let alternates = self.alternates.iter().map(|image| image.get_ref().as_str());
        core::iter::once(self.image(slot)).chain(alternates)
    }

    /// Configuration lines.
    pub fn config_lines(&self) -> String {
        let mut lines = String::new();
        if let Some(device) = &self.device {
            lines.push_str(&format!("device={}\n", device.get_ref()));
        }
        for (key, value) in &self.config {
            lines.push_str(&format!("{}={}\n", key.get_ref(), line(value.get_ref())));
        }
        lines
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(file: &str, text: &str) -> Result<Self, Report> {
        let wrong = |error: &toml::de::Error| {
            let what = error.message();
            Report::at(file, text, error.span().unwrap_or(0..1), what, &help(what))
        };
        let raw: Raw = toml::from_str(text).map_err(|error| wrong(&error))?;
        let spans: Spans = toml::from_str(text).map_err(|error| wrong(&error))?;
        let memory = raw.memory.map(|memory| mebibytes(file, text, &memory)).transpose()?;
        let mut servers: Vec<(String, Server)> = Vec::new();
        for name in order(text, &raw.servers) {
            if let Some(server) = spans.servers.get(&name) {
                servers.push((name, server.clone()));
            }
        }
        servers.sort_by_key(|(name, _)| name != "supervisor");
        let name_span = raw.name.span();
        let manifest = Self {
            file: file.into(),
            text: text.into(),
            name: raw.name.into_inner(),
            name_span,
            memory,
            vcpus: raw.vcpus,
            servers,
        };
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Report> {
        if self.servers.first().is_none_or(|(name, _)| name != "supervisor") {
            let help = "add `[servers.supervisor]` with `priority = 255`";
            return Err(self.report_name("the system has no supervisor", help));
        }
        for (name, server) in &self.servers {
            for (key, value) in &server.config {
                if line(value.get_ref()).contains('\n') || key.get_ref().contains(['=', '\n']) {
                    let what =
                        format!("the setting `{}` of `{name}` cannot be a line", key.get_ref());
                    return Err(self.at(value.span(), &what, "keep it on one line"));
                }
            }
        }
        Ok(())
    }

    /// Memory of the domain, in MiB.
    pub fn memory_mib(&self) -> u32 {
        self.memory.as_ref().map_or(MEMORY, |memory| memory.0)
    }

    /// vCPUs of the domain.
    pub fn vcpus(&self) -> u16 {
        self.vcpus.as_ref().map_or(1, |vcpus| *vcpus.get_ref())
    }

    /// Where it says how many vCPUs.
    pub fn vcpus_span(&self) -> Range<usize> {
        self.vcpus.as_ref().map_or(self.name_span.clone(), Spanned::span)
    }

    /// Points at a place.
    pub fn at(&self, span: Range<usize>, what: &str, help: &str) -> Report {
        Report::at(&self.file, &self.text, span, what, help)
    }

    /// Points at the system's name.
    pub fn report_name(&self, what: &str, help: &str) -> Report {
        self.at(self.name_span.clone(), what, help)
    }

    /// Points at a slot's header.
    pub fn at_slot(&self, slot: &str, what: &str, help: &str) -> Report {
        let forms = [format!("[servers.{slot}]"), format!("[servers.\"{slot}\"]")];
        let found = forms.iter().find_map(|header| Some((self.text.find(header)?, header.len())));
        let (start, length) = found.unwrap_or((0, 1));
        self.at(start..start + length, what, help)
    }

    /// No such image; `known` are those that there are.
    pub fn unknown_image(&self, slot: &str, image: &str, known: &[String]) -> Report {
        let what = format!("there is no server image `{image}`");
        let help = "an image is the name of a server's crate: correct `image`, or add the crate";
        let help = hint(image, known.iter().map(String::as_str), help);
        let named = self.servers.iter().find(|(name, _)| name == slot).and_then(|(_, server)| {
            let mut named = server.image.iter().chain(&server.alternates);
            named.find(|named| named.get_ref() == image)
        });
        match named {
            Some(named) => self.at(named.span(), &what, &help),
            None => self.at_slot(slot, &what, &help),
        }
    }

    /// Whether all images are among those that there are.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_images(&self, known: &[String]) -> Result<(), Report> {
        let images = self
            .servers
            .iter()
            .flat_map(|(slot, server)| server.images(slot).map(move |image| (slot, image)));
        let mut unknown = images.filter(|(_, image)| !known.iter().any(|name| name == image));
        unknown.next().map_or(Ok(()), |(slot, image)| Err(self.unknown_image(slot, image, known)))
    }

    /// An image that cannot be used.
    pub fn bad_image(&self, slot: &str, image: &str, reason: &crate::elf::Reason) -> Report {
        self.at_slot(slot, &format!("the image `{image}` {}", reason.what), &reason.help)
    }

    /// Whether the system fits its memory.
    ///
    /// # Errors
    /// The memory that is missing.
    pub fn check_memory(&self, pages: u64) -> Result<(), Report> {
        let have = u64::from(self.memory_mib()) * 256;
        if pages <= have {
            return Ok(());
        }
        let what =
            format!("the system needs {} KiB to boot, and `memory` is {} KiB", pages * 4, have * 4);
        let help =
            format!("say `memory = \"{}M\"`, or give servers less heap", pages.div_ceil(256));
        let span = self.memory.as_ref().map_or(self.name_span.clone(), |memory| memory.1.clone());
        Err(self.at(span, &what, &help))
    }
}

/// How to mend what the decoder names.
fn help(what: &str) -> String {
    const SIZE: &str = "write a size like \"256K\", of whole pages of 4K, or the number of pages";
    const HELP: [(&str, &str); 10] = [
        ("missing field `name`", "begin with the system's name: `name = \"web\"`"),
        ("missing field `priority`", "add `priority = 60`; a server's is above its clients'"),
        ("unknown field", "correct the key, or leave it out; what a server reads goes in `config`"),
        ("unknown variant", "write one of these"),
        ("duplicate key", "say it once"),
        ("expected u8", "write a whole number of 0 to 255"),
        ("expected u16", "write a whole number"),
        ("pages", SIZE),
        ("is not a size", SIZE),
        ("a time", "write a time like \"100us\", \"2ms\" or \"1s\""),
    ];
    let known = HELP.iter().find(|(part, _)| what.contains(part));
    let help = known.map_or("write it as the manifests in boot/systems do", |(_, help)| *help);
    // The decoder quotes what it found, then what it knows.
    let mut quoted = what.split('`').skip(1).step_by(2);
    match quoted
        .next()
        .filter(|_| what.starts_with("unknown "))
        .and_then(|name| nearest(name, quoted))
    {
        Some(meant) => format!("did you mean `{meant}`? {help}"),
        None => help.into(),
    }
}

/// A value as a configuration line has it.
fn line(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(word) => word.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Array(values) => values.iter().map(line).collect::<Vec<_>>().join(","),
        toml::Value::Table(_) => String::from("\n"),
    }
}

#[derive(Debug, Deserialize)]
struct Spans {
    #[serde(default)]
    servers: BTreeMap<String, Server>,
}

/// Slot names in the order of the file.
fn order(text: &str, servers: &toml::Table) -> Vec<String> {
    let mut names: Vec<String> = servers.keys().cloned().collect();
    names.sort_by_key(|name| text.find(&format!("[servers.{name}]")).unwrap_or(usize::MAX));
    names
}

fn mebibytes(
    file: &str,
    text: &str,
    memory: &Spanned<String>,
) -> Result<(u32, Range<usize>), Report> {
    match size::mebibytes(memory.get_ref()).filter(|mebibytes| (4..=65_536).contains(mebibytes)) {
        Some(number) => Ok((number, memory.span())),
        None => Err(Report::at(
            file,
            text,
            memory.span(),
            "not a size of memory",
            "write 4M to 65536M, like \"16M\"",
        )),
    }
}

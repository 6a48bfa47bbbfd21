//! What a domain is made of, and how that is written down for `xl`.
//!
//! Invariant: pure. Texts of the caller can never end their quotes and become settings.

use std::fmt::Write as _;
use std::path::Path;

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
    /// A text of the caller's that is kept with it.
    pub note: &'a str,
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

/// The domain's configuration for `xl`.
pub(crate) fn config(spec: &Spec<'_>, folder: &str, paths: &[String]) -> String {
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
            note: "",
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
}

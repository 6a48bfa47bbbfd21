//! Which packages make the rig, and which versions go together.
//!
//! Invariant: a [`Toolstack`] and these lists are all that decides what is downloaded; a change makes the rig anew.

/// Versions that were seen working together, and the CPU model that their QEMU needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toolstack {
    /// The Debian suite that all packages come from.
    pub suite: &'static str,
    /// The version of Xen, as it stands in package names.
    pub xen: &'static str,
    /// The suite's version of Python: never fetched, but dependencies name it.
    pub python: &'static str,
    /// QEMU's `-cpu`. No XSAVE: with it the emulator loses vector registers of guests.
    pub cpu: &'static str,
}

/// The default first. QEMU 10.0 with Xen 4.17 is known bad (CR2 reads as 0), so suites are not mixed.
pub const TOOLSTACKS: [Toolstack; 2] = [
    Toolstack {
        suite: "trixie",
        xen: "4.20",
        python: "3.13",
        cpu: "max,-la57,-rdtscp,-avx,-avx2,-xsave,-sha-ni",
    },
    Toolstack { suite: "bookworm", xen: "4.17", python: "3.11", cpu: "qemu64,+svm,+npt,+rdrand" },
];

impl Toolstack {
    /// The one that `XYLEM_TOOLSTACK` names by its suite, or else the default.
    pub fn chosen() -> Self {
        Self::named(std::env::var("XYLEM_TOOLSTACK").as_deref().unwrap_or_default())
    }

    fn named(suite: &str) -> Self {
        let [default, ..] = TOOLSTACKS;
        TOOLSTACKS.into_iter().find(|stack| stack.suite == suite).unwrap_or(default)
    }

    /// The packages asked for; apt adds what they need.
    pub fn packages(&self) -> Vec<String> {
        let of_xen =
            ["xen-hypervisor-X-amd64", "xen-utils-X"].map(|name| name.replace('X', self.xen));
        WANTED.split_whitespace().map(str::to_owned).chain(of_xen).collect()
    }

    /// The dpkg status file that tells apt which packages it may leave out.
    pub fn spared_status(&self) -> String {
        let version = |name: &str| if name.starts_with("python3") { self.python } else { "9999" };
        let entry = |name: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nVersion: {}\nArchitecture: amd64\n\
                 Multi-Arch: allowed\nMaintainer: nobody\nDescription: left out\n\n",
                version(name)
            )
        };
        SPARED.into_iter().map(entry).collect()
    }

    /// All that decides what is in the unpacked tree.
    pub fn parts(&self) -> Vec<String> {
        let mut parts = vec![self.suite.to_owned(), self.xen.to_owned()];
        parts.extend(self.packages());
        parts.extend(SPARED.map(str::to_owned));
        parts
    }
}

const WANTED: &str = "qemu-system-x86 seabios e2fsprogs linux-image-amd64 xen-utils-common xenstore-utils bash coreutils \
                      iproute2 bridge-utils kmod curl apache2-utils socat busybox-static procps mount util-linux grep \
                      sed mawk findutils iputils-ping";

/// Packages that others name but nothing here runs: apt is told that they are installed.
///
/// They serve maintainer scripts, which never run here, or devices of QEMU that this rig does not have.
pub const SPARED: [&str; 27] = [
    "adduser",
    "cpio",
    "debconf",
    "dpkg",
    "dracut-install",
    "initramfs-tools",
    "initramfs-tools-core",
    "ipxe-qemu",
    "klibc-utils",
    "libasound2t64",
    "libbrlapi0.8",
    "libcacard0",
    "libpam-modules",
    "libpam-runtime",
    "libpcsclite1",
    "libusb-1.0-0",
    "libusbredirparser1t64",
    "linux-base",
    "passwd",
    "perl-base",
    "python3",
    "python3-minimal",
    "systemd",
    "tar",
    "tzdata",
    "ucf",
    "udev",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_empty_name_gives_the_default() {
        assert_eq!(Toolstack::named("").suite, "trixie");
        assert_eq!(Toolstack::named("sid").suite, "trixie");
        assert_eq!(Toolstack::named("bookworm").xen, "4.17");
    }

    #[test]
    fn no_package_is_both_wanted_and_spared() {
        for stack in TOOLSTACKS {
            assert!(stack.packages().iter().all(|name| !SPARED.contains(&name.as_str())));
            assert!(stack.packages().contains(&format!("xen-utils-{}", stack.xen)));
        }
    }
}

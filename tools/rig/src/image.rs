//! Makes what QEMU boots out of the unpacked packages: Xen, Linux, an initramfs, and the root file system of dom0.
//!
//! Invariant: the root is read-only for good; an instance writes to memory only, so any number may share it. It does
//! what maintainer scripts would have done, as far as it is needed here.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpio::Archive;
use crate::error::Context;
use crate::modules::{Module, Modules};
use crate::tree::Tree;
use crate::{Result, cache, hash, tool};

/// Raised when this file makes something else of the same parts.
const RECIPE: &str = "2";

const INITRAMFS: &str = include_str!("../dom0/initramfs");
const INIT: &str = include_str!("../dom0/init");
const CHANNEL: &str = include_str!("../dom0/channel");
const VIF: &str = include_str!("../dom0/vif");
const BLOCK: &str = include_str!("../dom0/block");
const GUEST_INIT: &str = include_str!("../dom0/guest-init");
const GUEST_DHCP: &str = include_str!("../dom0/guest-dhcp");

/// What the initramfs needs to reach the root. Without crc32c ext4 does not mount.
const BOOT_MODULES: &str = "virtio_pci virtio_blk crc32c_generic ext4 overlay";
const DOM0_MODULES: &str = "virtio_net virtio_rng virtio_console loop bridge xen-netback xen-blkback xen-evtchn \
                            xen-gntdev xen-gntalloc xen-privcmd xenfs xen-netfront xen-blkfront xen-pciback tun \
                            af_packet dm-mod";
const GUEST_MODULES: &str = "xen-netfront xen-blkfront";

/// What is large and of no use in dom0.
const LEFT_OUT: [&str; 16] = [
    "boot",
    "usr/lib/modules",
    "usr/lib/debug",
    "usr/lib/ipxe",
    "usr/lib/x86_64-linux-gnu/qemu",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/qemu",
    "usr/share/seabios",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/zoneinfo",
    "usr/share/i18n",
    "usr/share/perl5",
    "usr/bin/qemu-system-x86_64",
    "usr/bin/qemu-system-i386",
];

/// The stamp of an image made from a tree with this stamp.
pub fn stamp(tree: &str) -> String {
    let parts = [
        tree,
        RECIPE,
        INITRAMFS,
        INIT,
        CHANNEL,
        VIF,
        BLOCK,
        GUEST_INIT,
        GUEST_DHCP,
        BOOT_MODULES,
        DOM0_MODULES,
        GUEST_MODULES,
    ];
    hash::of_parts(parts.iter().copied().chain(LEFT_OUT))
}

/// Makes the image in the folder `into`.
///
/// # Errors
/// When a file operation or one of the tools fails.
pub fn make(tree: &Tree, xen: &str, into: &Path) -> Result<()> {
    cache::fresh(into)?;
    let version = tree.kernel()?;
    let mut modules = Modules::open(&tree.path().join("usr/lib/modules").join(&version))?;
    let boot = modules.load_order(BOOT_MODULES)?;
    let linux = tree.path().join(format!("boot/vmlinuz-{version}"));
    let hypervisor = tool::run(
        Command::new("gzip").arg("-dc").arg(tree.path().join(format!("boot/xen-{xen}-amd64.gz"))),
    )?;
    write(&into.join("xen"), &hypervisor)?;
    fs::copy(&linux, into.join("linux")).context("copy", &linux)?;
    write(&into.join("initramfs"), &initramfs(tree, &boot)?)?;

    let root = into.join("root");
    link_all(tree.path(), &root)?;
    lighten(&root)?;
    add_modules(
        tree,
        &root,
        &version,
        &modules.load_order(&format!("{BOOT_MODULES} {DOM0_MODULES}"))?,
    )?;
    add_block(&root)?;
    let rig = root.join("rig");
    add_rig(&rig, &token()?)?;
    fs::copy(rig.join("token"), into.join("token")).context("copy", into.join("token"))?;
    fs::copy(&linux, rig.join("guest-linux")).context("copy", &linux)?;
    write(&rig.join("guest-initramfs"), &guest(tree, &modules.load_order(GUEST_MODULES)?)?)?;
    file_system(tree, &root, &into.join("dom0.img"))?;
    cache::remove(&root)
}

fn initramfs(tree: &Tree, modules: &[Module]) -> Result<Vec<u8>> {
    let mut archive =
        with_busybox(tree, &["root", "lower", "upper", "proc", "sys", "dev"], modules)?;
    archive.program("init", INITRAMFS.as_bytes());
    Ok(archive.finish())
}

fn guest(tree: &Tree, modules: &[Module]) -> Result<Vec<u8>> {
    let mut archive = with_busybox(tree, &["proc", "sys", "dev", "www"], modules)?;
    archive.program("init", GUEST_INIT.as_bytes());
    archive.program("dhcp", GUEST_DHCP.as_bytes());
    Ok(archive.finish())
}

/// Busybox, some folders, and modules named so that their order is the load order.
fn with_busybox(tree: &Tree, folders: &[&str], modules: &[Module]) -> Result<Archive> {
    let busybox = tree.path().join("usr/bin/busybox");
    let mut archive = Archive::default();
    for folder in ["bin", "modules"].iter().chain(folders) {
        archive.folder(folder);
    }
    archive.program("bin/busybox", &fs::read(&busybox).context("read", &busybox)?);
    for (at, module) in modules.iter().enumerate() {
        archive.file(&format!("modules/{at:02}-{}", module.name), &module.content);
    }
    Ok(archive)
}

/// Makes a folder with all files of `from`, as links to them. `from` itself may be a link: what is changed in `to` must not
/// be changed there.
fn link_all(from: &Path, to: &Path) -> Result<()> {
    tool::run(Command::new("cp").arg("-al").arg(from.join(".")).arg(to)).map(drop)
}

/// Takes out what dom0 does not need and makes what maintainer scripts would have made.
fn lighten(root: &Path) -> Result<()> {
    for name in LEFT_OUT {
        let path = root.join(name);
        if path.is_dir() {
            cache::remove(&path)?
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    for (name, target) in [
        ("var/run", "/run"),
        ("var/lock", "/run/lock"),
        ("usr/bin/awk", "mawk"),
        ("usr/bin/sh", "bash"),
    ] {
        let path = root.join(name);
        if path.is_dir() && !path.is_symlink() {
            cache::remove(&path)?
        } else {
            let _ = fs::remove_file(&path);
        }
        symlink(target, &path).context("link", &path)?;
    }
    for name in ["boot", "dev", "proc", "sys", "run", "tmp", "root", "rig", "var/log", "etc", "mnt"]
    {
        let path = root.join(name);
        fs::create_dir_all(&path).context("create", &path)?;
    }
    Ok(())
}

fn add_modules(tree: &Tree, root: &Path, version: &str, modules: &[Module]) -> Result<()> {
    let from = tree.path().join("usr/lib/modules").join(version);
    let folder = root.join("usr/lib/modules").join(version);
    for module in modules {
        let path = folder.join(&module.path);
        fs::create_dir_all(path.parent().unwrap_or(&folder)).context("create", &path)?;
        write(&path, &module.content)?;
    }
    for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        fs::copy(from.join(name), folder.join(name)).context("copy", from.join(name))?;
    }
    tool::run(tree.command_as("usr/bin/kmod", "depmod").arg("-b").arg(root).arg(version)).map(drop)
}

fn add_rig(rig: &Path, token: &str) -> Result<()> {
    let programs = [("init", INIT), ("channel", CHANNEL), ("vif", VIF)];
    let programs = programs.map(|(name, text)| (name, text, 0o755));
    for (name, text, mode) in programs.into_iter().chain([("token", token, 0o600)]) {
        let path = rig.join(name);
        write(&path, text.as_bytes())?;
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .context("set the mode of", &path)?;
    }
    Ok(())
}

/// Puts our script for disks before Xen's own, which is beside it as `block.xen`.
fn add_block(root: &Path) -> Result<()> {
    let script = root.join("etc/xen/scripts/block");
    fs::rename(&script, script.with_extension("xen")).context("move", &script)?;
    write(&script, BLOCK.as_bytes())?;
    fs::set_permissions(&script, Permissions::from_mode(0o755)).context("set the mode of", &script)
}

/// The word that opens the channel: other users of this machine can reach its port, but do not know it.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    let source = Path::new("/dev/urandom");
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("read", source)?;
    Ok(format!("{}\n", hash::hex(&bytes)))
}

fn file_system(tree: &Tree, root: &Path, image: &Path) -> Result<()> {
    let megabytes = (size(root)? >> 20) * 11 / 10 + 32;
    let mut command = tree.command("usr/sbin/mke2fs");
    command.args([
        "-t",
        "ext4",
        "-q",
        "-F",
        "-O",
        "^has_journal",
        "-E",
        "root_owner=0:0",
        "-m",
        "0",
        "-d",
    ]);
    // The tree's own configuration: the host may have none, or one of another version.
    command.env("MKE2FS_CONFIG", tree.path().join("etc/mke2fs.conf"));
    tool::run(command.arg(root).arg(image).arg(format!("{megabytes}M"))).map(drop)
}

fn size(folder: &Path) -> Result<u64> {
    let mut sum = 4096;
    for entry in fs::read_dir(folder).context("read", folder)? {
        let entry = entry.context("read", folder)?;
        let data = entry.metadata().context("look at", entry.path())?;
        sum += if data.is_dir() { size(&entry.path())? } else { data.len().next_multiple_of(4096) };
    }
    Ok(sum)
}

fn write(path: &PathBuf, content: &[u8]) -> Result<()> {
    fs::write(path, content).context("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_behind_a_link_is_left_as_it_is() {
        let folder = std::env::temp_dir().join(format!("rig-link-{}", std::process::id()));
        let (tree, link, root) = (folder.join("tree"), folder.join("link"), folder.join("root"));
        fs::create_dir_all(tree.join("boot")).unwrap();
        fs::write(tree.join("boot/kernel"), "kernel").unwrap();
        symlink(&tree, &link).unwrap();
        link_all(&link, &root).unwrap();
        assert_eq!(fs::read(root.join("boot/kernel")).unwrap(), b"kernel");
        cache::remove(&root.join("boot")).unwrap();
        let kept = fs::read(tree.join("boot/kernel"));
        cache::remove(&folder).unwrap();
        assert_eq!(kept.unwrap(), b"kernel");
    }
}

//! From a system's name to a kernel and a packed image.
//!
//! Invariant: what is built and packed here is what `check`, `pack`, `run` and the tests use. It boots nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rig::{Progress, phase};
use serde::Deserialize;

use crate::failure::{Context, Failure, Result};

/// What a domain is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The system's name.
    pub name: String,
    /// The kernel's ELF.
    pub kernel: PathBuf,
    /// The packed image.
    pub image: PathBuf,
    /// Memory of the domain in MiB.
    pub memory: u32,
    /// vCPUs of the domain.
    pub vcpus: u32,
    /// Whether it has a server for Xen's network device.
    pub has_network: bool,
}

/// The parts of a manifest that say what has to be built; the packer reads and checks all of it.
#[derive(Debug, Deserialize)]
struct Manifest {
    name: Option<String>,
    memory: Option<String>,
    vcpus: Option<u32>,
    #[serde(default)]
    servers: BTreeMap<String, Server>,
}

#[derive(Debug, Deserialize)]
struct Server {
    image: Option<String>,
    #[serde(default)]
    alternates: Vec<String>,
}

/// The target of the kernel.
pub const KERNEL_TARGET: &str = "x86_64-unknown-none";
/// The target of the servers.
pub const SERVER_TARGET: &str = "x86_64-unknown-linux-musl";

/// Memory of a domain whose manifest does not say.
const MEMORY: u32 = 32;

impl Manifest {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("read", path)?;
        toml::from_str(&text)
            .map_err(|error| Failure::Manifest { text: format!("{}: {error}", path.display()) })
    }

    /// The crates of its servers.
    fn images(&self) -> BTreeSet<&str> {
        let of = |(name, server)| {
            let Server { image, alternates }: &Server = server;
            let image = image.as_deref().unwrap_or(name);
            core::iter::once(image).chain(alternates.iter().map(String::as_str))
        };
        self.servers.iter().map(|(name, server)| (name.as_str(), server)).flat_map(of).collect()
    }

    fn memory(&self) -> u32 {
        self.memory.as_deref().and_then(pack::size::mebibytes).unwrap_or(MEMORY)
    }

    fn vcpus(&self) -> u32 {
        self.vcpus.unwrap_or(1)
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    own.ancestors().nth(2).map_or_else(|| own.clone(), Path::to_path_buf)
}

/// The manifest of a system: a path that is there, or a name in boot/systems or tests/systems.
///
/// # Errors
/// [`Failure::NoSystem`] with what there is.
pub fn find(system: &str) -> Result<PathBuf> {
    find_in(&root(), system)
}

fn find_in(root: &Path, system: &str) -> Result<PathBuf> {
    if system.ends_with(".toml") && Path::new(system).is_file() {
        return Ok(system.into());
    }
    let folders = ["boot/systems", "tests/systems"].map(|folder| root.join(folder));
    let file = format!("{system}.toml");
    let found = folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file());
    let [first, _] = &folders;
    found.ok_or_else(|| Failure::NoSystem { name: system.into(), known: names_in(first) })
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let manifests = entries.filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
    let mut names: Vec<String> =
        manifests.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// Builds what a system needs, and packs it.
///
/// # Errors
/// [`Failure::Compile`], [`Failure::Manifest`].
pub fn build_and_pack(
    manifest: &Path,
    is_verbose: bool,
    progress: &dyn Progress,
) -> Result<Packed> {
    let parsed = Manifest::read(manifest)?;
    check_images(manifest)?;
    let images: Vec<&str> = parsed.images().into_iter().collect();
    build_all(&images, is_verbose, progress)?;
    let name = parsed
        .name
        .clone()
        .unwrap_or_else(|| manifest.file_stem().unwrap_or_default().to_string_lossy().into());
    let image = pack(manifest, &name)?;
    Ok(Packed {
        name,
        kernel: output(KERNEL_TARGET, "kernel"),
        image,
        memory: parsed.memory(),
        vcpus: parsed.vcpus(),
        has_network: images.contains(&"netfront"),
    })
}

/// Builds what a system needs, and packs it without writing anything.
///
/// # Errors
/// [`Failure::Compile`], [`Failure::Manifest`].
pub fn check(manifest: &Path, is_verbose: bool, progress: &dyn Progress) -> Result<pack::Packed> {
    let parsed = Manifest::read(manifest)?;
    check_images(manifest)?;
    let images: Vec<&str> = parsed.images().into_iter().collect();
    build_all(&images, is_verbose, progress)?;
    packed(manifest)
}

/// What can be said before anything is built: that the manifest can be read, and that its images are crates.
fn check_images(manifest: &Path) -> Result<()> {
    let text = std::fs::read_to_string(manifest).context("read", manifest)?;
    let name = manifest.display().to_string();
    pack::Manifest::parse(&name, &text)
        .and_then(|parsed| parsed.check_images(&crates()))
        .map_err(|report| Failure::Manifest { text: report.to_string() })
}

/// The crates that can be images: those beside the servers and beside the tests.
pub fn crates() -> Vec<String> {
    let folders = ["servers", "tests"].map(|folder| root().join(folder));
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut names: Vec<String> = paths
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

/// The name of a crate for cargo: with the version, since a dependency may have the same name.
pub fn package(name: &str) -> String {
    format!("{name}@{}", env!("CARGO_PKG_VERSION"))
}

/// Builds the kernel alone; returns its ELF.
///
/// # Errors
/// [`Failure::Compile`].
pub fn build_kernel(progress: &dyn Progress) -> Result<PathBuf> {
    quiet_phase(progress, "build", || build(&["kernel"], KERNEL_TARGET, false))?;
    Ok(output(KERNEL_TARGET, "kernel"))
}

fn build_all(images: &[&str], is_verbose: bool, progress: &dyn Progress) -> Result<()> {
    quiet_phase(progress, "build", || {
        build(&["kernel"], KERNEL_TARGET, is_verbose)?;
        build(images, SERVER_TARGET, is_verbose)
    })
}

fn packed(manifest: &Path) -> Result<pack::Packed> {
    let kernel = output(KERNEL_TARGET, "kernel");
    pack::pack(manifest, &output(SERVER_TARGET, ""), &kernel, &version())
        .map_err(|report| Failure::Manifest { text: report.to_string() })
}

/// What the sources are called: by git if they are its, else by the workspace's version.
fn version() -> String {
    let words = ["describe", "--tags", "--always", "--dirty"];
    let said = Command::new("git").arg("-C").arg(root()).args(words).stderr(Stdio::null()).output();
    let text = said.ok().filter(|said| said.status.success()).map(|said| said.stdout);
    let text = text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default();
    match text.trim() {
        "" => env!("CARGO_PKG_VERSION").into(),
        described => described.chars().take(40).collect(),
    }
}

/// Takes what was built and packed before.
pub fn ready(manifest: &Path, kernel: &Path, image: &Path) -> Result<Packed> {
    let parsed = Manifest::read(manifest).ok();
    let memory = parsed.as_ref().map_or(MEMORY, Manifest::memory);
    let vcpus = parsed.as_ref().map_or(1, Manifest::vcpus);
    let has_network = parsed.as_ref().is_none_or(|manifest| manifest.images().contains("netfront"));
    let name = manifest.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let there = |path: &Path| path.canonicalize().context("find", path);
    Ok(Packed { name, kernel: there(kernel)?, image: there(image)?, memory, vcpus, has_network })
}

/// Packs what was built; the image lies beside the programs.
fn pack(manifest: &Path, name: &str) -> Result<PathBuf> {
    let packed = packed(manifest)?;
    let folder = output(SERVER_TARGET, "").with_file_name("systems");
    std::fs::create_dir_all(&folder).context("create", &folder)?;
    let image = folder.join(format!("{name}.img"));
    replace(&image, &packed.image)?;
    keep_programs(&packed)?;
    Ok(image)
}

/// Keeps the programs that went into a system, as they were built, by the digests under which the system knows them.
fn keep_programs(packed: &pack::Packed) -> Result<()> {
    let folder = programs();
    std::fs::create_dir_all(&folder).context("create", &folder)?;
    for image in &packed.system.images {
        let kept = folder.join(program(&image.name, &image.sha256));
        if !kept.is_file() {
            let built = output(SERVER_TARGET, &image.name);
            let part = kept.with_extension(format!("part-{}", std::process::id()));
            std::fs::copy(&built, &part).context("copy", &built)?;
            std::fs::rename(&part, &kept).context("move", &part)?;
        }
    }
    Ok(())
}

/// The folder of the programs that were packed.
pub fn programs() -> PathBuf {
    output(SERVER_TARGET, "").with_file_name("systems").join("programs")
}

/// The name of a kept program.
pub fn program(name: &str, digest: &[u8; 32]) -> String {
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{hex}.elf")
}

/// Writes a file whose old version others may have open: it is replaced, not rewritten.
///
/// # Errors
/// [`Failure::Io`].
pub fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let fresh = file.with_extension(format!("img.{}", std::process::id()));
    std::fs::write(&fresh, bytes).context("write", &fresh)?;
    std::fs::rename(&fresh, file).context("replace", file)
}

fn build(crates: &[&str], target: &str, is_verbose: bool) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--release", "--target", target]);
    let packages = crates.iter().map(|name| package(name));
    command.args(packages.flat_map(|package| [String::from("-p"), package]));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    if is_verbose {
        command.stderr(Stdio::inherit());
    } else {
        command.arg("--quiet");
    }
    let output = command.output().context("start cargo in", root())?;
    if output.status.success() {
        return Ok(());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(Failure::Compile { what: crates.join(", ") })
}

/// Where cargo puts a program.
pub fn output(target: &str, name: &str) -> PathBuf {
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    folder.join(target).join("release").join(name)
}

/// A phase whose errors are ours.
pub fn quiet_phase<T>(
    progress: &dyn Progress,
    name: &str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let mut failure = None;
    let done = phase(progress, name, None, || {
        work().map_err(|error| {
            failure = Some(error);
            rig::Error::NoRig
        })
    });
    done.map_err(|error| failure.unwrap_or(Failure::Rig(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_the_crates_to_build() {
        let text = "name = \"web\"\nmemory = \"16M\"\n[servers.net]\n[servers.stain-a]\nimage = \"canary\"\n[servers.stain-b]\nimage = \"canary\"\n";
        let manifest: Manifest = toml::from_str(text).unwrap();
        assert_eq!(manifest.images().into_iter().collect::<Vec<_>>(), ["canary", "net"]);
        assert_eq!(manifest.memory(), 16);
    }

    #[test]
    fn an_unknown_system_is_answered_with_those_there_are() {
        let root = tempfile::tempdir().unwrap();
        let systems = root.path().join("boot/systems");
        std::fs::create_dir_all(&systems).unwrap();
        for name in ["web", "web-alt"] {
            std::fs::write(systems.join(format!("{name}.toml")), "").unwrap();
        }
        assert_eq!(find_in(root.path(), "web").unwrap(), systems.join("web.toml"));
        let error = find_in(root.path(), "wbe").unwrap_err().to_string();
        assert!(error.contains("`wbe`") && error.contains("web, web-alt"), "{error}");
    }

    #[test]
    fn the_servers_are_found() {
        let found = crates();
        assert!(found.contains(&"log".into()) && found.contains(&"rogue".into()));
        assert!(!found.contains(&"scenarios".into()));
    }

    #[test]
    fn the_workspace_is_found() {
        assert!(root().join("Cargo.toml").is_file() && root().join("tools/xylem").is_dir());
    }
}

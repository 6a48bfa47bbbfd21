//! Picks kernel modules by name, with all that they need, out of an unpacked kernel.
//!
//! Invariant: the order of the answer is an order in which they can be loaded. Names use `_`, as the kernel does.
//! A name that the kernel has built in, or that is no module at all, gives nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Context;
use crate::{Result, tool};

/// A module ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its path below the kernel's folder, not compressed: `kernel/fs/ext4/ext4.ko`.
    pub path: PathBuf,
    /// The module itself, not compressed.
    pub content: Vec<u8>,
}

/// The modules of one unpacked kernel.
pub struct Modules {
    folder: PathBuf,
    index: BTreeMap<String, PathBuf>,
    read: BTreeMap<String, Module>,
}

impl Modules {
    /// Lists the modules below `/usr/lib/modules/VERSION`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut index = BTreeMap::new();
        list(folder, &mut index)?;
        Ok(Self { folder: folder.to_path_buf(), index, read: BTreeMap::new() })
    }

    /// The named modules and what they need, in load order.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn load_order(&mut self, names: &str) -> Result<Vec<Module>> {
        let mut order = Vec::new();
        resolve(names.split_whitespace(), &mut order, &mut |name| self.needs(name))?;
        Ok(order.iter().filter_map(|name| self.read.get(name).cloned()).collect())
    }

    /// What a module needs, or `None` when there is none of that name.
    fn needs(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(path) = self.index.get(name) else { return Ok(None) };
        if !self.read.contains_key(name) {
            let content = content(path)?;
            let path = path.strip_prefix(&self.folder).unwrap_or(path).with_extension("");
            let path = if path.extension().is_some_and(|ending| ending == "ko") {
                path
            } else {
                path.with_extension("ko")
            };
            self.read.insert(name.into(), Module { name: name.into(), path, content });
        }
        Ok(self.read.get(name).map(|module| depends(&module.content)))
    }
}

/// Puts names into `order`, each after what it needs; `needs` is `None` for what is no module.
fn resolve<'a>(
    names: impl Iterator<Item = &'a str>,
    order: &mut Vec<String>,
    needs: &mut dyn FnMut(&str) -> Result<Option<Vec<String>>>,
) -> Result<()> {
    let mut open = BTreeSet::new();
    for name in names {
        visit(&name.replace('-', "_"), order, &mut open, needs)?;
    }
    Ok(())
}

fn visit(
    name: &str,
    order: &mut Vec<String>,
    open: &mut BTreeSet<String>,
    needs: &mut dyn FnMut(&str) -> Result<Option<Vec<String>>>,
) -> Result<()> {
    if order.iter().any(|known| known == name) || !open.insert(name.to_owned()) {
        return Ok(());
    }
    let Some(needed) = needs(name)? else { return Ok(()) };
    for other in needed {
        visit(&other, order, open, needs)?;
    }
    order.push(name.to_owned());
    Ok(())
}

fn list(folder: &Path, index: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).context("read", folder)? {
        let entry = entry.context("read", folder)?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, index)?;
        } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
            index.insert(name, path);
        }
    }
    Ok(())
}

fn module_name(file: &str) -> Option<String> {
    let (name, rest) = file.split_once(".ko")?;
    matches!(rest, "" | ".xz" | ".zst" | ".gz").then(|| name.replace('-', "_"))
}

fn content(path: &Path) -> Result<Vec<u8>> {
    let with = match path.extension().and_then(|ending| ending.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return std::fs::read(path).context("read", path),
    };
    tool::run(Command::new(with).arg("-dc").arg(path))
}

/// The names after `depends=` in the section .modinfo, which is a list of texts that end in a zero.
fn depends(content: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = content.windows(KEY.len()).position(|part| part == KEY) else {
        return Vec::new();
    };
    let rest = content.get(at + KEY.len()..).unwrap_or_default();
    let value = rest.split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value).replace('-', "_");
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(names: &str, table: &[(&str, &[&str])]) -> Vec<String> {
        let mut order = Vec::new();
        let mut needs = |name: &str| {
            let known = table.iter().find(|(key, _)| *key == name);
            Ok(known.map(|(_, needed)| needed.iter().map(|name| (*name).to_owned()).collect()))
        };
        resolve(names.split_whitespace(), &mut order, &mut needs).unwrap();
        order
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let table: &[(&str, &[&str])] = &[
            ("ext4", &["jbd2", "mbcache", "crc16"]),
            ("jbd2", &["crc16"]),
            ("mbcache", &[]),
            ("crc16", &[]),
            ("virtio_blk", &[]),
        ];
        assert_eq!(
            order("ext4 virtio-blk jbd2", table),
            ["crc16", "jbd2", "mbcache", "ext4", "virtio_blk"]
        );
    }

    #[test]
    fn what_is_built_in_gives_nothing() {
        assert_eq!(order("virtio_pci loop", &[("loop", &["builtin"])]), ["loop"]);
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(order("a", &[("a", &["b"]), ("b", &["a"])]), ["b", "a"]);
    }

    #[test]
    fn needs_are_read_from_the_module() {
        assert_eq!(
            depends(b"\x7fELF\0license=GPL\0depends=stp,llc,x-y\0name=bridge\0"),
            ["stp", "llc", "x_y"]
        );
        assert!(depends(b"\0depends=\0name=loop\0").is_empty());
        assert!(depends(b"\0depends=stp").eq(&["stp"]), "a truncated module does no harm");
    }

    #[test]
    fn files_of_modules_are_known_by_their_endings() {
        assert_eq!(module_name("xen-netback.ko.xz").as_deref(), Some("xen_netback"));
        assert_eq!(module_name("loop.ko").as_deref(), Some("loop"));
        assert_eq!(module_name("modules.dep"), None);
    }
}

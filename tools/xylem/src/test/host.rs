//! What needs no Xen: format, lints, unit tests, documents, licences.

use std::process::{Command, Stdio};

use super::{Tally, check, licences, units};
use crate::system::{KERNEL_TARGET, SERVER_TARGET, root};

/// Warnings are errors.
const STRICT: [&str; 3] = ["--", "-D", "warnings"];

/// Runs all of it; `fast` leaves out what only CI needs.
pub fn run(fast: bool) -> Tally {
    let mut tally = Tally::default();
    let mut add = |more: Tally| tally.add(more);
    add(check("format", || cargo(&["fmt", "--all", "--check"], &[])));
    add(check("unit and property tests", || units::run(fast)));
    if fast {
        return tally;
    }
    add(check("lints", || lint(&["--workspace", "--all-targets"])));
    add(check("lints of the kernel", || {
        lint(&["--release", "--target", KERNEL_TARGET, "-p", "kernel"])
    }));
    add(check("lints of the servers", lint_servers));
    add(check("documents", || {
        let documents = ["doc", "-q", "--workspace", "--no-deps", "--lib"];
        cargo(&documents, &[("RUSTDOCFLAGS", "-D warnings")])
    }));
    add(check("licences", || licences::check(&root())));
    tally
}

/// A command of cargo's in the workspace.
pub fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root())
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    command
}

fn cargo(arguments: &[&str], variables: &[(&str, &str)]) -> Tally {
    Tally::one(command(arguments, variables).status().is_ok_and(|status| status.success()))
}

fn lint(what: &[&str]) -> Tally {
    cargo(&[&["clippy", "-q"], what, &STRICT].concat(), &[])
}

/// Lints the servers as they are built for the domain, where other parts of them are compiled than on the host.
fn lint_servers() -> Tally {
    let packages = packages(&["servers", "tests"]);
    let mut what = vec!["--release", "--target", SERVER_TARGET];
    what.extend(packages.iter().flat_map(|package| ["-p", package.as_str()]));
    lint(&what)
}

/// The packages in some folders, with the version, since a dependency may have the same name.
fn packages(folders: &[&str]) -> Vec<String> {
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(root().join(folder)).ok());
    let crates = entries.flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut names: Vec<String> = crates
        .filter(|folder| folder.join("Cargo.toml").is_file())
        .filter_map(|folder| Some(folder.file_name()?.to_str()?.to_owned()))
        .map(|name| format!("{name}@{}", env!("CARGO_PKG_VERSION")))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::packages;

    #[test]
    fn the_servers_are_found() {
        let found = packages(&["servers", "tests"]);
        assert!(found.contains(&"log@0.1.0".into()) && found.contains(&"rogue@0.1.0".into()));
        assert!(found.iter().all(|package| !package.starts_with("scenarios")));
    }
}

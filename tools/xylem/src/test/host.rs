//! What needs no Xen: format, lints, unit tests, documents, licences.

use std::process::{Command, Stdio};

use super::{Tally, check, licences, units};
use crate::system::{KERNEL_TARGET, SERVER_TARGET, crates, package, root};

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
    let packages: Vec<String> = crates().iter().map(|name| package(name)).collect();
    let mut what = vec!["--release", "--target", SERVER_TARGET];
    what.extend(packages.iter().flat_map(|package| ["-p", package.as_str()]));
    lint(&what)
}

//! What needs no Xen: format, lints, unit tests, documents, licences.

use std::process::{Command, Stdio};

use super::{Tally, check, licences};
use crate::system::root;

/// The crate that is linked for the kernel's target.
const KERNEL: &[&str] = &["-p", "kernel"];
const KERNEL_TARGET: &str = "x86_64-unknown-none";

/// Runs all of it; `fast` leaves out what only CI needs.
pub fn run(fast: bool) -> Tally {
    let mut tally = Tally::default();
    let mut add = |more: Tally| tally.add(more);
    add(check("format", || cargo(&["fmt", "--all", "--check"], &[])));
    add(check("unit and property tests", || unit_tests(fast)));
    if fast {
        return tally;
    }
    let lint = ["--", "-D", "warnings"];
    add(check("lints", || {
        cargo(&[&["clippy", "-q", "--workspace", "--all-targets"], &lint[..]].concat(), &[])
    }));
    add(check("lints of the kernel", || {
        cargo(
            &[&["clippy", "-q", "--release", "--target", KERNEL_TARGET], KERNEL, &lint[..]]
                .concat(),
            &[],
        )
    }));
    add(check("documents", || cargo(&["doc", "-q", "--workspace", "--no-deps", "--lib"], &[])));
    add(check("licences", || licences::check(&root())));
    tally
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
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

/// Runs the tests of the workspace and counts them.
fn unit_tests(fast: bool) -> Tally {
    let what: &[&str] = if fast { &["--lib", "--bins", "--tests"] } else { &[] };
    let arguments = [&["test", "-q", "--no-fail-fast", "--workspace"], what].concat();
    let Ok(output) = command(&arguments, &[]).stderr(Stdio::inherit()).output() else {
        return Tally::one(false);
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut tally = count(&text);
    if !output.status.success() {
        println!("{text}");
        tally.failed = tally.failed.max(1);
    }
    tally
}

/// Sums the lines `test result: ok. 3 passed; 0 failed; …` of the test runner.
fn count(output: &str) -> Tally {
    let mut tally = Tally::default();
    for line in output.lines().filter(|line| line.starts_with("test result:")) {
        let number = |word: &str| {
            let before = line.split(word).next().unwrap_or_default();
            before.split_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        tally.add(Tally { passed: number(" passed"), failed: number(" failed") });
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::{Tally, count};

    #[test]
    fn results_are_summed() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\nnoise\n\
                      test result: FAILED. 10 passed; 2 failed; 0 ignored";
        assert_eq!(count(output), Tally { passed: 13, failed: 2 });
    }
}

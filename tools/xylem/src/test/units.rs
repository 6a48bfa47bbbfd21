//! The unit and property tests of the workspace: cargo builds their programs, and they run side by side.
//!
//! Invariant: a program that ends badly without a count of its own counts as one failure, and what it said is shown.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Tally, host, parallel};

/// Most programs at a time; each has threads of its own.
const AT_A_TIME: usize = 2;

/// A program with tests.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    file: PathBuf,
    /// The folder of its crate, in which it runs.
    folder: PathBuf,
}

/// Builds and runs all of them; and what stands in documents, unless it has to be fast.
pub fn run(fast: bool) -> Tally {
    let build = ["test", "-q", "--workspace", "--lib", "--bins", "--tests", "--no-run"];
    let mut command = host::command(&build, &[]);
    let output = command.arg("--message-format=json").stderr(Stdio::inherit()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        return Tally::one(false);
    };
    let programs = programs(&String::from_utf8_lossy(&output.stdout));
    let mut tally = parallel::each(&programs, AT_A_TIME, Program::run);
    if !fast {
        tally.add(counted(&mut host::command(&["test", "-q", "--workspace", "--doc"], &[])));
    }
    tally
}

/// The programs of cargo's messages, one message a line.
fn programs(messages: &str) -> Vec<Program> {
    messages.lines().filter_map(|line| program(&serde_json::from_str(line).ok()?)).collect()
}

fn program(message: &Value) -> Option<Program> {
    let file = message["executable"].as_str().filter(|_| message["profile"]["test"] == true)?;
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    Some(Program { file: file.into(), folder: manifest.parent()?.into() })
}

impl Program {
    fn run(&self) -> Tally {
        let mut command = Command::new(&self.file);
        command.arg("-q").current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command.stdin(Stdio::null());
        counted(&mut command)
    }
}

/// Runs tests and counts them; shows what they said if one failed.
pub fn counted(command: &mut Command) -> Tally {
    let Ok(output) = command.output() else { return Tally::one(false) };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut tally = count(&text);
    if !output.status.success() {
        println!("{text}{}", String::from_utf8_lossy(&output.stderr));
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
    use super::{Program, Tally, count, programs};

    #[test]
    fn results_are_summed() {
        let output = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\nnoise\n\
                      test result: FAILED. 10 passed; 2 failed; 0 ignored";
        assert_eq!(count(output), Tally { passed: 13, failed: 2 });
    }

    #[test]
    fn only_programs_with_tests_are_run() {
        let messages = r#"{"reason":"compiler-artifact","manifest_path":"/x/abi/Cargo.toml","profile":{"test":true},"executable":"/t/abi-1"}
{"reason":"compiler-artifact","manifest_path":"/x/pack/Cargo.toml","profile":{"test":false},"executable":"/t/pack"}
{"reason":"compiler-artifact","manifest_path":"/x/ipc/Cargo.toml","profile":{"test":true},"executable":null}
{"reason":"build-finished","success":true}"#;
        let expected = [Program { file: "/t/abi-1".into(), folder: "/x/abi".into() }];
        assert_eq!(programs(messages), expected);
    }
}

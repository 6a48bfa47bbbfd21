//! Runs programs of the host.
//!
//! Invariant: a program that is missing or fails becomes an error with its name and its last words.

use std::io::ErrorKind;
use std::process::{Command, Output, Stdio};

use crate::{Error, Result};

/// The host's programs that setup needs, and where they come from.
pub const NEEDED: [(&str, &str); 6] = [
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("gzip", "gzip"),
    ("cp", "coreutils"),
];

/// Makes sure that all of [`NEEDED`] are there.
///
/// # Errors
/// [`Error::ToolMissing`] for the first that is not.
pub fn check() -> Result<()> {
    for (tool, package) in NEEDED {
        let found = Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Err(Error::ToolMissing { tool: tool.into(), package });
        }
    }
    Ok(())
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// [`Error::Tool`] when it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| could_not_start(&tool, &error))?;
    checked(&tool, output)
}

/// The output of a program that ended well.
///
/// # Errors
/// [`Error::Tool`] when it did not.
pub fn checked(tool: &str, output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let reason = last_line(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Tool { tool: tool.into(), status: output.status.to_string(), reason })
}

/// The error for a program that could not be started.
pub fn could_not_start(tool: &str, error: &std::io::Error) -> Error {
    Error::Tool { tool: tool.into(), status: "not started".into(), reason: error.to_string() }
}

/// The last line that says something.
pub fn last_line(text: &str) -> String {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing")
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_last_words() {
        let error =
            run(Command::new("sh").args(["-c", "echo first >&2; echo last words >&2; exit 3"]))
                .unwrap_err();
        assert!(
            error.to_string().contains("last words") && error.to_string().contains('3'),
            "{error}"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-here"), "{error}");
    }
}

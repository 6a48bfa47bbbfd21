//! Processes by identity: a number alone says nothing once its process has ended.
//!
//! Invariant: nothing is ever signalled but the very process that was noted (number and start time agree, and it is
//! not a zombie).

use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since boot.
    pub started: u64,
}

impl Identity {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: start_of(&stat)? })
    }

    /// This process.
    pub fn own() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self { pid, started: 0 })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }

    /// Kills it, if it still runs, and waits until it is gone (two seconds at most).
    pub fn kill(&self) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        if self.is_alive() {
            let _ = kill_process(pid, Signal::KILL);
        }
        let end = Instant::now() + Duration::from_secs(2);
        while self.is_alive() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The start time in a line of `/proc/PID/stat`; `None` for a zombie.
fn start_of(stat: &str) -> Option<u64> {
    // The name, in parentheses, may hold anything: fields are counted after its end.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// A small process that kills another when the one that made it is gone, however it went.
///
/// It holds the reading end of a pipe; the end of this value, or of this process, closes the other end.
#[derive(Debug)]
pub struct Guard {
    child: Child,
}

const WATCH: &str = r#"
read -r _
field() { s=$(cat "/proc/$1/stat" 2>/dev/null) || return; set -f; set -- ${s##*) }; echo "${20}"; }
[ "$(field "$1")" = "$2" ] && kill -9 "$1"
[ -z "$3" ] || rm -rf "$3"
"#;

impl Guard {
    /// Watches over `process`; when this value is dropped it is killed and `folder` removed.
    ///
    /// # Errors
    /// When no shell can be started.
    pub fn new(process: Identity, folder: Option<&Path>) -> io::Result<Self> {
        let child = Command::new("sh")
            .args([
                "-c",
                WATCH,
                "xylem-guard",
                &process.pid.to_string(),
                &process.started.to_string(),
            ])
            .arg(folder.unwrap_or_else(|| Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C at the terminal must not end the guard before what it guards.
            .process_group(0)
            .spawn()?;
        Ok(Self { child })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.child.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (Child, Identity) {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        (child, identity)
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let rest = (3..30).map(|field| format!("{} ", field * 10)).collect::<String>();
        assert_eq!(start_of(&format!("12 (a) b (c)) S {}", &rest[3..])), Some(220));
        assert_eq!(start_of("12 (a) Z 1 2"), None);
        assert_eq!(start_of("nonsense"), None);
    }

    #[test]
    fn another_process_with_the_same_number_is_not_touched() {
        let (mut child, identity) = sleeper();
        let stale = Identity { started: identity.started + 1, ..identity };
        assert!(identity.is_alive() && !stale.is_alive());
        stale.kill();
        assert!(identity.is_alive());
        drop(Guard::new(stale, None).unwrap());
        assert!(identity.is_alive());
        // Killed and not waited for, it stays a zombie, which does not count as alive.
        identity.kill();
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_guard_that_goes_takes_its_process_and_folder_along() {
        let (mut child, identity) = sleeper();
        let folder = std::env::temp_dir().join(format!("rig-guard-{}", std::process::id()));
        fs::create_dir_all(folder.join("inside")).unwrap();
        let guard = Guard::new(identity, Some(&folder)).unwrap();
        assert!(identity.is_alive() && folder.exists());
        drop(guard);
        assert!(!identity.is_alive() && !folder.exists());
        child.wait().unwrap();
    }
}

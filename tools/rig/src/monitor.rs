//! QEMU's monitor: QMP over the socket in the run folder.
//!
//! Invariant: the connection stays open until the answer is there (on a hang-up QEMU drops queued commands), and no
//! wait is endless. Events are read over.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::dom0::quoted;
use crate::error::Context;
use crate::{Error, Result};

const LIMIT: Duration = Duration::from_secs(60);
const UNPLUG: Duration = Duration::from_secs(10);

/// An open connection to the monitor of one QEMU.
#[derive(Debug)]
pub struct Monitor {
    reader: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects to the QEMU that runs in this folder.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect(run: &Path) -> Result<Self> {
        // A socket's path may have 107 bytes at most, and caches lie deep: go there by way of the open folder.
        let folder = File::open(run).context("open", run)?;
        let path = format!("/proc/self/fd/{}/monitor", folder.as_raw_fd());
        let stream = UnixStream::connect(path).context("connect to the monitor in", run)?;
        stream.set_read_timeout(Some(LIMIT)).context("set up the monitor in", run)?;
        let mut monitor = Self { reader: BufReader::new(stream) };
        monitor.read("greeting")?;
        monitor.command("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs one QMP command.
    ///
    /// # Errors
    /// [`Error::Monitor`] with QEMU's reason.
    pub fn command(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let refused = |reason: String| Error::Monitor { command: name.into(), reason };
        let line = format!("{}\n", json!({ "execute": name, "arguments": arguments }));
        self.reader
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(|error| refused(error.to_string()))?;
        loop {
            let mut answer = self.read(name)?;
            if let Some(error) = answer.get("error") {
                let reason = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
                return Err(refused(reason.into()));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    /// Runs one command of the human monitor and gives what it printed.
    ///
    /// # Errors
    /// [`Error::Monitor`].
    pub fn human(&mut self, line: &str) -> Result<String> {
        let answer = self.command("human-monitor-command", json!({ "command-line": line }))?;
        Ok(answer.as_str().unwrap_or_default().replace("\r\n", "\n"))
    }

    /// The state of the machine: "running", "paused", "inmigrate", …
    ///
    /// # Errors
    /// [`Error::Monitor`].
    pub fn status(&mut self) -> Result<String> {
        let answer = self.command("query-status", json!({}))?;
        Ok(answer.get("status").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Saves the devices of a paused machine into a file; memory stays where it is.
    ///
    /// # Errors
    /// [`Error::Monitor`] when QEMU cannot, or takes too long.
    pub fn save(&mut self, state: &Path) -> Result<()> {
        self.leave_memory()?;
        self.migrate(
            "migrate",
            [to_file(state), format!("exec:cat >{}", quoted(&state.to_string_lossy()))],
        )?;
        let end = Instant::now() + LIMIT;
        loop {
            let answer = self.command("query-migrate", json!({}))?;
            match answer.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => return Err(failed("migrate", &answer)),
                _ if Instant::now() > end => return Err(failed("migrate", &answer)),
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Loads the devices that [`Monitor::save`] saved, and lets the machine run.
    ///
    /// # Errors
    /// [`Error::Monitor`] when QEMU cannot, or takes too long.
    pub fn load(&mut self, state: &Path) -> Result<()> {
        self.leave_memory()?;
        self.migrate(
            "migrate-incoming",
            [to_file(state), format!("exec:cat {}", quoted(&state.to_string_lossy()))],
        )?;
        let end = Instant::now() + LIMIT;
        while self.status()? == "inmigrate" {
            if Instant::now() > end {
                return Err(failed("migrate-incoming", &json!("still loading")));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // It was saved paused, and is so after loading.
        self.command("cont", json!({})).map(drop)
    }

    /// Plugs a disk in, with `name` as its serial number.
    ///
    /// # Errors
    /// [`Error::Monitor`].
    pub fn plug(&mut self, name: &str, image: &Path, writable: bool) -> Result<()> {
        let file = json!({ "driver": "file", "filename": image });
        self.command(
            "blockdev-add",
            json!({ "driver": "raw", "node-name": name, "read-only": !writable, "file": file }),
        )?;
        let device =
            json!({ "driver": "virtio-blk-pci", "id": name, "drive": name, "serial": name });
        self.command("device_add", device).map(drop).inspect_err(|_| {
            let _ = self.command("blockdev-del", json!({ "node-name": name }));
        })
    }

    /// Takes a disk out; dom0 has to let go of it first.
    ///
    /// # Errors
    /// [`Error::Monitor`] when it is not there, or dom0 does not let go.
    pub fn unplug(&mut self, name: &str) -> Result<()> {
        self.command("device_del", json!({ "id": name }))?;
        let end = Instant::now() + UNPLUG;
        while let Err(error) = self.command("blockdev-del", json!({ "node-name": name })) {
            if Instant::now() > end {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Starts a migration to or from the first place that this QEMU knows: before 8.2 it could not use files itself.
    fn migrate(&mut self, command: &str, [file, pipe]: [String; 2]) -> Result<()> {
        match self.command(command, json!({ "uri": file })) {
            Err(Error::Monitor { reason, .. }) if reason.contains("protocol") => {
                self.command(command, json!({ "uri": pipe })).map(drop)
            }
            other => other.map(drop),
        }
    }

    fn leave_memory(&mut self) -> Result<()> {
        let capability = json!({ "capability": "x-ignore-shared", "state": true });
        self.command("migrate-set-capabilities", json!({ "capabilities": [capability] })).map(drop)
    }

    fn read(&mut self, command: &str) -> Result<Value> {
        let failed = |reason: String| Error::Monitor { command: command.into(), reason };
        let mut line = String::new();
        let count = self.reader.read_line(&mut line).map_err(|error| failed(error.to_string()))?;
        if count == 0 {
            return Err(failed("QEMU hung up".into()));
        }
        serde_json::from_str(&line).map_err(|error| failed(format!("not understood: {error}")))
    }
}

fn to_file(state: &Path) -> String {
    format!("file:{}", state.display())
}

fn failed(command: &str, answer: &Value) -> Error {
    Error::Monitor { command: command.into(), reason: answer.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A monitor that gives the lines of `answers`, one for each line it reads.
    fn fake(name: &str, answers: &'static [&'static str]) -> Result<Monitor> {
        let run = std::env::temp_dir().join(format!("rig-monitor-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&run).unwrap();
        let listener = UnixListener::bind(run.join("monitor")).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            writeln!(reader.get_mut(), r#"{{"QMP": {{}}}}"#).unwrap();
            for answer in answers {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                writeln!(reader.get_mut(), "{answer}").unwrap();
            }
            let _ = reader.read_line(&mut String::new());
        });
        let monitor = Monitor::connect(&run);
        std::fs::remove_dir_all(run).unwrap();
        monitor
    }

    #[test]
    fn events_before_the_answer_are_read_over() {
        let answers =
            &[r#"{"return": {}}"#, "{\"event\": \"STOP\"}\n{\"return\": {\"status\": \"paused\"}}"];
        assert_eq!(fake("events", answers).unwrap().status().unwrap(), "paused");
    }

    #[test]
    fn a_refusal_names_the_command_and_the_reason() {
        let answers =
            &[r#"{"return": {}}"#, r#"{"error": {"class": "X", "desc": "no such thing"}}"#];
        let error = fake("refusal", answers).unwrap().human("info x").unwrap_err().to_string();
        assert!(error.contains("no such thing"), "{error}");
    }

    #[test]
    fn a_hang_up_is_an_error_at_once() {
        assert!(fake("hangup", &[]).unwrap_err().to_string().contains("hung up"));
    }
}

//! The way to a dom0 that has a shell to start commands with: this machine, or another one by ssh.
//!
//! Invariant: both are the same but for the words before the command. A command is one POSIX shell text; its limit
//! holds on the far side too, so nothing goes on there once we gave up.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::dom0::{Dom0, Output, Pipe, Stream, quoted};
use crate::error::Context;
use crate::{Error, Result, hash};

/// What the way may take beyond the command itself.
const MARGIN: Duration = Duration::from_secs(15);
/// For moving a file.
const COPY: Duration = Duration::from_secs(600);

/// A dom0 behind a shell.
#[derive(Debug, Clone)]
pub struct Shell {
    name: String,
    words: Vec<String>,
    /// Whether files of this machine are files of that dom0.
    is_here: bool,
}

impl Shell {
    /// The dom0 that this machine itself is.
    pub fn here() -> Self {
        Self { name: "xl".into(), words: ["sh", "-c"].map(str::to_owned).to_vec(), is_here: true }
    }

    /// The dom0 that ssh reaches as `host` (with its user, if any) at `port`.
    pub fn ssh(host: &str, port: Option<u16>) -> Self {
        let mut words: Vec<String> =
            ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"].map(str::to_owned).to_vec();
        let mut name = format!("ssh://{host}");
        if let Some(port) = port {
            words.extend(["-p".into(), port.to_string()]);
            name = format!("{name}:{port}");
        }
        words.extend(["--".into(), host.into()]);
        Self { name, words, is_here: false }
    }

    /// The dom0 that a program reaches which takes ssh's arguments.
    pub fn with_program(mut self, program: &str) -> Self {
        if let Some(first) = self.words.first_mut() {
            *first = program.into();
        }
        self
    }

    /// A child that runs this text in a POSIX shell of that dom0.
    fn start(&self, text: &str, input: Stdio) -> Result<Child> {
        let [program, arguments @ ..] = self.words.as_slice() else {
            return Err(self.broken("no words".into()));
        };
        // The login shell of the far side may be any: it gets one simple command.
        let text = if self.is_here { text.to_owned() } else { format!("sh -c {}", quoted(text)) };
        Command::new(program)
            .args(arguments)
            .arg(text)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    Error::ToolMissing { tool: program.clone(), package: "openssh-client" }
                }
                _ => self.broken(error.to_string()),
            })
    }

    /// Runs a text to its end, with `content` as its input; gives status, output and complaints.
    fn finish(
        &self,
        text: &str,
        content: Option<&mut dyn Read>,
        into: &mut dyn Write,
        limit: Duration,
    ) -> Result<(i32, String)> {
        let input = if content.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut child = self.start(text, input)?;
        let complaints = collect(child.stderr.take());
        let reaper = Reaper::new(child.id(), limit + MARGIN);
        if let (Some(content), Some(mut pipe)) = (content, child.stdin.take()) {
            // A far side that fails closes early: its status says why.
            let _ = std::io::copy(content, &mut pipe);
        }
        if let Some(mut output) = child.stdout.take() {
            std::io::copy(&mut output, into).map_err(|error| self.broken(error.to_string()))?;
        }
        let status = child.wait().map_err(|error| self.broken(error.to_string()))?;
        let late = reaper.end();
        let complaints = complaints.join().unwrap_or_default();
        match status.code() {
            _ if late => Err(self.broken("it fell silent".into())),
            // ssh itself failed. A command that gives 255 is taken for that too: none of ours does.
            Some(255) if !self.is_here => Err(self.broken(crate::tool::last_line(&complaints))),
            Some(code) => Ok((code, complaints)),
            None => Err(self.broken(format!("ended by {status}"))),
        }
    }

    fn broken(&self, reason: String) -> Error {
        Error::Channel { dom0: self.name.clone(), reason }
    }
}

impl Dom0 for Shell {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn exec(&self, command: &str, limit: Duration) -> Result<Output> {
        let text = format!(
            "exec 2>&1; exec timeout -k 2 {:.1} sh -c {}",
            limit.as_secs_f32(),
            quoted(command)
        );
        let mut bytes = Vec::new();
        let (status, _) = self.finish(&text, None, &mut bytes, limit)?;
        if matches!(status, 124 | 137) {
            return Err(Error::CommandTimeout {
                dom0: self.name(),
                command: command.into(),
                limit,
            });
        }
        Ok(Output { status, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn write(&self, content: &mut dyn Read, size: u64, path: &str) -> Result<()> {
        let (target, part) = (quoted(path), quoted(&format!("{path}.part")));
        let folder = quoted(path.rsplit_once('/').map_or(".", |(folder, _)| folder));
        let text = format!(
            "exec 2>&1; mkdir -p {folder}/ && cat >{part} && [ \"$(wc -c <{part})\" -eq {size} ] && mv {part} {target}"
        );
        let mut content = content.take(size);
        let mut said = Vec::new();
        let (status, _) = self.finish(&text, Some(&mut content), &mut said, COPY)?;
        self.expect(status, &String::from_utf8_lossy(&said), format!("put {path}"))
    }

    fn read(&self, path: &str, into: &mut dyn Write) -> Result<()> {
        let (status, text) = self.finish(&format!("cat {}", quoted(path)), None, into, COPY)?;
        self.expect(status, &text, format!("get {path}"))
    }

    fn follow(&self, command: &str) -> Result<Stream> {
        // The command lives as long as our end of its input is open, and ends the shell when it ends by itself.
        let inner = quoted(&format!("trap \"kill $0\" EXIT; {command}"));
        let text = format!(
            "setsid sh -c {inner} $$ </dev/null 2>&1 & child=$!; while read -r _; do :; done; kill -- -$child"
        );
        let mut child = self.start(&text, Stdio::piped())?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or_else(|| self.broken("no output".into()))?;
        let shared = Arc::new(Mutex::new((input, Some(child))));
        Ok(Stream::new(output, move || {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            drop(shared.0.take());
            if let Some(mut child) = shared.1.take() {
                end_soon(&mut child);
            }
        }))
    }

    fn pipe(&self, command: &str) -> Result<Pipe> {
        let mut child = self.start(&format!("exec 2>/dev/null; {command}"), Stdio::piped())?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(self.broken("no pipes".into()));
        };
        drop(child.stderr.take());
        Ok(Pipe { input: Box::new(Held { input: Some(input), child }), output: Box::new(output) })
    }

    fn attach(&self, image: &Path, _: bool) -> Result<String> {
        let image = image.canonicalize().context("find", image)?;
        if self.is_here {
            return Ok(image.display().to_string());
        }
        let hash = hash::of_parts([image.as_os_str().as_encoded_bytes()]);
        let path = format!("{COPIES}/{}.img", hash.get(..16).unwrap_or(&hash));
        (self as &dyn Dom0).put(&image, &path)?;
        Ok(path)
    }

    fn detach(&self, path: &str) -> Result<()> {
        if self.is_here || !path.starts_with(COPIES) {
            return Ok(());
        }
        (self as &dyn Dom0).run(&format!("rm -f {}", quoted(path)), COPY).map(drop)
    }
}

/// The input of a command, which has some time to end when it is dropped.
struct Held {
    input: Option<ChildStdin>,
    child: Child,
}

impl Write for Held {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.input.as_mut().map_or(Ok(0), |input| input.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.input.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.input.take());
        end_soon(&mut self.child);
    }
}

/// Where copies of disk images are in another machine's dom0.
const COPIES: &str = "/var/lib/xylem/disks";

impl Shell {
    fn expect(&self, status: i32, text: &str, command: String) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let text = text.trim().to_owned();
        Err(Error::Command { dom0: self.name(), command, status, text })
    }
}

/// Reads all of a pipe on the side.
fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn end_soon(child: &mut Child) {
    let end = Instant::now() + Duration::from_secs(1);
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a process that outstays its limit, whatever its pipes do.
struct Reaper {
    done: std::sync::mpsc::Sender<()>,
    thread: std::thread::JoinHandle<bool>,
}

impl Reaper {
    fn new(pid: u32, limit: Duration) -> Self {
        let (done, wait) = std::sync::mpsc::channel();
        let identity = crate::Identity::of(pid);
        let thread = std::thread::spawn(move || {
            let late = wait
                .recv_timeout(limit)
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout);
            if let (true, Some(identity)) = (late, identity) {
                identity.kill();
            }
            late
        });
        Self { done, thread }
    }

    /// Whether it had to be ended.
    fn end(self) -> bool {
        let _ = self.done.send(());
        self.thread.join().unwrap_or(false)
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;

//! What every dom0 can do, whichever way one reaches it.
//!
//! Invariant: all code above this trait is the same for the rig, for this machine, and for another one by ssh. Commands
//! run as root in a POSIX shell, without standard input; their two outputs come as one.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Context;
use crate::{Error, Result};

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// All that it printed.
    pub text: String,
}

impl Output {
    /// Whether the command said that it went well.
    pub fn is_ok(&self) -> bool {
        self.status == 0
    }
}

/// A way to a dom0.
pub trait Dom0: Send + Sync {
    /// Its name in messages: `rig`, `xl`, `ssh://host`.
    fn name(&self) -> String;

    /// Runs a command to its end. Its status is in the answer: a command that fails is not an error here.
    ///
    /// # Errors
    /// [`Error::Channel`], and [`Error::CommandTimeout`] when it did not end within `limit`.
    fn exec(&self, command: &str, limit: Duration) -> Result<Output>;

    /// Writes `size` bytes to a file; the file has its name only when it is whole. Folders are made.
    ///
    /// # Errors
    /// [`Error::Channel`], [`Error::Command`] when the file cannot be written.
    fn write(&self, content: &mut dyn Read, size: u64, path: &str) -> Result<()>;

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Channel`], [`Error::Command`] when the file cannot be read.
    fn read(&self, path: &str, into: &mut dyn Write) -> Result<()>;

    /// Starts a command whose output is read while it runs; it is ended when the stream is dropped or stopped.
    ///
    /// # Errors
    /// [`Error::Channel`].
    fn follow(&self, command: &str) -> Result<Stream>;

    /// Starts a command that is written to and read from while it runs; its input ends when that end of the pipe is dropped, and
    /// it is left to itself then.
    ///
    /// # Errors
    /// [`Error::Channel`].
    fn pipe(&self, command: &str) -> Result<Pipe>;

    /// Makes a disk image of this machine usable in dom0, and gives the path for a disk of a domain.
    ///
    /// # Errors
    /// Those of [`Dom0::write`], [`Error::Monitor`].
    fn attach(&self, image: &Path, writable: bool) -> Result<String>;

    /// Ends what [`Dom0::attach`] did; a path that is not known any more is fine.
    ///
    /// # Errors
    /// Those of [`Dom0::exec`].
    fn detach(&self, path: &str) -> Result<()>;

    /// What the hypervisor has printed.
    ///
    /// # Errors
    /// Those of [`Dom0::exec`].
    fn hypervisor_log(&self) -> Result<String> {
        Ok(self.exec("xl dmesg", Duration::from_secs(30))?.text)
    }
}

impl dyn Dom0 + '_ {
    /// Runs a command that has to go well, and gives what it printed.
    ///
    /// # Errors
    /// Those of [`Dom0::exec`], and [`Error::Command`] when its status is not 0.
    pub fn run(&self, command: &str, limit: Duration) -> Result<String> {
        let output = self.exec(command, limit)?;
        if output.is_ok() {
            return Ok(output.text);
        }
        let text = output.text.trim().to_owned();
        Err(Error::Command {
            dom0: self.name(),
            command: command.into(),
            status: output.status,
            text,
        })
    }

    /// Copies a file of this machine to dom0.
    ///
    /// # Errors
    /// Those of [`Dom0::write`], and when the file cannot be read.
    pub fn put(&self, file: &Path, path: &str) -> Result<()> {
        let mut content = std::fs::File::open(file).context("open", file)?;
        let size = content.metadata().context("look at", file)?.len();
        self.write(&mut content, size, path)
    }

    /// Copies a file of dom0 to this machine.
    ///
    /// # Errors
    /// Those of [`Dom0::read`], and when the file cannot be written.
    pub fn get(&self, path: &str, file: &Path) -> Result<()> {
        let mut into = std::fs::File::create(file).context("create", file)?;
        self.read(path, &mut into)
    }
}

/// Both ends of a running command. What follows its output, when it has ended, is no part of it.
pub struct Pipe {
    /// What it reads.
    pub input: Box<dyn Write + Send>,
    /// What it prints.
    pub output: Box<dyn Read + Send>,
}

/// The output of a running command.
pub struct Stream {
    reader: Box<dyn Read + Send>,
    stop: Stop,
}

/// Ends a stream, from any thread.
#[derive(Clone)]
pub struct Stop {
    action: Arc<dyn Fn() + Send + Sync>,
}

impl Stop {
    /// Ends the stream: its reader sees the end of the output.
    pub fn stop(&self) {
        (self.action)();
    }
}

impl Stream {
    /// A stream of what `reader` gives, ended by `action`.
    pub fn new(
        reader: impl Read + Send + 'static,
        action: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { reader: Box::new(reader), stop: Stop { action: Arc::new(action) } }
    }

    /// What ends it.
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// A word for the shell, whatever is in it.
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_survive_a_shell() {
        for word in ["plain", "two words", "it's", "$HOME `x` \\ \"", "a\nb", ""] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(word))])
                .output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), word);
        }
    }
}

//! The way to the rig's own dom0: a TCP port of 127.0.0.1, one connection a request (see `dom0/channel`).
//!
//! Invariant: every wait has a limit, and a dom0 that died is told apart from a command that failed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::dom0::{Dom0, Output, Pipe, Stream};
use crate::error::Context;
use crate::{Error, Monitor, Result, disk, run, tool};

/// For what has no limit of its own: moving a file has this long for each silence.
const SILENCE: Duration = Duration::from_secs(60);
/// What the channel may take beyond the command itself.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a disk may take to appear in dom0.
const FIND: Duration = Duration::from_secs(15);

/// The channel to a rig's dom0.
#[derive(Debug, Clone)]
pub struct Channel {
    port: u16,
    token: String,
    run: PathBuf,
}

impl Channel {
    /// The channel behind this port; `token` opens it. QEMU's monitor is in the folder `run`.
    pub fn new(port: u16, token: &str, run: &Path) -> Self {
        Self { port, token: token.trim().to_owned(), run: run.to_path_buf() }
    }

    /// Waits until dom0 answers.
    ///
    /// # Errors
    /// [`Error::Channel`] when it does not within `limit`.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            // The port takes connections before dom0 does: only an answer counts.
            match self.try_exec("true", limit.min(Duration::from_secs(3)), Duration::ZERO) {
                Ok(output) if output.is_ok() => return Ok(()),
                Ok(output) => return Err(self.broken(format!("`true` gave {output:?}"))),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn ask(&self, request: &str, limit: Duration) -> Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .map_err(|error| self.io(&error))?;
        let settings = stream
            .set_read_timeout(Some(limit))
            .and_then(|()| stream.set_write_timeout(Some(SILENCE)));
        settings.and_then(|()| stream.set_nodelay(true)).map_err(|error| self.io(&error))?;
        let line = format!("{} {request}\n", self.token);
        stream.write_all(line.as_bytes()).map_err(|error| self.io(&error))?;
        Ok(stream)
    }

    fn try_exec(&self, command: &str, limit: Duration, margin: Duration) -> Result<Output> {
        let seconds = limit.as_secs_f32().max(0.1);
        let mut stream =
            self.ask(&format!("run {seconds:.1} {}", base64(command.as_bytes())), limit + margin)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| self.io(&error))?;
        let output =
            answer(&bytes).ok_or_else(|| self.broken("the answer was cut short".into()))?;
        // The status that timeout(1) gives, or that of the kill that follows.
        if matches!(output.status, 124 | 137) && limit > Duration::ZERO {
            return Err(Error::CommandTimeout {
                dom0: self.name(),
                command: command.into(),
                limit,
            });
        }
        Ok(output)
    }

    /// What an I/O error means: a QEMU that is gone is the better reason.
    fn io(&self, error: &std::io::Error) -> Error {
        if run::living(&self.run).is_some() {
            return self.broken(error.to_string());
        }
        let log = self.run.join("xen.log");
        let text = std::fs::read(&log).unwrap_or_default();
        Error::Died { last: tool::last_line(&String::from_utf8_lossy(&text)), log }
    }

    fn broken(&self, reason: String) -> Error {
        Error::Channel { dom0: self.name(), reason }
    }
}

impl Dom0 for Channel {
    fn name(&self) -> String {
        "rig".into()
    }

    fn exec(&self, command: &str, limit: Duration) -> Result<Output> {
        self.try_exec(command, limit, MARGIN)
    }

    fn write(&self, content: &mut dyn Read, size: u64, path: &str) -> Result<()> {
        let mut stream = self.ask(&format!("put {size} {}", base64(path.as_bytes())), SILENCE)?;
        let copied =
            std::io::copy(&mut content.take(size), &mut stream).map_err(|error| self.io(&error))?;
        if copied < size {
            return Err(self.broken(format!("only {copied} of {size} bytes were there to send")));
        }
        stream.shutdown(Shutdown::Write).map_err(|error| self.io(&error))?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(|error| self.io(&error))?;
        match answer(&bytes) {
            Some(output) if output.is_ok() => Ok(()),
            Some(Output { status, text }) => Err(Error::Command {
                dom0: self.name(),
                command: format!("put {path}"),
                status,
                text,
            }),
            None => Err(self.broken("the answer was cut short".into())),
        }
    }

    fn read(&self, path: &str, into: &mut dyn Write) -> Result<()> {
        let stream = self.ask(&format!("get {}", base64(path.as_bytes())), SILENCE)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).map_err(|error| self.io(&error))?;
        let Some(size) = line.strip_prefix("S ").and_then(|size| size.trim().parse::<u64>().ok())
        else {
            let text = line.trim_start_matches("E ").trim().to_owned();
            return Err(Error::Command {
                dom0: self.name(),
                command: format!("get {path}"),
                status: 1,
                text,
            });
        };
        let copied =
            std::io::copy(&mut reader.take(size), into).map_err(|error| self.io(&error))?;
        if copied == size {
            Ok(())
        } else {
            Err(self.broken(format!("{copied} of {size} bytes of {path} came")))
        }
    }

    fn follow(&self, command: &str) -> Result<Stream> {
        let stream = self.ask(&format!("follow {}", base64(command.as_bytes())), SILENCE)?;
        stream.set_read_timeout(None).map_err(|error| self.io(&error))?;
        let other = stream.try_clone().map_err(|error| self.io(&error))?;
        Ok(Stream::new(stream, move || {
            let _ = other.shutdown(Shutdown::Both);
        }))
    }

    fn pipe(&self, command: &str) -> Result<Pipe> {
        let stream = self.ask(&format!("pipe {}", base64(command.as_bytes())), SILENCE)?;
        stream.set_read_timeout(None).map_err(|error| self.io(&error))?;
        let other = stream.try_clone().map_err(|error| self.io(&error))?;
        Ok(Pipe { input: Box::new(Hangup(stream)), output: Box::new(other) })
    }

    /// Plugs the image into the running machine: nothing is copied, however large it is.
    fn attach(&self, image: &Path, writable: bool) -> Result<String> {
        let image = image.canonicalize().context("find", image)?;
        let serial = disk::serial(&image);
        Monitor::connect(&self.run)?.plug(&serial, &image, writable)?;
        Ok((self as &dyn Dom0).run(&disk::find(&serial), FIND)?.trim().to_owned())
    }

    fn detach(&self, path: &str) -> Result<()> {
        let serial = (self as &dyn Dom0).run(&disk::serial_of(path), FIND)?;
        match serial.trim() {
            "" => Ok(()),
            serial => Monitor::connect(&self.run)?.unplug(serial),
        }
    }

    fn hypervisor_log(&self) -> Result<String> {
        let log = self.run.join("xen.log");
        Ok(String::from_utf8_lossy(&std::fs::read(&log).context("read", log)?).into_owned())
    }
}

/// The writing half of a connection, which ends with its value.
struct Hangup(TcpStream);

impl Write for Hangup {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// Parts the output of a command from its status, which is behind the last byte 1.
fn answer(bytes: &[u8]) -> Option<Output> {
    let at = bytes.iter().rposition(|byte| *byte == 1)?;
    let (text, end) = bytes.split_at(at);
    let status = std::str::from_utf8(end).ok()?.strip_prefix("\u{1}RC=")?.strip_suffix('\n')?;
    Some(Output { status: status.parse().ok()?, text: String::from_utf8_lossy(text).into_owned() })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |group: u32, at: usize| {
        DIGITS.get((group >> (18 - 6 * at)) as usize & 63).map_or('A', |digit| *digit as char)
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            (0..3).fold(0, |sum, at| sum << 8 | chunk.get(at).map_or(0, |byte| u32::from(*byte)));
        text.extend((0..4).map(|at| if at <= chunk.len() { digit(group, at) } else { '=' }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("\u{ff}\u{ff}", "w7/Dvw=="),
        ];
        for (plain, coded) in pairs {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn output_and_status_are_parted_at_the_last_mark() {
        let output = answer(b"a\x01RC=7\nb\x01RC=0\n").unwrap();
        assert_eq!((output.status, output.text.as_str()), (0, "a\u{1}RC=7\nb"));
        assert_eq!(answer(b"\x01RC=-1\n").unwrap().status, -1);
        for cut in [&b""[..], b"text", b"text\x01", b"text\x01RC=", b"text\x01RC=0"] {
            assert_eq!(answer(cut), None);
        }
    }

    #[test]
    fn nobody_there_means_that_the_rig_died() {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let error = Channel::new(free, "x", Path::new("/"))
            .exec("true", Duration::from_secs(1))
            .unwrap_err();
        assert!(error.to_string().contains("rig"), "{error}");
    }
}

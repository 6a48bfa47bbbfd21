//! The way from here to the domain: a program in its domain 0, and the two pipes to that.

use std::io::{Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rig::Dom0;

use crate::failure::{Failure, Result};

/// How long domain 0 may take to say what it has.
const START: Duration = Duration::from_secs(15);
/// For a command that ends a program.
const END: Duration = Duration::from_secs(10);
/// Most bytes of the first line.
const LINE: usize = 200;

/// What comes from the domain.
pub enum Event {
    /// Bytes.
    Bytes(Vec<u8>),
    /// The end: the server hung up, or the way is broken.
    Ended,
    /// Nothing within the limit.
    Nothing,
}

/// The program in domain 0 and its pipes.
pub struct Session {
    input: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    /// What came behind the first line.
    first: Vec<u8>,
    /// The program's process.
    process: u32,
}

impl Session {
    /// Starts the program for a domain.
    ///
    /// # Errors
    /// [`Failure::NoLink`] and [`Failure::NoProxy`] when something is missing.
    pub fn start(dom0: &dyn Dom0, name: &str) -> Result<Self> {
        let pipe = dom0.pipe(&command(name))?;
        let output = read_aside(pipe.output);
        let mut session = Self { input: pipe.input, output, first: Vec::new(), process: 0 };
        let line = session.line().unwrap_or_default();
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["process", number] => {
                session.process = number.parse().unwrap_or(0);
                Ok(session)
            }
            ["no-proxy"] => Err(Failure::NoProxy { dom0: dom0.name() }),
            ["no-link"] => Err(Failure::NoLink { name: name.into() }),
            ["no-domain"] => Err(Failure::NoDomain {
                name: name.into(),
                dom0: dom0.name(),
                domains: rig::domain::names(dom0)?,
            }),
            _ => Err(Failure::LinkEnded { name: name.into() }),
        }
    }

    /// The first line.
    fn line(&mut self) -> Option<String> {
        let end = Instant::now() + START;
        let mut bytes = Vec::new();
        while bytes.len() < LINE {
            if let Some(at) = bytes.iter().position(|byte| *byte == b'\n') {
                self.first = bytes.split_off(at + 1);
                return String::from_utf8(bytes).ok();
            }
            match self.next(end.saturating_duration_since(Instant::now())) {
                Event::Bytes(more) => bytes.extend(more),
                Event::Ended | Event::Nothing => return None,
            }
        }
        None
    }

    /// Writes.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.input.write_all(bytes)?;
        self.input.flush()
    }

    /// What comes next.
    pub fn next(&mut self, limit: Duration) -> Event {
        if !self.first.is_empty() {
            return Event::Bytes(std::mem::take(&mut self.first));
        }
        match self.output.recv_timeout(limit) {
            Ok(bytes) => Event::Bytes(bytes),
            Err(RecvTimeoutError::Timeout) => Event::Nothing,
            Err(RecvTimeoutError::Disconnected) => Event::Ended,
        }
    }

    /// Ends the program, which may wait for a free link and not look at its input.
    pub fn end_program(&self, dom0: &dyn Dom0) {
        let _ = dom0.exec(&format!("kill {} 2>/dev/null", self.process), END);
    }
}

/// Reads on the side, so that waiting can have a limit.
fn read_aside(mut output: Box<dyn Read + Send>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 1 << 14];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            if sender.send(bytes.get(..count).unwrap_or_default().to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// What domain 0 does: it says what is missing, or the number of the process, which then carries the bytes.
fn command(name: &str) -> String {
    let directory = format!("/local/domain/$id/{}", ipc::vchan::DIRECTORY);
    format!(
        "id=$(xl domid {name} 2>/dev/null) || {{ echo no-domain; exit; }}; \
         PATH=$PATH:/usr/lib/xen/bin:/usr/libexec/xen/bin:/usr/local/bin; \
         command -v vchan-socket-proxy >/dev/null || {{ echo no-proxy; exit; }}; \
         xenstore-exists {directory}/event-channel || {{ echo no-link; exit; }}; \
         echo process $$; exec vchan-socket-proxy --mode=client $id {directory} - 2>/dev/null"
    )
}

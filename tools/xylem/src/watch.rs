//! Everything that can happen while a domain runs, in one queue: lines of its console, the page's first answer, Ctrl-C.
//!
//! Invariant: lines are printed in the order in which they came, and none after the end was reported.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rig::Stream;

use crate::paint::Painter;

/// What a wait ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A server told the domain's address.
    Address(String),
    /// The page answered.
    Answered,
    /// The user pressed Ctrl-C, or we were told to end.
    Interrupted,
    /// The domain is gone.
    ConsoleEnded,
    /// The time was up.
    TimedOut,
}

/// How long the first question to a page waits for an answer.
const SHORT: Duration = Duration::from_millis(100);
/// How long the last ones do.
const LONG: Duration = Duration::from_secs(2);

enum Event {
    Line(String),
    End(Outcome),
}

/// The queue.
pub struct Watch {
    events: Receiver<Event>,
    sender: Sender<Event>,
    painter: Painter,
    is_json: bool,
    /// Counts the addresses that were probed: answers of older ones do not count.
    probes: Arc<AtomicU32>,
}

/// Where the one signal handler of the process sends to.
static INTERRUPTS: Mutex<Option<Sender<Event>>> = Mutex::new(None);

impl Watch {
    /// Begins to listen for Ctrl-C; from now on it does not end the process.
    pub fn new(is_json: bool) -> Self {
        let (sender, events) = mpsc::channel();
        let old = INTERRUPTS.lock().unwrap_or_else(PoisonError::into_inner).replace(sender.clone());
        if old.is_none() {
            // Without a handler Ctrl-C ends us and leaves the domain: not nice, but nothing breaks.
            let _ = ctrlc::set_handler(interrupt);
        }
        Self { events, sender, painter: Painter::new(), is_json, probes: Arc::default() }
    }

    /// Reads a console from now on.
    pub fn console(&self, stream: Stream) {
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(Event::Line(text)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Event::End(Outcome::ConsoleEnded));
        });
    }

    /// Asks a page again and again from now on, until `answers` says that it did or another is asked.
    ///
    /// What is asked too early is lost, so the first ones wait for a short time only; but a busy machine may be slow.
    pub fn page(&self, answers: impl Fn(Duration) -> bool + Send + 'static) {
        let (sender, probes) = (self.sender.clone(), Arc::clone(&self.probes));
        let own = probes.fetch_add(1, Ordering::Relaxed) + 1;
        std::thread::spawn(move || {
            let mut patience = SHORT;
            while probes.load(Ordering::Relaxed) == own {
                if answers(patience) {
                    let _ = sender.send(Event::End(Outcome::Answered));
                    return;
                }
                patience = LONG.min(patience * 5 / 4);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    }

    /// Prints lines until something else happens.
    pub fn next(&mut self, limit: Duration) -> Outcome {
        let end = Instant::now() + limit;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Event::Line(line)) => {
                    self.print(&line);
                    if let Some(address) = address_in(&line) {
                        return Outcome::Address(address);
                    }
                }
                Ok(Event::End(outcome)) => return outcome,
                Err(RecvTimeoutError::Timeout) => return Outcome::TimedOut,
                Err(RecvTimeoutError::Disconnected) => return Outcome::ConsoleEnded,
            }
        }
    }

    /// Prints lines until the domain is gone or the user has enough.
    pub fn until_end(&mut self) -> Outcome {
        const LONG: Duration = Duration::from_secs(3600);
        loop {
            match self.next(LONG) {
                Outcome::Address(_) | Outcome::Answered | Outcome::TimedOut => {}
                end => return end,
            }
        }
    }

    fn print(&self, line: &str) {
        if self.is_json {
            println!("{}", serde_json::json!({ "event": "console", "line": line }));
        } else {
            self.painter.print(line);
        }
    }
}

fn interrupt() {
    if let Some(sender) = INTERRUPTS.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        let _ = sender.send(Event::End(Outcome::Interrupted));
    }
}

/// The address in a line like `[net] address 10.0.3.15`, with or without the length of the network's prefix.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.strip_prefix("[net]")?.split_once("address ")?;
    let word = rest
        .split(|letter: char| letter.is_whitespace() || letter == '/' || letter == ',')
        .next()?;
    word.parse::<Ipv4Addr>().ok().map(|address| address.to_string())
}

/// Whether a page answers this machine in HTTP, within a second.
pub fn answers(url: &str) -> bool {
    answers_within(url, Duration::from_secs(1))
}

/// Whether a page answers this machine in HTTP, within this time.
pub fn answers_within(url: &str, limit: Duration) -> bool {
    let Some(host) = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/')) else {
        return false;
    };
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let Some(address) = with_port.to_socket_addrs().ok().and_then(|mut found| found.next()) else {
        return false;
    };
    ask(address, host, limit).is_ok_and(|head| head.starts_with(b"HTTP/"))
}

fn ask(address: SocketAddr, host: &str, limit: Duration) -> std::io::Result<[u8; 5]> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn watch() -> Watch {
        let (sender, events) = mpsc::channel();
        Watch { events, sender, painter: Painter::new(), is_json: false, probes: Arc::default() }
    }

    #[test]
    fn addresses_are_read_from_the_networks_own_lines() {
        assert_eq!(
            address_in("[net] address 10.0.3.15/24, gateway 10.0.3.2").as_deref(),
            Some("10.0.3.15")
        );
        assert_eq!(address_in("[net] address none"), None);
        assert_eq!(address_in("[httpd] address 10.0.3.15"), None);
    }

    #[test]
    fn a_console_ends_after_its_last_line() {
        let mut watch = watch();
        watch.console(Stream::new(&b"one\n[net] address 10.0.3.16\nlast"[..], || {}));
        assert_eq!(watch.next(Duration::from_secs(5)), Outcome::Address("10.0.3.16".into()));
        assert_eq!(watch.next(Duration::from_secs(5)), Outcome::ConsoleEnded);
    }

    #[test]
    fn a_page_that_answers_late_is_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut watch = watch();
        let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        watch.page(move |limit| answers_within(&url, limit));
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        assert_eq!(watch.next(Duration::from_secs(5)), Outcome::Answered);
    }

    #[test]
    fn nothing_happens_within_the_limit() {
        assert_eq!(watch().next(Duration::from_millis(10)), Outcome::TimedOut);
    }
}

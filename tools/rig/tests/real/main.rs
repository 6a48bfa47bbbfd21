//! The rig against the real Xen and the real dom0: `cargo test -p rig --test real -- --ignored`.
//!
//! Invariant: each test has a rig of its own, resumed from the snapshot, and every wait a limit.

mod probe;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use probe::Last;
use rig::direct::{self, Boot, End};
use rig::domain::Domain;
use rig::{Cache, Disk, Dom0, Error, Instance, Lines, Restart, Shell, Silent, Spec, Stream};

const LIMIT: Duration = Duration::from_secs(30);

fn cache() -> Cache {
    Cache::open().unwrap()
}

fn rig() -> Instance {
    Instance::private(&cache(), &Lines).unwrap()
}

/// A folder that is gone after the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rig-real-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes without a pattern that any layer could take for something else.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..size).map(next).collect()
}

fn boot(last: Last, limit: Duration) -> (Vec<String>, End) {
    rig::setup(&cache(), &Lines).unwrap();
    let scratch = Scratch::new(&format!("{:?}", std::thread::current().id()));
    let (kernel, image) = (
        scratch.file("kernel, with a comma", &probe::elf(last)),
        scratch.file("image", b"MODULE 1 and more"),
    );
    let mut lines = Vec::new();
    let boot =
        Boot { image: Some(&image), arguments: "ip=10.0.3.15,10.0.3.2 x", ..Boot::of(&kernel) };
    let end = direct::run(&cache(), &boot, limit, |line| lines.push(line.to_owned())).unwrap();
    (lines, end)
}

#[test]
#[ignore = "needs the rig"]
fn a_kernel_as_dom0_gets_arguments_and_module_and_powers_off() {
    let (lines, end) = boot(Last::Shutdown(0), LIMIT);
    assert_eq!(end, End::Halted, "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("ip=10.0.3.15,10.0.3.2 x")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with("MODULE 1")), "{lines:#?}");
}

#[test]
#[ignore = "needs the rig"]
fn reboot_crash_and_hang_are_told_apart() {
    assert_eq!(boot(Last::Shutdown(1), LIMIT).1, End::Rebooted);
    assert_eq!(boot(Last::Shutdown(3), LIMIT).1, End::Crashed);
    let start = Instant::now();
    assert_eq!(boot(Last::Hang, Duration::from_secs(3)).1, End::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[test]
#[ignore = "needs the rig"]
fn commands_and_files_go_through_the_channel() {
    let rig = rig();
    let dom0 = rig.dom0();
    let output = dom0.exec("echo out; echo err >&2; exit 5", LIMIT).unwrap();
    assert_eq!((output.status, output.text.as_str()), (5, "out\nerr\n"));
    let late = dom0.exec("sleep 60", Duration::from_secs(1)).unwrap_err();
    assert!(matches!(late, Error::CommandTimeout { .. }), "{late}");

    let content = noise(3_000_001);
    dom0.write(&mut content.as_slice(), content.len() as u64, "/root/in/a folder/file").unwrap();
    let mut back = Vec::new();
    dom0.read("/root/in/a folder/file", &mut back).unwrap();
    assert!(content == back);
    let refused =
        dom0.write(&mut content.as_slice(), content.len() as u64, "/proc/no").unwrap_err();
    assert!(matches!(refused, Error::Command { .. }), "{refused}");
    assert!(matches!(dom0.read("/no/such", &mut back).unwrap_err(), Error::Command { .. }));
}

#[test]
#[ignore = "needs the rig"]
fn a_followed_command_ends_with_its_reader() {
    let rig = rig();
    let dom0 = rig.dom0();
    let mut lines = BufReader::new(dom0.follow("while :; do echo tick; sleep 0.1; done").unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "tick\n");
    drop(lines);
    let gone = "while pgrep -f 'echo [t]ick' >/dev/null; do sleep 0.1; done";
    assert!(dom0.exec(gone, LIMIT).unwrap().is_ok());
    let mut rest = String::new();
    dom0.follow("echo one; exit 3").unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "one\n");
}

#[test]
#[ignore = "needs the rig"]
fn a_followed_command_ends_though_its_reader_left_at_once() {
    let rig = rig();
    let dom0 = rig.dom0();
    for pause in [0, 5, 10, 20, 40, 80, 160] {
        let stream = dom0.follow("while :; do sleep 0.1; : tock; done").unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        drop(stream);
    }
    let gone = "sleep 2; ! pgrep -af ': [t]ock'";
    let output = dom0.exec(gone, LIMIT).unwrap();
    assert!(output.is_ok(), "{output:?}");
}

#[test]
#[ignore = "needs the rig"]
fn two_rigs_run_side_by_side_and_leave_nothing() {
    let (one, two) = (rig(), rig());
    for (rig, word) in [(&one, "one"), (&two, "two")] {
        rig.dom0().exec(&format!("echo {word} >/root/mark"), LIMIT).unwrap();
    }
    assert_eq!(one.dom0().exec("cat /root/mark", LIMIT).unwrap().text, "one\n");
    let (run, qemu) = (one.run().to_path_buf(), one.record().qemu);
    drop(one);
    assert!(!run.exists() && !qemu.is_alive());
    assert_eq!(two.dom0().exec("cat /root/mark", LIMIT).unwrap().text, "two\n");
}

#[test]
#[ignore = "needs the rig"]
fn a_rig_that_died_is_an_error_that_says_so() {
    let rig = rig();
    rig.record().qemu.kill();
    assert!(matches!(rig.check().unwrap_err(), Error::Died { .. }));
    assert!(matches!(rig.dom0().exec("true", LIMIT).unwrap_err(), Error::Died { .. }));
}

#[test]
#[ignore = "needs the rig"]
fn disks_are_plugged_in_and_out() {
    let scratch = Scratch::new("disks");
    let (rig, content) = (rig(), noise(1 << 20));
    let image = scratch.file("image, of a disk", &content);
    let dom0 = rig.dom0();
    let (one, two) = (
        dom0.attach(&image, false).unwrap(),
        dom0.attach(&scratch.file("two", &content), true).unwrap(),
    );
    let mut back = Vec::new();
    (&dom0 as &dyn Dom0)
        .run(&format!("cp {one} /root/copy; echo changed | dd of={two} conv=notrunc 2>&1"), LIMIT)
        .unwrap();
    dom0.read("/root/copy", &mut back).unwrap();
    assert!(back == content);
    assert!(
        !dom0.exec(&format!("echo x | dd of={one} conv=notrunc,fsync"), LIMIT).unwrap().is_ok()
    );
    dom0.detach(&one).unwrap();
    dom0.detach(&two).unwrap();
    assert!(std::fs::read(scratch.0.join("two")).unwrap().starts_with(b"changed\n"));
    assert_eq!(dom0.exec("ls /sys/block | grep -c ^vd", LIMIT).unwrap().text.trim(), "1");
}

/// A Linux guest with one disk, from creation to its end, through any way to dom0.
fn life_of_a_domain(rig: &mut Instance, dom0: &dyn Dom0, port: u16) {
    let scratch = Scratch::new(&format!("domain-{port}"));
    let initramfs = scratch.0.join("initramfs");
    (&rig.dom0() as &dyn Dom0).get("/rig/guest-initramfs", &initramfs).unwrap();
    let content = noise(1 << 18);
    let disk = scratch.file("disk", &content);
    let name = format!("linux-{port}");
    let spec = Spec {
        name: &name,
        kernel: &cache().path().join("image/linux"),
        image: &initramfs,
        memory: 128,
        vcpus: 1,
        extra: "console=hvc0",
        bridge: Some("xenbr0"),
        mac: None,
        disks: vec![Disk { image: &disk, device: "xvda", writable: false }],
        restart: Restart::Never,
        note: "a note, it's kept",
    };
    let domain = Domain::create(dom0, &spec).unwrap();
    let console = Console::of(domain.console().unwrap());
    console.until("GUEST-READY");
    assert!(domain.state().unwrap().is_some() && domain.id().unwrap().is_some());
    rig.forward(port, "10.0.3.15", 80).unwrap();
    assert!(fetch(port).contains("hello from domU"));
    domain.type_text("md5sum /dev/xvda\n").unwrap();
    let line = console.until("  /dev/xvda");
    let own = std::process::Command::new("md5sum").arg(&disk).output().unwrap().stdout;
    assert_eq!(
        line.split_whitespace().next(),
        String::from_utf8(own).unwrap().split_whitespace().next()
    );

    assert_eq!(domain.note().unwrap(), "a note, it's kept");
    let twice = Domain::create(dom0, &Spec { disks: vec![], ..spec }).map(drop).unwrap_err();
    assert!(matches!(twice, Error::DomainExists { .. }), "{twice}");
    domain.destroy().unwrap();
    assert_eq!(domain.state().unwrap(), None);
    assert!(console.ends(), "the console ends with the domain");
    assert_eq!(rig.dom0().exec("ls /sys/block | grep -c ^vd", LIMIT).unwrap().text.trim(), "1");
}

/// The lines of a stream, read on the side so that waiting for one has a limit.
struct Console(Receiver<String>);

impl Console {
    fn of(stream: Stream) -> Self {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(|line| line.ok()) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self(receiver)
    }

    /// The first line with `mark` in it.
    fn until(&self, mark: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.0.recv_timeout(LIMIT) {
                Ok(line) if line.contains(mark) => return line,
                Ok(line) => seen.push(line),
                Err(error) => {
                    panic!("{mark:?} did not come ({error}); the console said: {seen:#?}")
                }
            }
        }
    }

    /// Whether the stream ends in time.
    fn ends(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            match self.0.recv_timeout(LIMIT) {
                Ok(_) => {}
                Err(error) => return error == RecvTimeoutError::Disconnected,
            }
        }
        false
    }
}

fn fetch(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
#[ignore = "needs the rig"]
fn a_domain_lives_and_ends_on_the_rig() {
    let mut rig = rig();
    let dom0 = rig.dom0();
    life_of_a_domain(&mut rig, &dom0, free_port());
}

#[test]
#[ignore = "needs the rig"]
fn a_domain_lives_and_ends_by_ssh() {
    let scratch = Scratch::new("ssh");
    let mut rig = rig();
    let ssh = rig.stand_in_for_ssh(&scratch.0).unwrap();
    let dom0 = Shell::ssh("root@dom0", None).with_program(&ssh.display().to_string());
    life_of_a_domain(&mut rig, &dom0, free_port());
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
#[ignore = "needs the rig"]
fn ports_lead_to_guests_and_a_taken_one_is_refused() {
    let mut rig = rig();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(matches!(rig.forward(port, "10.0.3.9", 8), Err(Error::PortInUse { .. })));
    drop(listener);
    rig.forward(port, "10.0.3.9", 8).unwrap();
    rig.forward(port, "10.0.3.9", 8).unwrap();
    rig.forward(port, "10.0.3.9", 9).unwrap();
    assert_eq!(rig.record().forwards.len(), 1);
    rig.unforward(port).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
#[ignore = "needs the rig"]
fn a_second_setup_finds_all_done() {
    rig::setup(&cache(), &Lines).unwrap();
    let start = Instant::now();
    rig::setup(&cache(), &Silent).unwrap();
    assert!(start.elapsed() < Duration::from_millis(500));
}

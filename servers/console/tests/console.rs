//! The console between a fake terminal and fake writers.

use std::sync::{Arc, Mutex};

use abi::Handle;
use abi::kernel::control::Shutdown;
use console::{Console, Next, Operator, PATIENCE, Source, Swapped, Terminal};
use ipc::Wire;
use ipc::loopback::{End, Loopback};
use ipc::manage::Action;
use ipc::operator::{Outcome, Reason};
use ipc::status::{SlotStatus, Snapshot, State};
use shared::bytes::Producer;
use shared::{HostMemory, Memory};
use xen::fake::Terminal as Screen;

const PORT: Handle = Handle(4);
const BELL: Handle = Handle(5);

#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

fn server(name: &str, state: State, restarts: u32) -> SlotStatus {
    SlotStatus {
        name: name.into(),
        state,
        priority: 50,
        vcpu: 0,
        restarts,
        pages: 25,
        cpu: 3_000_000,
        calls: 7,
        served: 9,
        paid: 5_000_000,
        granted: 20_000_000,
        age: 0,
        image: "".into(),
        version: "v1".into(),
        build: [0; 4],
        held: core::array::from_fn(|kind| {
            (kind as u32 + 1, if kind == 7 { u32::MAX } else { 10 * kind as u32 + 9 })
        }),
    }
}

impl Operator for Asked {
    fn snapshot(&mut self) -> Option<Snapshot> {
        Some(Snapshot {
            system: "web".into(),
            uptime: 90_061_000_000_000,
            entry: 0,
            xen: (4, 20),
            domain: 3,
            vcpus: 1,
            memory: 4096,
            free: 1000,
            kernel: 200,
            upcalls: 1000,
            lock: ipc::status::Contention::default(),
            flushes: 0,
            servers: vec![server("supervisor", State::Running, 0), server("httpd", State::Down, 2)],
        })
    }
    fn swap(&mut self, slot: u16, image: u64) -> Result<(), &'static str> {
        self.0.lock().unwrap().push(format!("swap {slot} {image:x}"));
        if slot == 0 { Err("it is not swapped") } else { Ok(()) }
    }
    fn swapped(&mut self, _: u16) -> Option<Swapped> {
        let (outcome, reason) = (Outcome::Done, Reason::None);
        let steps = [1_000, 2_000, 3_000, 4_000, 5_000];
        Some(Swapped { outcome, reason, stopped: 2_000, bytes: 9, steps })
    }
    fn act(&mut self, slot: u16, action: Action) -> bool {
        self.0.lock().unwrap().push(format!("{action:?} {slot}"));
        slot > 0
    }
    fn shutdown(&mut self, reason: Shutdown) -> bool {
        self.0.lock().unwrap().push(format!("{reason:?}"));
        true
    }
}

struct Bench {
    console: Console<End, Asked>,
    end: End,
    page: Memory,
    screen: Screen,
    log: Producer,
    up: Memory,
    down: Memory,
    asked: Asked,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        let end = Loopback::new().end();
        let page = HostMemory::leak(1);
        let (up, down) = (HostMemory::leak(5), HostMemory::leak(1));
        let wire = Wire { handle: BELL, bits: 2, up, down };
        let ring = xen::console::Console::open(page).ok();
        let asked = Asked::default();
        let terminal = Terminal::new(end, PORT, ring);
        let console = Console::new(terminal, vec![Source::new(wire)], asked.clone());
        let log = Producer::open(ipc::console::ring(up, down).unwrap()).unwrap();
        let mut bench =
            Self { console, end, page, screen: Screen(page), log, up, down, asked, now: 0 };
        bench.turn();
        bench
    }

    fn turn(&mut self) -> Next {
        loop {
            match self.console.turn(&self.end, self.now) {
                Next::At(1) => {}
                other => return other,
            }
        }
    }

    /// Writes a line as `log` does; whether it fits.
    fn write(&mut self, line: &str) -> bool {
        let line = format!("{line}\n");
        if self.log.free().unwrap() < line.len() {
            return false;
        }
        self.log.write(line.as_bytes()).unwrap();
        let _ = self.log.publish();
        true
    }

    fn screen(&mut self) -> String {
        self.turn();
        String::from_utf8(self.screen.read()).unwrap()
    }

    fn kind(&mut self, keys: &str) -> String {
        self.screen.write(keys.as_bytes());
        self.screen()
    }
}

#[test]
fn lines_go_out_with_both_line_ends_and_no_prompt() {
    let mut bench = Bench::new();
    bench.write("[net] link up");
    bench.write("[httpd] ready");
    assert_eq!(bench.screen(), "[net] link up\r\n[httpd] ready\r\n");
    assert_eq!(bench.end.notified(PORT), 1);
}

#[test]
fn a_log_that_finds_no_room_is_rung_when_there_is() {
    let mut bench = Bench::new();
    while bench.write(&"x".repeat(200)) {}
    assert_eq!(bench.log.arm(300), Ok(false));
    bench.screen();
    bench.screen();
    assert_eq!(bench.end.notified(BELL), 1);
}

#[test]
fn nothing_is_lost_while_somebody_reads() {
    let mut bench = Bench::new();
    let (mut written, mut seen) = (0, String::new());
    while written < 2000 {
        while written < 2000 && bench.write(&format!("line {written}")) {
            written += 1;
        }
        bench.now += PATIENCE / 2;
        seen += &bench.screen();
    }
    for _ in 0..40 {
        seen += &bench.screen();
    }
    let expected: String = (0..2000).map(|n| format!("line {n}\r\n")).collect();
    assert!(seen == expected);
}

#[test]
fn without_a_reader_lines_are_dropped_after_a_while_and_told() {
    let mut bench = Bench::new();
    let mut written = 0;
    while bench.write(&format!("{written:0100}")) {
        written += 1;
    }
    let Next::At(deadline) = bench.turn() else { panic!("the console waits for a bit alone") };
    assert_eq!(deadline, PATIENCE);
    while bench.write(&"y".repeat(200)) {}
    assert_eq!(bench.turn(), Next::At(deadline), "the log waits");
    bench.now = deadline;
    assert_eq!(bench.turn(), Next::Bit);
    for _ in 0..1000 {
        assert!(bench.write("dropped"));
        bench.turn();
    }
    let lines = bench.screen();
    assert!(lines.starts_with("0000"));
    let told = bench.screen();
    assert!(told.contains("lines lost: nobody read the console)"), "{told}");
    assert!(bench.write("and on"));
    assert!(bench.screen().ends_with("and on\r\n"));
}

#[test]
fn commands_are_echoed_and_done() {
    let mut bench = Bench::new();
    let seen = bench.kind("uptime\r");
    assert_eq!(
        seen,
        "xylem> uptime\r\nweb: up 1 d 01:01:01, domain 3 on Xen 4.20, 1 vCPUs\r\nxylem> "
    );
    assert!(bench.kind("help\r").contains("restart NAME"));
    assert!(bench.kind("nonsense\r").contains("no such command: nonsense"));
    assert!(bench.kind("ps httpd now\r").contains("too many words"));
    assert_eq!(bench.kind("\r"), "\r\nxylem> ");
}

#[test]
fn ps_shows_every_server() {
    let seen = Bench::new().kind("ps\r");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[1].starts_with("NAME             STATE     PRIO VCPU"));
    assert_eq!(
        lines[3],
        "httpd            down        50    0    100 K          3             5/20          7          9        2         0  v1"
    );
    assert_eq!(lines[4], "memory: 16384 K, of which 4000 K free and 800 K kernel");
    assert_eq!(lines[5], "kernel lock: 0 times at once, 0 times after a wait, 0 yields; 0 flushes");
}

#[test]
fn ps_objects_shows_what_every_slot_holds_and_may_hold() {
    let seen = Bench::new().kind("ps objects\r");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[1].starts_with("NAME                  FRAMES      TABLES     REGIONS"));
    let numbers: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(
        numbers,
        ["httpd", "1/9", "2/19", "3/29", "4/39", "5/49", "6/59", "7/69", "8/-"],
        "used and limit of each kind"
    );
}

#[test]
fn servers_are_swapped_by_name() {
    let mut bench = Bench::new();
    assert!(bench.kind("swap httpd\r").contains("httpd is being swapped"));
    assert!(bench.kind("swap httpd httpd-alt\r").contains("httpd is being swapped"));
    assert!(bench.kind("swap supervisor\r").contains("not swapped: it is not swapped"));
    assert!(bench.kind("swap nobody\r").contains("no server is called nobody"));
    assert!(bench.kind("swapped httpd\r").contains("nobody served for 2 us"));
    assert!(bench.kind("swap httpd one two\r").contains("too many words"));
    let alt = abi::hash::text("httpd-alt");
    let asked = bench.asked.0.lock().unwrap();
    assert_eq!(*asked, ["swap 1 0", format!("swap 1 {alt:x}").as_str(), "swap 0 0"]);
}

#[test]
fn servers_are_restarted_by_name() {
    let mut bench = Bench::new();
    assert!(bench.kind("restart httpd\r").contains("httpd starts again"));
    assert!(bench.kind("restart supervisor\r").contains("supervisor cannot be restarted"));
    assert!(bench.kind("restart nobody\r").contains("no server is called nobody"));
    assert!(bench.kind("restart\r").contains("no such command"));
    assert!(bench.kind("stop httpd\r").contains("httpd is stopped"));
    assert!(bench.kind("start httpd\r").contains("httpd is started"));
    assert!(bench.kind("kill supervisor\r").contains("supervisor cannot be killed"));
    let asked = ["Restart 1", "Restart 0", "Stop 1", "Start 1", "Kill 0"];
    assert_eq!(*bench.asked.0.lock().unwrap(), asked);
}

#[test]
fn the_domain_is_ended_in_both_ways() {
    let mut bench = Bench::new();
    bench.kind("shutdown\rshutdown reboot\rshutdown now\r");
    assert_eq!(*bench.asked.0.lock().unwrap(), ["Poweroff", "Reboot"]);
}

#[test]
fn the_last_lines_are_shown_again() {
    let mut bench = Bench::new();
    (0..30).for_each(|n| assert!(bench.write(&format!("line {n}"))));
    bench.screen();
    assert_eq!(bench.kind("log 2\r"), "xylem> log 2\r\nline 28\r\nline 29\r\nxylem> ");
    assert_eq!(bench.kind("log\r").lines().count(), 22);
    assert!(bench.kind("log many\r").contains("log wants a number"));
}

#[test]
fn a_line_that_comes_while_the_operator_types_does_not_break_his() {
    let mut bench = Bench::new();
    assert_eq!(bench.kind("upt"), "xylem> upt");
    bench.write("[net] link up");
    assert_eq!(bench.screen(), "\r\x1b[K[net] link up\r\nxylem> upt");
    assert!(bench.kind("ime\r").contains("up 1 d"));
}

#[test]
fn a_backend_that_lies_is_not_used_any_more() {
    for (offset, value) in [(3076usize, 0x5000u32), (3080, 0x7000)] {
        let mut bench = Bench::new();
        bench.page.write(offset, &value);
        for n in 0..2000 {
            assert!(bench.write(&format!("line {n}")));
            bench.turn();
        }
        assert_eq!(bench.turn(), Next::Bit);
    }
}

#[test]
fn a_writer_that_lies_harms_nobody() {
    let mut bench = Bench::new();
    bench.write("good");
    bench.screen();
    for n in 0..100u64 {
        bench.up.store_u64_release(0, n * 0x1_2345_6789_abcd);
        bench.turn();
    }
    assert!(bench.kind("uptime\r").contains("up 1 d"));
}

#[test]
fn without_a_ring_lines_are_taken_all_the_same() {
    let end = Loopback::new().end();
    let (up, down) = (HostMemory::leak(5), HostMemory::leak(1));
    let wire = Wire { handle: BELL, bits: 2, up, down };
    let mut console =
        Console::new(Terminal::new(end, PORT, None), vec![Source::new(wire)], Asked::default());
    let mut log = Producer::open(ipc::console::ring(up, down).unwrap()).unwrap();
    for _ in 0..5000 {
        assert_eq!(log.write(b"line\n"), Ok(5));
        let _ = log.publish();
        console.turn(&end, 0);
    }
}

#[test]
fn a_backend_that_flips_words_between_loads_does_no_harm() {
    for seed in 1..300u64 {
        let mut bench = Bench::new();
        (0..20).for_each(|n| assert!(bench.write(&format!("line {n}"))));
        bench.screen.write(b"ps\rhelp\rlog\r");
        let page = bench.page;
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let peer = move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state % 5 == 0 {
                page.write(3072 + 4 * (state >> 8) as usize % 20, &((state >> 40) as u32 % 5000));
            }
        };
        shared::with_peer(peer, || {
            (0..20).for_each(|n| _ = bench.console.turn(&bench.end, n * PATIENCE));
        });
    }
}

#[test]
fn a_successor_goes_on_in_the_middle_of_everything() {
    let mut bench = Bench::new();
    // Half a line typed, lines for `log`, and output that waits because nobody reads.
    bench.kind("upt");
    (0..30).for_each(|n| {
        bench.write(&format!("{n:0100}"));
        bench.turn();
    });
    let state = |console: &Console<End, Asked>| {
        let mut to = ipc::state::Writer::new(1 << 20);
        console.save(&mut to).unwrap();
        to.bytes().to_vec()
    };
    let bytes = state(&bench.console);
    let saved = console::Saved::read(ipc::state::Reader::new(&bytes).unwrap()).unwrap();
    let mut again = ipc::state::Writer::new(1 << 20);
    saved.save(&mut again).unwrap();
    assert_eq!(again.bytes(), bytes);
    let wire = Wire { handle: BELL, bits: 2, up: bench.up, down: bench.down };
    let ring = xen::console::Console::open(bench.page).ok();
    let terminal = Terminal::new(bench.end, PORT, ring);
    let asked = bench.asked.clone();
    bench.console = Console::new(terminal, vec![Source::new(wire)], asked);
    bench.console.resume(saved);
    assert_eq!(state(&bench.console), bytes);
    let mut seen = String::new();
    (0..20).for_each(|_| seen.push_str(&bench.screen()));
    for n in 0..30 {
        assert_eq!(seen.matches(&format!("{n:0100}")).count(), 1, "line {n}");
    }
    assert!(bench.kind("ime\r").contains("up "), "the line goes on");
    assert!(bench.kind("log 1\r").contains(&format!("{:0100}", 29)));
}

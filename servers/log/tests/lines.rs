//! What writers write comes out whole, in order, with their names; what they lose is told; what they break is theirs alone.

use std::sync::{Arc, Mutex};

use abi::Handle;
use ipc::Wire;
use ipc::log::DROPPED;
use ipc::loopback::{End, Loopback};
use log::{ConsoleSink, Left, Log, Sink, Source, Tapped};
use rt::log::{Line, Writer};
use shared::bytes::Consumer;
use shared::{HostMemory, Memory};

/// A sink with room for so many lines.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<(Vec<String>, usize)>>);

impl Paper {
    fn with_room(lines: usize) -> Self {
        Self(Arc::new(Mutex::new((vec![], lines))))
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().0)
    }
    fn add_room(&self, lines: usize) {
        self.0.lock().unwrap().1 += lines;
    }
}

impl Sink for Paper {
    fn has_room(&mut self, _: usize) -> bool {
        self.0.lock().unwrap().1 > 0
    }
    fn write(&mut self, line: &str) {
        let mut paper = self.0.lock().unwrap();
        paper.0.push(line.strip_suffix('\n').unwrap().into());
        paper.1 -= 1;
    }
    fn flush(&mut self) {}
}

struct Server {
    up: Memory,
    down: Memory,
    bits: u64,
    writer: Writer,
}

impl Server {
    fn new(number: u16) -> (Self, Source) {
        let (up, down) = (HostMemory::leak(3), HostMemory::leak(1));
        let bits = 1 << number;
        let wire = Wire { handle: Handle(number), bits, up, down };
        let source = Source::new(&format!("server-{number}"), wire);
        (Self { up, down, bits, writer: Writer::open(up, down).unwrap() }, source)
    }

    /// Writes a line; the bit to ring, if any.
    fn write(&mut self, text: &str) -> u64 {
        if self.writer.write(&Line::new(format_args!("{text}"))) { self.bits } else { 0 }
    }
}

fn bench(servers: u16) -> (Vec<Server>, Log<Paper>, Paper) {
    let paper = Paper::with_room(100_000);
    let (servers, sources) = (0..servers).map(Server::new).unzip();
    (servers, Log::new(sources, paper.clone()), paper)
}

#[test]
fn lines_come_out_with_their_servers_name() {
    let (mut servers, mut log, paper) = bench(2);
    servers[0].write("early");
    assert_eq!(log.turn(0), Left::Nothing);
    let bits = servers[1].write("later") | servers[0].write("more");
    assert_eq!(bits, 3);
    log.turn(bits);
    let mut lines = paper.take();
    assert_eq!(lines.remove(0), "[server-0] early");
    lines.sort();
    assert_eq!(lines, ["[server-0] more", "[server-1] later"]);
}

#[test]
fn a_server_that_was_not_heard_is_rung_for_the_next_line_only() {
    let (mut servers, mut log, paper) = bench(1);
    log.turn(0);
    assert_eq!(servers[0].write("one"), 1);
    assert_eq!(servers[0].write("two"), 0);
    log.turn(1);
    assert_eq!(servers[0].write("three"), 1);
    log.turn(1);
    assert_eq!(paper.take().len(), 3);
}

#[test]
fn every_line_of_every_server_keeps_its_order() {
    let (mut servers, mut log, paper) = bench(5);
    let mut told = vec![vec![]; 5];
    for round in 0..40 {
        let mut bits = 0;
        for (number, server) in servers.iter_mut().enumerate() {
            for n in 0..(round * 7 + number * 3) % 20 {
                bits |= server.write(&format!("{round}.{n}"));
                told[number].push(format!("[server-{number}] {round}.{n}"));
            }
        }
        while log.turn(std::mem::take(&mut bits)) == Left::Lines {}
    }
    let lines = paper.take();
    for (number, expected) in told.iter().enumerate() {
        let prefix = format!("[server-{number}]");
        let got: Vec<&String> = lines.iter().filter(|line| line.starts_with(&prefix)).collect();
        assert_eq!(got, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_flood_does_not_keep_another_server_waiting() {
    let (mut servers, mut log, paper) = bench(2);
    for _ in 0..500 {
        servers[0].write("flood");
    }
    servers[1].write("important");
    assert_eq!(log.turn(u64::MAX), Left::Lines);
    let lines = paper.take();
    assert!(lines.iter().position(|line| line.contains("important")).unwrap() < 10);
    assert!(lines.len() < 100, "a turn is bounded");
}

#[test]
fn lost_lines_are_told_after_those_that_came_through() {
    let (mut servers, mut log, paper) = bench(1);
    for n in 0..2000 {
        servers[0].write(&format!("line {n}"));
    }
    while log.turn(u64::MAX) == Left::Lines {}
    let mut lines = paper.take();
    let lost = lines.pop().unwrap();
    assert_eq!(
        lost,
        format!("[server-0] ({} lines lost: the log's ring was full)", 2000 - lines.len())
    );
    assert_eq!(lines.last().unwrap(), &format!("[server-0] line {}", lines.len() - 1));
    log.turn(u64::MAX);
    assert_eq!(paper.take(), [""; 0]);
}

#[test]
fn without_room_lines_wait_in_their_ring() {
    let paper = Paper::with_room(3);
    let (mut server, source) = Server::new(0);
    let mut log = Log::new(vec![source], paper.clone());
    for n in 0..10 {
        server.write(&format!("{n}"));
    }
    assert_eq!(log.turn(u64::MAX), Left::NoRoom);
    assert_eq!(paper.take().len(), 3);
    paper.add_room(100);
    assert_eq!(log.turn(0), Left::Nothing);
    assert_eq!(paper.take().len(), 7);
}

#[test]
fn a_restarted_server_goes_on_after_its_last_line() {
    let (mut servers, mut log, paper) = bench(1);
    servers[0].write("before");
    log.turn(u64::MAX);
    servers[0].write("unread");
    servers[0].writer = Writer::open(servers[0].up, servers[0].down).unwrap();
    servers[0].write("after");
    log.turn(u64::MAX);
    assert_eq!(paper.take(), ["[server-0] before", "[server-0] unread", "[server-0] after"]);
}

#[test]
fn a_restarted_log_repeats_nothing() {
    let (mut server, source) = Server::new(0);
    let wire = Wire { handle: Handle(0), bits: 1, up: server.up, down: server.down };
    let paper = Paper::with_room(100);
    server.write("one");
    Log::new(vec![source], paper.clone()).turn(0);
    server.write("two");
    Log::new(vec![Source::new("server-0", wire)], paper.clone()).turn(0);
    assert_eq!(paper.take(), ["[server-0] one", "[server-0] two"]);
}

#[test]
fn control_characters_and_bad_text_do_no_harm() {
    let (mut servers, mut log, paper) = bench(1);
    servers[0].write("a\x1b[2Jb\tc\r\u{7f}ü");
    let up = servers[0].up;
    log.turn(u64::MAX);
    assert_eq!(paper.take(), ["[server-0] a\u{fffd}[2Jb c\u{fffd}\u{fffd}ü"]);
    servers[0].write("xyz");
    let at = 4096 + "a\x1b[2Jb\tc\r\u{7f}ü\n".len();
    up.write(at, &0xffu8);
    log.turn(u64::MAX);
    assert_eq!(paper.take(), ["[server-0] \u{fffd}yz"]);
}

#[test]
fn what_never_ends_is_cut() {
    let (servers, mut log, paper) = bench(1);
    let mut ring =
        shared::bytes::Producer::open(ipc::log::ring(servers[0].up, servers[0].down).unwrap())
            .unwrap();
    ring.write(&[b'x'; 1100]).unwrap();
    let _ = ring.publish();
    assert_eq!(log.turn(u64::MAX), Left::Nothing);
    let lengths: Vec<usize> = paper.take().iter().map(String::len).collect();
    assert_eq!(lengths, [11 + 512, 11 + 512]);
}

#[test]
fn a_broken_ring_is_told_once_and_harms_nobody() {
    let (mut servers, mut log, paper) = bench(2);
    log.turn(0);
    for n in 0..50u64 {
        servers[0].up.store_u64_release(0, (1 << 32) | (0x4000_0000 + n * 0x1111_1111));
        let bits = 1 | servers[1].write("good");
        log.turn(bits);
    }
    let lines = paper.take();
    assert_eq!(lines.iter().filter(|line| line.contains("broken")).count(), 1);
    assert_eq!(lines.iter().filter(|line| line.contains("good")).count(), 50);
}

#[test]
fn a_writer_that_flips_every_word_costs_nobody_else() {
    for seed in 0..200u64 {
        let (mut servers, mut log, paper) = bench(2);
        log.turn(0);
        servers[0].write("poison");
        let up = servers[0].up;
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let peer = move |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match state % 4 {
                0 => up.write(0, &(state >> 8)),
                1 => up.write(DROPPED, &(state as u32)),
                2 => up.write(4096 + (state >> 8) as usize % 8000, &state),
                _ => {}
            }
        };
        let bits = 1 | servers[1].write("good");
        shared::with_peer(peer, || (0..20).for_each(|_| _ = log.turn(bits)));
        assert!(paper.take().iter().any(|line| line == "[server-1] good"));
    }
}

fn console() -> (&'static Loopback, End, Wire) {
    let loopback = Loopback::new();
    let (log, console) = (loopback.end(), loopback.end());
    loopback.bell(&log, Handle(2), &console, 4);
    let wire =
        Wire { handle: Handle(2), bits: 2, up: HostMemory::leak(5), down: HostMemory::leak(1) };
    (loopback, log, wire)
}

#[test]
fn the_console_is_rung_once_for_all_lines_of_a_turn() {
    let (_, end, wire) = console();
    let mut sink = ConsoleSink::new(end, Some(wire), Some(|_: &[u8]| ()));
    assert_eq!(end.notified(Handle(2)), 1);
    let mut reader = Consumer::open(ipc::console::ring(wire.up, wire.down).unwrap()).unwrap();
    assert_eq!(reader.arm(1), Ok(false));
    for line in ["a\n", "b\n"] {
        assert!(sink.has_room(2));
        sink.write(line);
    }
    sink.flush();
    assert_eq!(end.notified(Handle(2)), 2);
    let mut bytes = [0; 9];
    assert_eq!(reader.read(&mut bytes), Ok(4));
}

#[test]
fn a_full_console_says_when_it_has_room() {
    let (_, end, wire) = console();
    let mut sink = ConsoleSink::new(end, Some(wire), None::<fn(&[u8])>);
    let mut reader = Consumer::open(ipc::console::ring(wire.up, wire.down).unwrap()).unwrap();
    while sink.has_room(100) {
        sink.write(&"x".repeat(100));
    }
    sink.flush();
    assert!(!sink.has_room(100));
    reader.consume(10).unwrap();
    assert!(!reader.publish());
    reader.consume(100).unwrap();
    assert!(reader.publish(), "the log is rung");
    assert!(sink.has_room(100));
}

#[test]
fn a_console_that_lies_is_given_up() {
    let (_, end, wire) = console();
    let printed = Arc::new(Mutex::new(0));
    let count = printed.clone();
    let mut sink =
        ConsoleSink::new(end, Some(wire), Some(move |_: &[u8]| *count.lock().unwrap() += 1));
    wire.down.store_u64_release(0, 0x1_7777_0000);
    for _ in 0..1000 {
        assert!(sink.has_room(100));
        sink.write(&"x".repeat(100));
    }
    assert!(!sink.has_console());
    assert_eq!(*printed.lock().unwrap(), 1000);
}

#[test]
fn a_successor_tells_each_line_and_each_loss_once() {
    let (mut servers, mut log, paper) = bench(2);
    log.turn(u64::MAX);
    for n in 0..100 {
        servers[1].write(&format!("{n:0200}"));
    }
    servers[0].write("before");
    log.turn(u64::MAX);
    let lost = paper.take().into_iter().filter(|line| line.contains("lines lost")).count();
    assert_eq!(lost, 1);
    let mut state = ipc::state::Writer::new(1000);
    state.put(&log.told()).unwrap();
    servers[0].write("between");
    let sources = (0..2u16).map(|number| {
        let Server { up, down, bits, .. } = servers[usize::from(number)];
        Source::new(&format!("server-{number}"), Wire { handle: Handle(number), bits, up, down })
    });
    let mut next = Log::new(sources.collect(), paper.clone());
    let read = ipc::state::Reader::new(state.bytes()).unwrap();
    next.resume(&read.one().unwrap().unwrap());
    assert_eq!(next.told(), log.told(), "what was adopted is written again");
    next.turn(u64::MAX);
    assert_eq!(paper.take(), ["[server-0] between"]);
}

#[test]
fn a_second_reader_that_is_busy_costs_nobody_a_line_and_is_told() {
    let (_, end, wire) = console();
    let paper = Paper::with_room(100_000);
    let mut sink = Tapped::new(paper.clone(), end, Some(wire));
    let mut reader = Consumer::open(ipc::console::ring(wire.up, wire.down).unwrap()).unwrap();
    assert_eq!(reader.arm(1), Ok(false));
    let line = format!("{}\n", "x".repeat(99));
    for _ in 0..200 {
        assert!(sink.has_room(line.len()));
        sink.write(&line);
    }
    sink.flush();
    assert_eq!(paper.take().len(), 200);
    assert_eq!(end.notified(Handle(2)), 2, "once as it starts, once for the lines");
    let mut bytes = vec![0; 20_000];
    assert_eq!(reader.read(&mut bytes), Ok(16_300));
    let _ = reader.publish();
    sink.write("again\n");
    sink.flush();
    let length = reader.read(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert_eq!(text, "[log] (37 lines were not kept: their reader was busy)\nagain\n");
}

#[test]
fn a_second_reader_that_lies_is_given_up() {
    let (_, end, wire) = console();
    let paper = Paper::with_room(100);
    let mut sink = Tapped::new(paper.clone(), end, Some(wire));
    wire.down.store_u64_release(0, 0x1_8000_0000);
    for _ in 0..3 {
        sink.write("line\n");
        sink.flush();
    }
    assert_eq!(paper.take().len(), 3);
}

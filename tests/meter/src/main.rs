//! Counts instructions: it takes the place of the supervisor, makes servers of its own code, lets them trap 1,000 times in
//! each way, and prints for each figure `meter: NAME median least most`, in ticks of the time-stamp counter.
//!
//! Ticks are instructions only under QEMU's `-icount shift=0`, and hold what a reading of the counter takes (`clock`). The
//! system's other servers are never started: they are there for their share of the kernel's objects.
#![cfg_attr(xylem_user, no_std, no_main)]

mod board;
mod clock;
mod load;
mod roles;

use core::fmt::Arguments;

use abi::kernel::control::{HandleKind, SUPERVISOR_SLOT, Shutdown};
use abi::token::Kind;
use abi::{Answer, Message, Token, Traps};
use rt::Trap;

use board::{Board, Figure, NAMES, ROUNDS};
use load::{Place, control, destroy, must, start};
use roles::{PAGER_SLOT, Role};

ipc::wiring! {
    serves { 0 => ipc::supervisor }
    clients 64;
    stack 16;
    heap 16;
}

/// Prints a line.
pub fn tell(line: Arguments<'_>) {
    rt::debug(rt::log::Line::new(line).bytes());
}

/// Ends the domain.
pub fn end() -> ! {
    loop {
        let _ = control().domain_shutdown(Shutdown::Poweroff);
    }
}

/// The measured servers: the client, a more urgent server, a peer of the client, and a less urgent one.
struct Servers {
    client: u16,
    server: u16,
    peer: u16,
    low: u16,
}

/// Who takes part: client, server, peer, less urgent one.
type Cast = (Role, Option<Role>, Option<Role>, Option<Role>);

/// What is counted from outside, instruction by instruction: events that interrupt who runs.
const EVENTS: [Cast; 2] = [
    (Role::Spinner, Some(Role::Sleeper), None, None),
    (Role::SomeSlices, None, Some(Role::Spinner), None),
];

const PHASES: [Cast; 12] = [
    (Role::Clock, None, None, None),
    (Role::Caller, Some(Role::Clocked), None, None),
    (Role::Tripper, Some(Role::Echo), None, None),
    (Role::TenClient, Some(Role::TenServer), None, None),
    (Role::BlockClient, Some(Role::BlockServer), None, None),
    (Role::LateClient, Some(Role::Late), Some(Role::LatePeer), None),
    (Role::RingHigher, Some(Role::Sink), None, None),
    (Role::RingLower, None, None, Some(Role::Waiter)),
    (Role::Timer, None, None, None),
    (Role::TypedClient, Some(Role::Typed), None, None),
    (Role::Pauser, None, Some(Role::PausePeer), None),
    (Role::Sink, Some(Role::Pager), Some(Role::Toucher), None),
];

impl Servers {
    /// Plays a phase until somebody says that it is done.
    fn play(&self, (client, server, peer, low): Cast) {
        let cast = [
            (self.client, Some(client)),
            (self.server, server),
            (self.peer, peer),
            (self.low, low),
        ];
        for (server, role) in cast {
            if let Some(role) = role {
                start(server, role);
            }
        }
        loop {
            let event = Trap.reply_wait(None);
            match event.token.kind() {
                Kind::Call => break,
                Kind::None => {}
                Kind::Fault => {
                    tell(format_args!("meter: {client:?} failed: {:x?}", event.message));
                    end()
                }
            }
        }
        for (server, _) in cast {
            must(control().thread_stop(server), "a stop");
        }
    }

    /// Faults of the client, from its trap to the handler's next instruction.
    fn faults(&self, board: Board) {
        for round in 0..ROUNDS {
            start(self.client, Role::Faulter);
            let event = Trap.reply_wait(None);
            let to = clock::now();
            let [_, above, ..] = event.message.words;
            board.keep(Figure::Fault, round, above >> 8, to);
            kill(event.token);
        }
    }
}

fn kill(token: Token) {
    Trap.reply(Answer { token, message: Message::new(0, [1, 0, 0, 0, 0]) });
}

/// Lives of a server: address space, handles, memory that is there, a thread that does not come to run, and the end of it.
fn lives(place: Place, region: u16, board: Board) {
    for round in 0..ROUNDS {
        let from = clock::now();
        let server = place.create(region);
        start(server, Role::Clock);
        destroy(server);
        let to = clock::now();
        board.keep(Figure::Server, round, from, to);
    }
}

fn places() -> [Place; 5] {
    use HandleKind::{Bell, Control, Empty, Wire};
    let root = (Wire, SUPERVISOR_SLOT);
    let nothing = (Empty, 0);
    [
        Place::new(2, 20, [root, nothing, (Control, PAGER_SLOT)]),
        Place::new(4, 5, [root, nothing, nothing]),
        Place::new(1, 10, [root, (Wire, 2), (Bell, 4)]),
        Place::new(3, 10, [root, (Wire, 2), nothing]),
        Place::new(5, 10, [root, (Wire, 2), nothing]),
    ]
}

fn run() -> ! {
    let region = load::board();
    let board = Board::new();
    let [server, low, client, peer, spare] = places();
    must(control().slot_manager(peer.slot, PAGER_SLOT), "a manager");
    let low = Place { handles: [low.handles[0], low.handles[1], (HandleKind::Wire, 1)], ..low };
    let servers = Servers {
        client: client.create(region),
        server: server.create(region),
        peer: peer.create(region),
        low: low.create(region),
    };
    for cast in EVENTS {
        servers.play(cast);
    }
    tell(format_args!("meter: events done"));
    for cast in PHASES {
        servers.play(cast);
    }
    servers.faults(board);
    lives(spare, region, board);
    for (figure, name) in NAMES.iter().enumerate() {
        let samples = board.samples(figure);
        let [least, .., most] = samples;
        tell(format_args!("meter: {name} {} {least} {most}", samples[ROUNDS / 2]));
    }
    end()
}

rt::main!(run; root);

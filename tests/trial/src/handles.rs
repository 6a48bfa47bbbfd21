//! Every kind of handle with every trap: an answer, or the fault that the contract names.

use abi::fault::FaultKind;
use abi::kernel::control::{HandleKind, SlotState, ThreadState};
use abi::token::Kind;
use abi::{Handle, Message, Status, Word, trap};

use crate::roles::{CAME_BACK, raw};
use crate::servers::{HANDLES, Server, control, kill, must, next, quiet};
use crate::{Verdict, only};

/// What must come of a trap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comes {
    /// Back with this in `rax`.
    Back(u64),
    /// This fault.
    Fault(FaultKind),
    /// The call arrives at the supervisor.
    Call,
    /// The server waits.
    Waits,
}

/// Where the handles of the table are: own, wire, bell, nothing, port, window, stale.
const OWN: u64 = 0;
const WIRE: u64 = 2;
const BELL: u64 = 3;
const NOTHING: u64 = 4;
const PORT: u64 = 5;
const WINDOW: u64 = 6;
const STALE: u64 = 7;
const BEYOND: [u64; 4] = [HANDLES as u64, 0xffff, 0xffff_ffff, (1 << 56) - 1];

const fn back(status: Status) -> Comes {
    Comes::Back(status as u64)
}

/// Trap, handle, what comes of it.
const TABLE: [(u8, u64, Comes); 16] = [
    // A call of the kernel with the label 0 is none that it has.
    (trap::CALL, OWN, Comes::Fault(FaultKind::BadCall)),
    (trap::CALL, WIRE, Comes::Call),
    (trap::CALL, BELL, Comes::Fault(FaultKind::BadHandle)),
    (trap::CALL, NOTHING, back(Status::Gone)),
    (trap::CALL, PORT, Comes::Fault(FaultKind::BadCall)),
    (trap::CALL, WINDOW, Comes::Fault(FaultKind::BadCall)),
    (trap::CALL, STALE, back(Status::Reset)),
    (trap::NOTIFY, OWN, Comes::Fault(FaultKind::BadHandle)),
    (trap::NOTIFY, WIRE, back(Status::Ok)),
    (trap::NOTIFY, BELL, back(Status::Ok)),
    (trap::NOTIFY, NOTHING, back(Status::Ok)),
    (trap::NOTIFY, PORT, back(Status::Ok)),
    (trap::NOTIFY, WINDOW, Comes::Fault(FaultKind::BadHandle)),
    (trap::NOTIFY, STALE, back(Status::Ok)),
    // To these two a handle is a token.
    (trap::REPLY, WIRE, back(Status::Ok)),
    (trap::REPLY_WAIT, WIRE, Comes::Waits),
];

fn check(server: &Server, rax: u64, comes: Comes) -> Verdict {
    server.start(raw, rax);
    if comes == Comes::Waits {
        // However slow the emulator is: it comes to wait, and nothing comes of it.
        for _ in 0..100 {
            only(quiet(20_000_000), "a wait ended")?;
            if server.state() == ThreadState::Waiting {
                return Ok(());
            }
        }
        return Err("it does not wait");
    }
    let event = next();
    let Message { label, words } = event.message;
    let found = match event.token.kind() {
        Kind::Fault => comes == fault(label),
        _ if label == CAME_BACK => comes == Comes::Back(words[0]),
        _ => comes == Comes::Call,
    };
    if event.token.kind() == Kind::Fault {
        kill(event.token);
    }
    if !found {
        crate::tell(format_args!("trial: rax {rax:#x}: {label} {words:x?}"));
    }
    only(found, "another outcome than the contract's")
}

fn fault(label: u64) -> Comes {
    FaultKind::from_word(label).map_or(Comes::Waits, Comes::Fault)
}

/// Makes the server, and the handle that is stale.
fn server(board: u16) -> Server {
    let other = Server::new(89, 30, None, board);
    let server = Server::new(90, 10, None, board);
    server.install(Handle(WIRE as u16), HandleKind::Wire, 0);
    server.install(Handle(BELL as u16), HandleKind::Bell, 89);
    server.install(Handle(PORT as u16), HandleKind::Port, 0);
    server.install(Handle(WINDOW as u16), HandleKind::Window, 0);
    server.install(Handle(STALE as u16), HandleKind::Wire, 89);
    must(control().slot_state(other.slot, SlotState::Down), "a slot that is down");
    server
}

/// All of the table, handles beyond it, and traps that there are not.
pub fn every(board: u16) -> Verdict {
    let server = server(board);
    for (number, handle, comes) in TABLE {
        check(&server, handle << 8 | u64::from(number), comes)?;
    }
    for beyond in BEYOND {
        for number in [trap::CALL, trap::NOTIFY] {
            check(&server, beyond << 8 | u64::from(number), Comes::Fault(FaultKind::BadHandle))?;
        }
    }
    for number in [4, 5, 127, 128, 254, 255] {
        check(&server, WIRE << 8 | number, Comes::Fault(FaultKind::BadTrap))?;
    }
    server.destroy();
    Ok(())
}

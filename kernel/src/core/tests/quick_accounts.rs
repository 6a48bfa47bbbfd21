//! The quick path does not get past an account: whoever serves one that is used up answers through the core.

use abi::trap;

use super::clockwork::Clockwork;
use super::world::HERE;
use crate::core::account::ATTENTION_DRY;
use crate::core::hardware::TrapRegisters;
use crate::core::table::{SlotId, ThreadId};
use crate::machine::quick_host::{Host, Registers};

const LOW: ThreadId = ThreadId(1);
const MID: ThreadId = ThreadId(2);
const PEER: ThreadId = ThreadId(4);
const MS: u64 = 1_000_000;

/// Whether the assembly does a trap of whoever runs; if so, the core is told.
fn quickly(c: &mut Clockwork, host: &mut Host, rax: u64) -> bool {
    let stack = std::vec![0_u8; 1 << 16].leak().as_ptr().expose_provenance() as u64;
    let (rip, rsp) = (0x40_1002, stack + 0x8000);
    let out = host.trap(Registers { rax, rcx: rip, rsp, mxcsr: 0x1f80, ..Registers::default() });
    if let (0, Some(thread)) = (out.slow, host.quick().thread()) {
        c.world.core.switched(HERE, thread);
        return true;
    }
    let registers = TrapRegisters { rax, rip, rsp, ..TrapRegisters::default() };
    c.world.core.trap(&mut c.world.model, HERE, registers);
    c.world.settle();
    false
}

/// A client with a budget calls by the quick path, and `time` passes.
fn called(time: u64) -> (Clockwork, Host) {
    let (mut c, mut host) = (Clockwork::trio(), Host::one());
    assert!(host.quick().fill(&c.world.core.places(HERE), HERE.0, 0));
    c.stop(PEER);
    c.limit(1, MS, 10 * MS);
    host.run(LOW.0, 0);
    assert!(quickly(&mut c, &mut host, 2 << 8 | u64::from(trap::CALL)));
    c.world.settle();
    c.pass(time);
    host.run(MID.0, 0);
    (c, host)
}

fn answer(c: &Clockwork) -> u64 {
    c.world.core.threads[LOW].token & !0xff | u64::from(trap::REPLY_WAIT)
}

#[test]
fn an_answer_to_an_account_with_time_left_is_quick() {
    let (mut c, mut host) = called(MS / 2);
    let answer = answer(&c);
    assert!(quickly(&mut c, &mut host, answer));
    assert_eq!(host.quick().thread(), Some(LOW.0));
}

#[test]
fn an_answer_to_a_used_up_account_comes_to_the_core() {
    let (mut c, mut host) = called(2 * MS);
    assert_ne!(c.world.core.slots[SlotId(2)].attention & ATTENTION_DRY, 0);
    let answer = answer(&c);
    assert!(!quickly(&mut c, &mut host, answer));
    assert_eq!((c.world.current(), c.left(1)), (None, -(MS as i64)));
    assert_eq!(c.world.core.slots[SlotId(2)].attention & ATTENTION_DRY, 0);
}

//! What the servers of the trials do. They have code and constants, a stack and the shared page: no data, no heap.

use core::arch::naked_asm;

use abi::layout::SHARED;
use abi::{Answer, Message, Traps};
use rt::Trap;
use shared::Memory;

use crate::servers::{NEXT, ROOT};

/// What a server reports when it was to trap and came back; the word is `rax`.
pub const CAME_BACK: u64 = 0x77;

/// Traps with this in `rax`, zero in all message registers, and reports what it came back with.
#[unsafe(naked)]
pub extern "C" fn raw(_rax: u64) -> ! {
    naked_asm!(
        "mov rax, rdi",
        "xor edi, edi",
        "xor esi, esi",
        "xor edx, edx",
        "xor r10d, r10d",
        "xor r8d, r8d",
        "xor r9d, r9d",
        "syscall",
        "mov rsi, rax",
        "mov edi, {came_back}",
        "mov eax, 0x100",
        "syscall",
        "ud2",
        came_back = const CAME_BACK,
    )
}

/// Traps `TRAPS` times with this as its stack pointer, while interrupts come; then reports.
#[unsafe(naked)]
pub extern "C" fn wild(_rsp: u64) -> ! {
    naked_asm!(
        "mov r11, {counter}",
        "mov dword ptr [r11], {traps}",
        "mov rsp, rdi",
        "2:",
        "mov eax, 2",
        "syscall",
        "mov r11, {counter}",
        "dec dword ptr [r11]",
        "jnz 2b",
        "mov edi, {came_back}",
        "mov rsi, rsp",
        "mov eax, 0x100",
        "syscall",
        "ud2",
        counter = const SHARED + 128,
        traps = const TRAPS,
        came_back = const CAME_BACK,
    )
}

/// How often `wild` traps.
pub const TRAPS: u32 = 2_000;

fn page() -> Memory {
    rt::shared(SHARED, 1)
}

/// A number that grows with each that is taken: an order of events.
pub fn moment() -> u64 {
    let now = page().load_u64_acquire(0) + 1;
    page().store_u64_release(0, now);
    now
}

/// Reports to the supervisor, and what it answered.
fn report(label: u64, words: [u64; 5]) -> Message {
    Trap.call(ROOT, Message::new(label, words)).1
}

fn rest() -> ! {
    loop {
        Trap.reply_wait(None);
    }
}

/// Calls the next server once with its argument, and reports the status, the answer's label and when it came.
pub extern "C" fn caller(argument: u64) -> ! {
    let (status, answer) = Trap.call(NEXT, Message::new(argument, [argument; 5]));
    let when = moment();
    report(argument, [status as u64, answer.label, when, answer.words[0], 0]);
    rest()
}

/// Reports each label that the supervisor answers with, as often as it answers.
pub extern "C" fn asker(argument: u64) -> ! {
    let mut last = argument;
    loop {
        last = report(last, [argument, 0, 0, 0, 0]).label;
    }
}

/// Answers each call with its words and a label that is one more.
pub extern "C" fn echo(_: u64) -> ! {
    let mut event = Trap.reply_wait(None);
    loop {
        let message = Message::new(event.message.label + 1, event.message.words);
        event = Trap.reply_wait(Some(Answer { token: event.token, message }));
    }
}

/// Hands each call on to the next server, and answers with the status that came of it.
pub extern "C" fn relay(_: u64) -> ! {
    let mut event = Trap.reply_wait(None);
    loop {
        let (status, _) = Trap.call(NEXT, event.message);
        let message = Message::new(status as u64, event.message.words);
        event = Trap.reply_wait(Some(Answer { token: event.token, message }));
    }
}

/// Takes one call, reports its token, answers with the token that the supervisor gives, and then rightly.
pub extern "C" fn forger(_: u64) -> ! {
    let event = Trap.reply_wait(None);
    let given = report(1, [event.token.bits(), 0, 0, 0, 0]);
    let forged = abi::Token::from_bits(given.words[0]);
    Trap.reply(Answer { token: forged, message: Message::new(666, [666; 5]) });
    Trap.reply(Answer { token: event.token, message: event.message });
    Trap.reply(Answer { token: event.token, message: Message::new(667, [667; 5]) });
    report(2, [0; 5]);
    rest()
}

/// Takes one call, wakes the next server by a bit and then answers.
pub extern "C" fn waker(_: u64) -> ! {
    let event = Trap.reply_wait(None);
    Trap.notify(NEXT);
    Trap.reply_wait(Some(Answer { token: event.token, message: event.message }));
    rest()
}

/// Waits for a bit, and reports when it came to run.
pub extern "C" fn sleeper(argument: u64) -> ! {
    while Trap.reply_wait(None).bits == 0 {}
    let when = moment();
    report(argument, [0, 0, when, 0, 0]);
    rest()
}

/// Calls the next server this often, then reports.
pub extern "C" fn calls(times: u64) -> ! {
    let good = (0..times).filter(|n| Trap.call(NEXT, Message::new(*n, [*n; 5])).1.label == n + 1);
    let good = good.count() as u64;
    report(1, [good, 0, 0, 0, 0]);
    rest()
}

/// Notifies the next server this often, then reports.
pub extern "C" fn notifies(times: u64) -> ! {
    (0..times).for_each(|_| Trap.notify(NEXT));
    report(2, [times, 0, 0, 0, 0]);
    rest()
}

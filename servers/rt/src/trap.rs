//! The four traps, by `syscall` (`abi::trap` has their registers).
//!
//! Invariant: a trap leaves nothing but `rsp` as it was, and the compiler is told so. It reads and writes no memory of the
//! server, but another server may have written shared memory meanwhile, which only `shared` touches.

use abi::trap::{CALL, NOTIFY, REPLY, REPLY_WAIT};
use abi::{Answer, Badge, Event, Handle, Message, Status, Token, Traps};

/// The traps of this server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trap;

/// What a trap returns.
struct Returned {
    rax: u64,
    message: Message,
    badge: u64,
    bits: u64,
}

impl Traps for Trap {
    #[inline]
    fn call(&self, handle: Handle, message: Message) -> (Status, Message) {
        let back = enter(through(CALL, handle), message);
        (Status::from_word(back.rax), back.message)
    }

    #[inline]
    fn reply_wait(&self, answer: Option<Answer>) -> Event {
        let (rax, message) = match answer {
            Some(Answer { token, message }) => (answering(REPLY_WAIT, token), message),
            None => (u64::from(REPLY_WAIT), Message::default()),
        };
        let back = enter(rax, message);
        Event {
            bits: back.bits,
            token: Token::from_bits(back.rax),
            badge: Badge::from_bits(back.badge as u32),
            message: back.message,
        }
    }

    #[inline]
    fn reply(&self, answer: Answer) {
        enter(answering(REPLY, answer.token), answer.message);
    }

    #[inline]
    fn notify(&self, handle: Handle) {
        enter(through(NOTIFY, handle), Message::default());
    }
}

const fn through(trap: u8, handle: Handle) -> u64 {
    trap as u64 | (handle.0 as u64) << 8
}

const fn answering(trap: u8, token: Token) -> u64 {
    token.bits() & !0xff | trap as u64
}

#[cfg(xylem_user)]
#[inline(always)]
fn enter(mut rax: u64, message: Message) -> Returned {
    let Message { mut label, words: [mut a, mut b, mut c, mut d, mut e] } = message;
    let (badge, bits);
    // SAFETY: a trap touches no memory of this server and returns to the next instruction with `rsp` as it was; every
    // register that it changes is declared, `rbx` and `rbp` are kept on the stack. The kernel returns with the default
    // flags and MXCSR, as `asm!` asks for.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inout("rax") rax,
            inout("rdi") label,
            inout("rsi") a,
            inout("rdx") b,
            inout("r10") c,
            inout("r8") d,
            inout("r9") e,
            out("r12") badge,
            out("r13") bits,
            out("rcx") _, out("r11") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
            out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
            out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
        );
    }
    Returned { rax, message: Message { label, words: [a, b, c, d, e] }, badge, bits }
}

#[cfg(not(xylem_user))]
fn enter(rax: u64, message: Message) -> Returned {
    let _ = Returned { rax, message, badge: 0, bits: 0 };
    panic!("trap {} on the host: give the server `ipc::loopback` instead", rax & 0xff)
}

#[cfg(test)]
mod tests {
    use super::{answering, through};
    use abi::token::Kind;
    use abi::{Handle, Token};

    #[test]
    fn the_trap_takes_the_place_of_the_tokens_kind() {
        let token = Token::new(Kind::Fault, 0xabcd, 0x1234_5678);
        assert_eq!(answering(1, token), 0x1234_5678_00ab_cd01);
    }

    #[test]
    fn handles_lie_above_the_trap() {
        assert_eq!(through(3, Handle(0x1234)), 0x12_3403);
    }
}

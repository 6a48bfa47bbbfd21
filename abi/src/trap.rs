//! The four ways into the kernel.
//!
//! `rax` holds the number in its low 8 bits and the handle or token above; `rdi` is the label, `rsi rdx r10 r8 r9` the five
//! words. Out come `rax` (status or token), the same six registers, and for `reply_wait` also `r12` (badge) and `r13` (bits).
//! A trap clobbers everything but `rsp`: what is not listed is zero afterwards, vector registers included.
//!
//! | number | trap | in `rax` above the number | out `rax` |
//! |---|---|---|---|
//! | 0 | `call` | handle | status |
//! | 1 | `reply_wait` | token to answer (`rax` is the token with its kind replaced by 1), or 0 | token |
//! | 2 | `reply` | token | 0 |
//! | 3 | `notify` | wire, bell or port | 0 |

use crate::{Answer, Badge, Message, Status, Token};

/// Number of the trap `call`.
pub const CALL: u8 = 0;
/// Number of the trap `reply_wait`.
pub const REPLY_WAIT: u8 = 1;
/// Number of the trap `reply`.
pub const REPLY: u8 = 2;
/// Number of the trap `notify`.
pub const NOTIFY: u8 = 3;

/// Bit of an inbox: the supervisor has an event for this server (`supervisor.next_event`).
pub const BIT_CONTROL: u64 = 1 << 63;
/// Bit of an inbox: the deadline set with the kernel's `own.timer` has passed.
pub const BIT_TIMER: u64 = 1 << 62;
/// Bit of an inbox: the domain was resumed elsewhere; ports and windows are dead.
pub const BIT_WORLD: u64 = 1 << 61;
/// Number of bits that ports, needs and clients share: 0 to 60.
pub const BITS_SHARED: u32 = 61;

/// An index into the caller's handle table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(pub u16);

impl Handle {
    /// The kernel's interface to the server itself ([`crate::kernel::own`]); every server has it.
    pub const OWN: Self = Self(0);
    /// The wire to the supervisor; every server has it, but for the supervisor, whose `control` handle this is.
    pub const SUPERVISOR: Self = Self(1);
    /// The supervisor's handle to [`crate::kernel::control`].
    pub const CONTROL: Self = Self(1);
}

/// What a wait returned: bits, and at most one call or fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Event {
    /// Bits taken from the inbox; they are clear now.
    pub bits: u64,
    /// The right to answer; its kind says whether a message came at all.
    pub token: Token,
    /// Who called.
    pub badge: Badge,
    /// The message, zero if none came.
    pub message: Message,
}

/// The four traps. The run-time implements them by `syscall`, host tests by a loopback.
pub trait Traps: Copy {
    /// Calls through a wire or a kernel handle and waits for the answer.
    fn call(&self, handle: Handle, message: Message) -> (Status, Message);
    /// Answers (if there is something to answer), then waits for bits or a call.
    fn reply_wait(&self, answer: Option<Answer>) -> Event;
    /// Answers and goes on. A stale token is dropped.
    fn reply(&self, answer: Answer);
    /// Sets the peer's bits, or sends the port's event.
    fn notify(&self, handle: Handle);
}

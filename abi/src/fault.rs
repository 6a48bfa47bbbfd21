//! Why a thread was stopped.

use crate::word_enum;

word_enum! {
    /// Kind of a fault. The fault's message: label = kind; words = thread, address, rip, error code, rsp.
    pub enum FaultKind {
        /// The server called `own.exit`; the address is its exit code.
        Exit = 1,
        /// A trap number that does not exist; the address is `rax`.
        BadTrap = 2,
        /// A handle at or beyond the end of the table, of the wrong kind for the trap, or without the right; the address is
        /// the handle.
        BadHandle = 3,
        /// `reply_wait` by a thread without an inbox.
        NoInbox = 4,
        /// A page that is not mapped, or not mapped for this access (#PF); the address is the one accessed.
        Page = 5,
        /// #GP or #SS: a privileged instruction or a non-canonical address.
        Protection = 6,
        /// #UD: no such instruction.
        Instruction = 7,
        /// #DE: division by zero or overflow.
        Division = 8,
        /// #DB or #BP: a debug trap.
        Debug = 9,
        /// #AC, #MF, #XM, #NM and the rest; the error code's upper half is the vector.
        Exception = 10,
        /// The server used more CPU time between two waits than its slot's `longest`.
        Overrun = 11,
        /// A kernel interface was called with a method or an argument that it does not have; the address is the label.
        BadCall = 12,
    }
}

/// Word 0 of the answer to a fault: the thread goes on where it was.
pub const RETRY: u64 = 0;
/// Word 0 of the answer to a fault: the thread stays stopped. So does any word that is none of these.
pub const KILL: u64 = 1;
/// Word 0 of a manager's answer to a fault: the supervisor is to decide.
pub const PASS: u64 = 2;

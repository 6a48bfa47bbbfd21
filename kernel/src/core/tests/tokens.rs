//! A token is good for one answer: what was once used to answer is never good again, for nobody.
//!
//! Invariant: the last tokens that were good when a server answered with them are kept; none of them leads to a caller later.

use std::collections::VecDeque;

use abi::{Token, trap};

use crate::core::Core;
use crate::core::hardware::Vcpu;
use crate::core::table::{ThreadId, VcpuId};
use crate::core::thread::State;

/// How many are kept.
const KEPT: usize = 32;

/// Tokens that were used.
#[derive(Clone, Debug, Default)]
pub struct Used(VecDeque<Token>);

impl Used {
    /// Whoever runs on a vCPU is about to trap with this in `rax`.
    pub fn note(&mut self, core: &Core<'_>, vcpu: Vcpu, rax: u64) {
        let answers = [trap::REPLY_WAIT, trap::REPLY].contains(&(rax as u8));
        let Some(thread) = core.running(VcpuId(vcpu.0)).filter(|_| answers) else { return };
        let token = Token::from_bits(rax & !0xff);
        if is_good(core, thread, token) {
            self.0.push_back(token);
            if self.0.len() > KEPT {
                self.0.pop_front();
            }
        }
    }

    /// None of them is good for anybody.
    pub fn check(&self, core: &Core<'_>) {
        for token in &self.0 {
            let good = core.threads.numbers().find(|id| is_good(core, *id, *token));
            assert_eq!(good, None, "{token:?} was used before");
        }
    }
}

/// Whether a thread may answer with a token now.
fn is_good(core: &Core<'_>, thread: ThreadId, token: Token) -> bool {
    core.threads.check(token.thread()).is_some_and(|id: ThreadId| {
        let caller = &core.threads[id];
        let taken = matches!(caller.state, State::Awaiting | State::Faulted);
        taken
            && caller.callee == core.threads[thread].inbox
            && caller.token >> 8 == token.bits() >> 8
    })
}

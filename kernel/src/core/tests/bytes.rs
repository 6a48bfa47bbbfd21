//! Any bytes as traps of several servers and of the supervisor, with what comes from outside in between: all that must always
//! hold holds after each.
//!
//! The fuzz target `traps` calls [`body`]; a test does so with random bytes and with what is kept for the target.

use abi::kernel::control::{HandleKind, SlotState};
use abi::{Message, trap};

use super::world::{HERE, World};
use crate::core::hardware::Next;
use crate::core::port::Port;
use crate::core::table::{PortId, SlotId, ThreadId, WindowId};

/// Priority of each slot but the supervisor's.
const PRIORITIES: [u8; 4] = [10, 10, 20, 30];
/// The supervisor's handle for the kernel's control.
const CONTROL: u64 = 1;
/// Most steps of one input.
const STEPS: u32 = 200;
/// Words that mean something somewhere.
const WORDS: [u64; 16] = [
    0,
    1,
    u64::MAX,
    1 << 63,
    1 << 47,
    0x7fff_ffff_f000,
    0xffff_8000_0000_0000,
    0x5000_0000,
    0x5000_1000,
    0x40_0000,
    1 << 16,
    2 << 16 | 2,
    3 << 16 | 1,
    32,
    33,
    u32::MAX as u64,
];

/// What is left of the bytes.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A small number, one that means something, or any.
    fn word(&mut self) -> Option<u64> {
        Some(match self.next()? {
            small @ 0..160 => u64::from(small % 40),
            known @ 160..240 => WORDS[usize::from(known % 16)],
            long => {
                let mut word = 0;
                for _ in 0..=long % 8 {
                    word = word << 8 | u64::from(self.next()?);
                }
                word
            }
        })
    }

    fn message(&mut self) -> Option<Message> {
        let label = self.word()?;
        let mut words = [0; 5];
        for word in &mut words {
            *word = self.word()?;
        }
        Some(Message::new(label, words))
    }

    /// A call of the kernel's control: mostly one that is understood.
    fn control(&mut self) -> Option<Message> {
        let label = match u64::from(self.next()?) % 30 {
            0 | ENDS if self.next()? < 250 => TELLS,
            label => label,
        };
        let mut words = [0; 5];
        for word in &mut words {
            *word = match self.next()? {
                small @ 0..235 => u64::from(small % 25),
                235..250 => 0x5000_0000 + (u64::from(self.next()? % 64) << 12),
                250..254 => 2 << 16 | u64::from(self.next()? % 40),
                _ => self.word()?,
            };
        }
        Some(Message::new(label, words))
    }
}

/// Numbers of the methods by which a domain ends and by which it does not.
const ENDS: u64 = 22;
const TELLS: u64 = 21;

/// Four servers, each with a wire or a bell to every slot, a port and a window.
fn world() -> World {
    let mut w = World::boot();
    let servers = core::array::from_fn::<_, 4, _>(|at| w.server(at as u16 + 1, PRIORITIES[at]));
    for (server, priority) in servers.into_iter().zip(PRIORITIES) {
        let slot = server.0;
        let port = Port { peer: 7, slot: SlotId(slot), bits: 1 << 40, ..Port::default() };
        w.core.port_configure(PortId(slot - 1), port).unwrap();
        let _ = w.core.window_configure(WindowId(slot % 2), SlotId(slot), 16, 7);
        for to in 0..5 {
            let rises = to == 0 || priority < PRIORITIES[usize::from(to) - 1];
            let kind = if rises { HandleKind::Wire } else { HandleKind::Bell };
            w.wire(server, 1 + to, kind, to, u32::from(slot), 1 << slot);
        }
        w.wire(server, 6, HandleKind::Port, slot - 1, 0, 0);
        w.wire(server, 7, HandleKind::Window, slot % 2, 0, 0);
    }
    w.settle();
    w
}

/// The token of some call that somebody took, so that answers are not all refused.
fn token(w: &World, nth: u8) -> u64 {
    let taken = |id: &ThreadId| w.core.threads[*id].callee != SlotId::NONE;
    let callers: std::vec::Vec<ThreadId> = w.core.threads.numbers().filter(taken).collect();
    let caller = callers.get(usize::from(nth) % callers.len().max(1));
    caller.map_or(0, |id| w.core.threads[*id].token >> 8)
}

/// One step; none if the bytes are over.
fn step(w: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    match bytes.next()? {
        // The supervisor waits, answers, or calls the kernel.
        kind @ 0..170 if w.current() == Some(ThreadId(0)) => {
            let token = token(w, bytes.next()?);
            match kind % 4 {
                0 => w.trap(u64::from(trap::REPLY_WAIT), Message::default()),
                1 => w.trap(token << 8 | u64::from(trap::REPLY_WAIT), bytes.message()?),
                _ => {
                    let message = bytes.control()?;
                    w.trap(CONTROL << 8 | u64::from(trap::CALL), message);
                }
            }
        }
        kind @ 0..200 => {
            let above = if kind % 4 == 0 { token(w, bytes.next()?) } else { bytes.word()? };
            let number = if kind < 190 { kind / 4 % 4 } else { kind };
            let number = if kind % 4 == 0 { number | trap::REPLY_WAIT } else { number };
            let message = bytes.message()?;
            w.trap(above << 8 | u64::from(number), message);
        }
        200..210 => w.interrupt(u32::from(bytes.next()? % 16)),
        210..225 => {
            let now = w.model.now + u64::from(bytes.next()?) * 100_000;
            w.tick(now);
        }
        225..235 => {
            // The supervisor's own fault would be the end.
            if w.current() != Some(ThreadId(0)) {
                w.exception(abi::fault::FaultKind::Page);
            }
        }
        235..240 => {
            let held: std::vec::Vec<u32> = w.model.grants.keys().copied().collect();
            let nth = usize::from(bytes.next()?) % held.len().max(1);
            w.model.held.extend(held.get(nth));
        }
        240..245 => w.model.held.clear(),
        _ => {
            let slot = u16::from(bytes.next()? % 5);
            w.core.preempted(HERE);
            w.core.raise(&mut w.model, SlotId(slot), 1 << (slot + 8));
            w.settle();
        }
    }
    Some(())
}

/// Runs what the bytes say until they are over or the domain ends; the number of steps.
pub fn body(bytes: &[u8]) -> u32 {
    let (mut w, mut bytes) = (world(), Bytes(bytes));
    for done in 0..STEPS {
        if step(&mut w, &mut bytes).is_none() || w.model.ended.is_some() {
            return done;
        }
        match w.next {
            Next::Fatal(_) => {
                // The end, but here the supervisor gets away with it: more can follow.
                w.core.fatal = None;
                w.settle();
            }
            Next::Idle => {
                // Somebody types: the supervisor looks.
                w.core.raise(&mut w.model, SlotId(0), 1 << 63);
                let _ = w.core.slot_state(&mut w.model, SlotId(1), SlotState::Up);
                w.settle();
            }
            Next::Run { .. } => {}
        }
    }
    STEPS
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use super::body;
    use crate::core::tests::quick_steps::Random;

    /// How many are tried.
    const INPUTS: u32 = 400;

    #[test]
    fn what_is_kept_for_the_target_breaks_nothing() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/kept/traps");
        let files: std::vec::Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        assert!(!files.is_empty());
        for file in files {
            body(&fs::read(file.path()).unwrap());
        }
    }

    #[test]
    fn random_bytes_break_nothing() {
        let mut random = Random::new(7);
        let mut steps = 0;
        for _ in 0..INPUTS {
            let bytes: std::vec::Vec<u8> = (0..4000).map(|_| random.below(256) as u8).collect();
            steps += body(&bytes);
        }
        assert!(steps > 100 * INPUTS, "{steps} steps: the domain ends too soon");
    }
}

//! What is kept of a server that died: its registers, and where it was.
//!
//! Invariant: the dead server's stack is data: frames are followed upwards only, inside the part of the stack that is looked
//! at, and at most [`FRAMES`] of them. Nothing of it is left mapped.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use abi::Traps;
use abi::kernel::control::{Access, SUPERVISOR_SERVER};
use abi::layout::{PAGE, SCRATCH, SCRATCH_PAGES, STACK_END};
use abi::wiring::Numbers;
use ipc::history::{Death, REGISTERS};
use ipc::log::BYTES;
use ipc::system::{Handle, Rights, Target};
use shared::Memory;

use crate::check::part;
use crate::host::Host;
use crate::load::{Loaded, Plan};
use crate::supervisor::{Place, Supervisor};

/// Most addresses of a trace.
pub const FRAMES: usize = 32;
/// Bytes of a log ring that are looked at.
const LINES: usize = 1024;
/// Most lines that are kept of them.
const LAST: usize = 8;
/// Places in [`Death::registers`].
const RIP: usize = 0;
const RSP: usize = 1;
const RBP: usize = 9;
/// The instruction of a trap.
const SYSCALL: [u8; 2] = [0x0f, 0x05];

/// A part of a stack: its bytes, and the address of the first.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// The bytes.
    pub memory: Memory,
    /// Where the server has them.
    pub base: u64,
}

impl Stack {
    /// The word at an address of the server's.
    fn word(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        self.memory.holds(offset, size_of::<u64>()).then(|| self.memory.read::<u64>(offset))
    }
}

/// The return addresses of the frames from `frame` on: each frame begins with the address of the one above and the return
/// address (System V ABI, x86-64, 3.4.1).
#[must_use]
pub fn frames(stack: &Stack, mut frame: u64) -> Vec<u64> {
    let mut found = Vec::new();
    while found.len() < FRAMES {
        let Some(back) = frame.checked_add(8).and_then(|at| stack.word(at)).filter(|&at| at != 0)
        else {
            break;
        };
        found.push(back);
        match stack.word(frame) {
            Some(above) if above > frame => frame = above,
            _ => break,
        }
    }
    found
}

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// Keeps what can be known of a server that is about to be taken apart.
    pub(crate) fn remember(&mut self, slot: u16, reason: String, now: u64) {
        let Some(loaded) = self.place(slot).and_then(Place::loaded) else { return };
        let registers = self.registers(loaded.server);
        let trace = self.trace(slot, loaded, &registers);
        let (Some(place), Some(description)) =
            (self.place(slot), self.system.slots.get(usize::from(slot)))
        else {
            return;
        };
        let image = self.system.images.get(usize::from(description.image));
        let death = Death {
            number: 0,
            at: now,
            server: description.name.clone(),
            incarnation: place.starts,
            age: now.saturating_sub(place.since),
            image: image.map_or_else(String::new, |image| image.name.clone()),
            version: image.map_or_else(String::new, |image| image.version.clone()),
            build: image.map_or([0; 32], |image| image.sha256),
            reason,
            registers,
            trace,
            lines: self.last_lines(slot).unwrap_or_default(),
        };
        self.chronicle.bury(death);
    }

    fn registers(&self, server: u16) -> [u64; REGISTERS] {
        let mut registers = [0; REGISTERS];
        for (set, words) in (0u8..).zip(registers.chunks_mut(5)) {
            if let Ok((a, b, c, d, e)) = self.kernel.control.thread_registers(server, set) {
                words.copy_from_slice(&[a, b, c, d, e]);
            }
        }
        registers
    }

    fn trace(&self, slot: u16, loaded: Loaded, registers: &[u64; REGISTERS]) -> Vec<u64> {
        let mut trace = Vec::from([registers[RIP]]);
        let Some(plan) = self.plan(slot) else { return trace };
        // In a trap the run-time keeps the frame on top of the stack, and registers are lost.
        let in_trap = registers[RBP] == 0 || is_after_trap(&plan, registers[RIP]);
        let at = if in_trap { registers[RSP] } else { registers[RBP] };
        let looked = self.with_stack(&plan, loaded, at, |stack| {
            let frame = if in_trap { stack.word(at) } else { Some(at) };
            frame.map(|frame| frames(stack, frame)).unwrap_or_default()
        });
        trace.extend(looked.unwrap_or_default());
        trace.truncate(FRAMES);
        trace
    }

    /// Looks at a server's stack from the page of `address` on.
    fn with_stack<R>(
        &self,
        plan: &Plan<'_>,
        loaded: Loaded,
        address: u64,
        look: impl FnOnce(&Stack) -> R,
    ) -> Option<R> {
        let bottom = STACK_END - u64::from(plan.slot.stack_pages) * PAGE;
        if address < bottom || address >= STACK_END {
            return None;
        }
        let first = ((address - bottom) / PAGE) as u32;
        let pages = (plan.slot.stack_pages - first).min(SCRATCH_PAGES);
        let from = plan.stack_page() + first;
        self.kernel
            .map(SUPERVISOR_SERVER, loaded.private, SCRATCH, (from, pages), Access::Read)
            .ok()?;
        let memory = self.host.scratch().part(0, pages as usize * PAGE as usize);
        let found =
            memory.map(|memory| look(&Stack { memory, base: bottom + u64::from(first) * PAGE }));
        let _ = self.kernel.unmap(SUPERVISOR_SERVER, SCRATCH, pages);
        found
    }
}

impl<T: Traps, H: Host> Supervisor<'_, T, H> {
    /// The last lines in a slot's log ring, read or not.
    fn last_lines(&self, slot: u16) -> Option<Vec<String>> {
        let description = self.system.slots.get(usize::from(slot))?;
        let is_log = |handle: &&Handle| matches!(handle.target, Target::Bell { slot, .. } if Some(slot) == self.log);
        let handle = description.table.iter().find(is_log)?;
        let need = usize::from(handle.index.checked_sub(Numbers::FIXED)?);
        let wire = description.wires.get(need)?;
        let map = description.maps.iter().find(|map| map.address == wire.up && map.writable)?;
        let region = *self.regions.get(usize::from(map.region))?;
        let pages = wire.up_pages.min(SCRATCH_PAGES);
        self.kernel.map(SUPERVISOR_SERVER, region, SCRATCH, (0, pages), Access::Read).ok()?;
        let mut bytes = vec![0; LINES];
        let memory = self.host.scratch().part(0, pages as usize * PAGE as usize);
        let length = memory.and_then(|memory| {
            let data = memory.part(BYTES, memory.len().checked_sub(BYTES)?)?;
            Some(shared::bytes::last(memory, data, &mut bytes))
        });
        let _ = self.kernel.unmap(SUPERVISOR_SERVER, SCRATCH, pages);
        Some(lines(bytes.get(..length?)?))
    }
}

/// The last whole lines of some bytes.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let whole = text.rsplit('\n').filter(|line| !line.is_empty());
    let mut lines: Vec<String> = whole.take(LAST).map(String::from).collect();
    lines.reverse();
    lines
}

/// Whether the instruction before `rip` is a trap.
fn is_after_trap(plan: &Plan<'_>, rip: u64) -> bool {
    let image = plan.system.images.get(usize::from(plan.slot.image));
    let mut segments = image.map_or(&[][..], |image| image.segments.as_slice()).iter();
    let at = rip.wrapping_sub(SYSCALL.len() as u64);
    let code = segments.find(|segment| {
        segment.rights == Rights::Execute && at.wrapping_sub(segment.address) < segment.bytes
    });
    code.and_then(|segment| {
        part(plan.image, segment.offset + (at - segment.address), SYSCALL.len() as u64)
    })
    .is_some_and(|bytes| bytes == SYSCALL)
}

#[cfg(test)]
mod tests {
    use super::{FRAMES, LAST, Stack, frames, lines};
    use shared::HostMemory;
    use std::string::String;
    use std::vec::Vec;

    const BASE: u64 = 0x7000_0000;

    fn stack(words: &[(u64, u64)]) -> Stack {
        let memory = HostMemory::leak(1);
        words.iter().for_each(|(at, word)| memory.write(*at as usize, word));
        Stack { memory, base: BASE }
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(lines(b"one\ntwo\n"), ["one", "two"]);
        assert_eq!(lines(&[b'\n'; 100]), Vec::<String>::new());
        let many = (0..20).map(|n| std::format!("line {n}\n")).collect::<String>();
        let kept = lines(many.as_bytes());
        assert_eq!((kept.len(), kept.last().unwrap().as_str()), (LAST, "line 19"));
    }

    #[test]
    fn frames_are_followed_to_the_end_of_the_chain() {
        let stack =
            stack(&[(0x100, BASE + 0x200), (0x108, 0x40_1000), (0x200, 0), (0x208, 0x40_2000)]);
        assert_eq!(frames(&stack, BASE + 0x100), [0x40_1000, 0x40_2000]);
    }

    #[test]
    fn a_chain_that_goes_down_or_out_or_on_for_ever_ends() {
        let down = stack(&[(0x100, BASE + 0x80), (0x108, 0x40_1000), (0x88, 0x40_2000)]);
        assert_eq!(frames(&down, BASE + 0x100), [0x40_1000]);
        let itself = stack(&[(0x100, BASE + 0x100), (0x108, 0x40_1000)]);
        assert_eq!(frames(&itself, BASE + 0x100), [0x40_1000]);
        assert_eq!(frames(&itself, BASE + 0xffc), Vec::<u64>::new());
        assert_eq!(frames(&itself, u64::MAX - 3), Vec::<u64>::new());
        assert_eq!(frames(&itself, 0), Vec::<u64>::new());
        let long: Vec<(u64, u64)> = (0..100)
            .flat_map(|n| [(n * 16, BASE + n * 16 + 16), (n * 16 + 8, 0x40_0000 + n)])
            .collect();
        assert_eq!(frames(&stack(&long), BASE).len(), FRAMES);
    }
}

//! What must hold of a core and its machine after every step, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use abi::kernel::control::{Access, SEALED, SlotState};

use super::model::Model;
use crate::core::Core;
use crate::core::account::ATTENTION_DRY;
use crate::core::frame::{FREE, KERNEL};
use crate::core::slot::{ATTENTION_BITS, ATTENTION_CALLERS, ATTENTION_OFF, ATTENTION_PORTS};
use crate::core::table::{Number, RegionId, SlotId, ThreadId, VcpuId};
use crate::core::thread::{Life, Saved, State, Thread};

/// Checks everything.
pub fn check(core: &Core<'_>, model: &mut Model) {
    check_calls(core);
    ports(core, model);
    pages_have_one_owner_and_true_counts(core, model);
    tables(core, model);
    super::holdings::check(core, model);
}

/// Checks what calls, answers and waits change.
pub fn check_calls(core: &Core<'_>) {
    states_and_queues_agree(core);
    parked_threads_wait(core);
    priorities_rise_along_every_wait(core);
    payers_are_below_and_chains_of_them_end(core);
}

fn caller_queue(core: &Core<'_>, slot: SlotId) -> Vec<ThreadId> {
    let mut queue = Vec::new();
    let mut at = core.slots[slot].first_caller;
    while let Some(thread) = at.some() {
        assert!(queue.len() < 300, "a queue without end");
        queue.push(thread);
        at = core.threads[thread].next;
    }
    queue
}

/// Those that rest: each on its own used-up account, the first to go on first, and in time.
fn resting(core: &Core<'_>) -> Vec<ThreadId> {
    let mut found = Vec::new();
    for vcpu in core.vcpus.numbers() {
        let mut at = core.vcpus[vcpu].resting;
        let mut before = core.vcpus[vcpu].earliest;
        while let Some(slot) = at.some() {
            let account = &core.slots[slot].account;
            let server = core.slots[slot].server;
            let thread = &core.threads[server];
            assert!(account.resting && account.is_dry(), "{slot:?} rests");
            assert_eq!((thread.payer, thread.vcpu), (slot, vcpu.raw()), "{slot:?} rests");
            assert!(account.wake_at >= before, "{slot:?} is woken too late");
            (before, at) = (account.wake_at, account.next);
            found.push(server);
        }
    }
    assert_eq!(found.len(), core.slots.iter().filter(|slot| slot.account.resting).count());
    found
}

/// Every thread is in exactly the list that its state says.
fn states_and_queues_agree(core: &Core<'_>) {
    let mut listed = BTreeMap::new();
    for vcpu in core.vcpus.numbers() {
        for priority in 0..=255 {
            let mut at = core.vcpus[vcpu].queue(priority).first;
            let mut last = ThreadId::NONE;
            while let Some(thread) = at.some() {
                last = thread;
                assert_eq!(core.threads[thread].priority, priority);
                assert!(
                    listed.insert(thread, State::Ready).is_none(),
                    "{thread:?} is listed twice"
                );
                at = core.threads[thread].next;
            }
            if last != ThreadId::NONE {
                assert_eq!(core.vcpus[vcpu].queue(priority).last, last, "end of queue {priority}");
            }
        }
    }
    for thread in resting(core) {
        assert!(listed.insert(thread, State::Ready).is_none(), "{thread:?} is listed twice");
    }
    for slot in core.slots.numbers() {
        let queue = caller_queue(core, slot);
        let priorities: Vec<u8> =
            queue.iter().map(|thread| core.threads[*thread].priority).collect();
        assert!(priorities.is_sorted_by(|a, b| a >= b), "queue of {slot:?} by priority");
        for thread in queue {
            let state = core.threads[thread].state;
            assert!(matches!(state, State::Queued | State::FaultQueued), "{thread:?} is {state:?}");
            assert_eq!(core.threads[thread].callee, slot);
            assert!(listed.insert(thread, state).is_none(), "{thread:?} is listed twice");
        }
    }
    for thread in core.threads.numbers() {
        let state = core.threads[thread].state;
        let expected =
            matches!(state, State::Ready | State::Queued | State::FaultQueued).then_some(state);
        assert_eq!(listed.get(&thread).copied(), expected, "{thread:?}");
        if state == State::Running {
            assert_eq!(core.vcpus[VcpuId(core.threads[thread].vcpu)].current, thread);
        }
        if !matches!(core.threads[thread].life, Life::Live | Life::Candidate) {
            assert_eq!(state, State::Stopped, "{thread:?} is no server any more");
        }
    }
}

/// Who waits is parked at its inbox, unless that is off, and nothing is there that it should have been woken for.
fn parked_threads_wait(core: &Core<'_>) {
    for id in core.slots.numbers() {
        let slot = &core.slots[id];
        if let Some(parked) = slot.parked.some() {
            assert_eq!(
                (core.threads[parked].state, core.threads[parked].inbox),
                (State::Waiting, id)
            );
            assert_eq!(
                (slot.bits, slot.first_caller),
                (0, ThreadId::NONE),
                "somebody waits in vain"
            );
        }
        let attention = (slot.attention & ATTENTION_DRY)
            + u32::from(slot.bits != 0) * ATTENTION_BITS
            + u32::from(slot.first_caller != ThreadId::NONE) * ATTENTION_CALLERS
            + u32::from(slot.first_port.some().is_some()) * ATTENTION_PORTS
            + u32::from(slot.state == SlotState::Off) * ATTENTION_OFF;
        assert_eq!(slot.attention, attention, "attention of {id:?}");
        if let Some(server) = slot.server.some() {
            assert_eq!((core.threads[server].own, core.threads[server].life), (id, Life::Live));
        }
    }
    for (id, thread) in live(core).filter(|(_, thread)| thread.state == State::Waiting) {
        let off = core.slots[thread.inbox].state == SlotState::Off;
        let parked = if off { ThreadId::NONE } else { id };
        assert_eq!(core.slots[thread.inbox].parked, parked);
        assert_eq!(thread.payer, thread.own, "who waits pays for itself");
        assert_eq!(thread.saved, Saved::Collect);
        assert_eq!(core.slots[thread.inbox].attention & ATTENTION_DRY, 0);
    }
}

fn live<'c>(core: &'c Core<'_>) -> impl Iterator<Item = (ThreadId, &'c Thread)> {
    let all = core.threads.numbers().map(|id| (id, &core.threads[id]));
    all.filter(|(_, thread)| matches!(thread.life, Life::Live | Life::Candidate))
}

/// The slot whose server a thread waits for.
fn waits_for(thread: &Thread) -> Option<SlotId> {
    let waits = matches!(
        thread.state,
        State::Queued | State::Awaiting | State::FaultQueued | State::Faulted
    );
    waits.then_some(thread.callee)
}

/// Whoever waits for a server is less urgent than it is, so each chain of waits ends.
fn priorities_rise_along_every_wait(core: &Core<'_>) {
    for (first, thread) in live(core) {
        let (mut at, mut steps) = (*thread, 0);
        while let Some(callee) = waits_for(&at) {
            assert!(at.priority < core.slots[callee].priority, "{first:?} waits for one below");
            let Some(server) = core.slots[callee].server.some() else { break };
            (at, steps) = (core.threads[server], steps + 1);
            assert!(steps < core.threads.iter().len(), "{first:?} waits without end");
        }
    }
}

/// Each thread is paid for by itself or by a slot below, never by one that is used up without the core being told.
fn payers_are_below_and_chains_of_them_end(core: &Core<'_>) {
    for (id, thread) in live(core) {
        assert_eq!(thread.token & 0xffff_ffff, u64::from(id.0) << 8 | 1, "token of {id:?}");
        assert!(core.slots.check(thread.payer.raw()).is_some(), "payer of {id:?}");
        let foreign = thread.payer != thread.own;
        if thread.state == State::Running && core.slots[thread.payer].account.is_dry() {
            let told = core.slots[thread.inbox].attention & ATTENTION_DRY != 0;
            assert!(foreign && told, "{id:?} runs on a used-up account");
        }
        if foreign && !matches!(thread.state, State::Stopped) {
            let payer = core.slots[thread.payer];
            assert!(payer.priority < thread.priority, "{id:?} is paid from above");
        }
    }
}

/// A channel is masked exactly while its port is in the list of its slot.
fn ports(core: &Core<'_>, model: &Model) {
    let mut listed = BTreeSet::new();
    for slot in core.slots.numbers() {
        let mut at = core.slots[slot].first_port;
        while let Some(port) = at.some() {
            assert!(listed.insert(port), "{port:?} is listed twice");
            assert_eq!(core.ports[port].slot, slot);
            at = core.ports[port].next;
        }
    }
    let mut open = BTreeMap::new();
    for port in core.ports.numbers() {
        let state = &core.ports[port];
        assert_eq!(state.masked, listed.contains(&port));
        assert!(state.open || !state.masked);
        if state.open {
            open.insert(state.channel, state.masked);
        }
    }
    assert_eq!(open, model.channels);
}

/// Counts of mappings and grants agree with page tables and grant table; one owner per page; no writable code.
fn pages_have_one_owner_and_true_counts(core: &Core<'_>, model: &mut Model) {
    let mut frames: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    let mut writable: BTreeSet<u32> = BTreeSet::new();
    let mut executable: BTreeSet<u32> = BTreeSet::new();
    for (server, space) in &model.spaces {
        assert_eq!(core.threads[ThreadId(*server)].pages as usize, space.len());
        for (frame, access) in space.values() {
            frames.entry(frame.0).or_default().0 += 1;
            match access {
                Access::Write => _ = writable.insert(frame.0),
                Access::Execute => _ = executable.insert(frame.0),
                Access::Read => {}
            }
        }
    }
    assert!(writable.is_disjoint(&executable), "writable code");
    for (_, frame, read_only) in model.grants.values() {
        frames.entry(frame.0).or_default().1 += 1;
        assert!(*read_only || !executable.contains(&frame.0), "code that a peer may write");
    }
    let mut owners: BTreeMap<u32, RegionId> = BTreeMap::new();
    for id in core.regions.numbers() {
        let region = core.regions[id];
        let mut sums = (0, 0, 0);
        for page in 0..region.present {
            let frame = core.region_frame(model, id, page).expect("a page");
            assert!(owners.insert(frame.0, id).is_none(), "{frame:?} has two owners");
            let (maps, grants) = frames.get(&frame.0).copied().unwrap_or_default();
            sums =
                (sums.0 + maps, sums.1 + grants, sums.2 + u32::from(writable.contains(&frame.0)));
            assert!(id.0 < 8 || model.clean.contains(&frame.0), "{frame:?} was not zeroed");
        }
        assert_eq!((region.maps, region.grants), (sums.0, sums.1), "{id:?}");
        assert_eq!(region.writable != 0, sums.2 != 0, "{id:?}");
        assert!(
            region.flags & SEALED == 0 || region.writable == 0,
            "{id:?} is sealed and writable"
        );
    }
    let mut free = 0;
    for (at, info) in core.frames.iter().enumerate() {
        let frame = core.first_frame + at as u32;
        if info.owner == FREE {
            free += 1;
            // What is in a free page is old: whoever gets it must see zeros.
            model.clean.remove(&frame);
            assert!(!frames.contains_key(&frame), "page {frame:#x} is free and in use");
        } else if info.owner == KERNEL {
            assert!(!frames.contains_key(&frame), "page {frame:#x} is the kernel's");
        } else {
            assert_eq!(owners.get(&frame), Some(&RegionId(info.owner)), "owner of page {frame:#x}");
            let counts = frames.get(&frame).copied().unwrap_or_default();
            assert_eq!((info.maps, u32::from(info.grants)), counts, "page {frame:#x}");
        }
    }
    assert_eq!(core.frames_free, free);
    let lost = frames.keys().find(|frame| !owners.contains_key(frame));
    assert_eq!(lost, None, "a page is in use and nobody's");
}

/// Spaces exist for the servers that exist, windows count what is granted, handles are inside tables.
fn tables(core: &Core<'_>, model: &Model) {
    let servers: Vec<u16> = core
        .threads
        .numbers()
        .filter(|id| core.threads[*id].life != Life::Free)
        .map(|id| id.0)
        .collect();
    assert_eq!(servers, model.spaces.keys().copied().collect::<Vec<_>>());
    let live: u32 = core.windows.iter().map(|window| window.live).sum();
    assert_eq!(live as usize, model.grants.len());
    assert_eq!(core.grants.iter().filter(|grant| grant.live).count(), model.grants.len());
    let mut covered = BTreeSet::new();
    for id in servers {
        let thread = &core.threads[ThreadId(id)];
        for index in 0..u32::from(thread.handles_held) {
            assert!(covered.insert(thread.handles + index), "two tables overlap");
        }
    }
    for (at, handle) in core.handles.iter().enumerate() {
        assert!(handle.kind == 0 || covered.contains(&(at as u32)), "a handle outside the tables");
    }
}

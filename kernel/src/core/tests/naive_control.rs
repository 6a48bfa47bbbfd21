//! The naive model's other half: what the supervisor does to threads and slots.

use std::vec::Vec;

use abi::kernel::control::SlotState;
use abi::trap::BIT_TIMER;
use abi::{Message, Status};

use super::naive::{Does, Goes, Leads, Naive, Thread};
use crate::core::schedule::SLICE;

impl Naive {
    pub fn start(&mut self, thread: usize) {
        self.threads[thread].goes = Goes::Frame;
        self.threads[thread].payer = self.threads[thread].slot;
        self.threads[thread].slice = SLICE;
        self.make_ready(thread);
    }

    pub fn resume(&mut self, thread: usize) -> bool {
        let elsewhere = self.others.iter().enumerate().filter(|(vcpu, _)| *vcpu != self.here);
        let is_held = elsewhere.map(|(_, current)| *current).chain([self.current]);
        let stopped = self.threads[thread].exists
            && self.threads[thread].does == Does::Nothing
            && !is_held.into_iter().any(|current| current == Some(thread));
        if stopped {
            let slot = self.threads[thread].slot;
            self.threads[thread].payer = slot;
            self.raise(slot, BIT_TIMER);
            self.make_ready(thread);
        }
        stopped
    }

    pub fn stop(&mut self, thread: usize) {
        if let Does::Queues(_) | Does::Awaits(_) = self.threads[thread].does {
            self.come_back(thread, Status::Cancelled, Message::default());
        }
        self.ready.retain(|other| *other != thread);
        self.resting.retain(|(_, other)| *other != thread);
        for slot in &mut self.slots {
            slot.callers.retain(|other| *other != thread);
        }
        let payer = self.threads[thread].payer;
        let mut at = thread;
        while let Does::Awaits(slot) | Does::Faulted(slot) = self.threads[at].does {
            let Some(server) = self.slots[slot].server else { break };
            if self.threads[server].payer != payer || self.threads[server].slot == payer {
                break;
            }
            self.threads[server].payer = self.threads[server].slot;
            at = server;
        }
        self.threads[thread].does = Does::Nothing;
        self.slots[self.threads[thread].slot].bits &= !BIT_TIMER;
    }

    fn withdraw(&mut self, thread: usize) {
        let slot = self.threads[thread].slot;
        let bits = self.slots[slot].bits;
        self.stop(thread);
        self.slots[slot].bits = bits;
    }

    pub fn cancel(&mut self, thread: usize) {
        match self.threads[thread].does {
            Does::Queues(_) | Does::Awaits(_) => {
                self.withdraw(thread);
                self.come_back(thread, Status::Cancelled, Message::default());
                self.make_ready(thread);
            }
            Does::Waits => {
                self.come_back(thread, Status::Ok, Message::default());
                self.make_ready(thread);
            }
            _ => {}
        }
    }

    fn end_queued(&mut self, slot: usize, status: Status) {
        let mut callers = core::mem::take(&mut self.slots[slot].callers);
        callers.sort_by_key(|caller| core::cmp::Reverse(self.threads[*caller].priority));
        for caller in callers {
            if let Does::FaultQueues(_) = self.threads[caller].does {
                self.send_fault(caller, 0);
                continue;
            }
            self.come_back(caller, status, Message::default());
            self.make_ready(caller);
        }
    }

    fn end_taken(&mut self, slot: usize) {
        for caller in 0..self.threads.len() {
            if self.threads[caller].does == Does::Awaits(slot) {
                self.come_back(caller, Status::Restarted, Message::default());
                self.make_ready(caller);
            } else if self.threads[caller].does == Does::Faulted(slot) {
                self.send_fault(caller, 0);
            }
        }
    }

    pub fn slot_state(&mut self, slot: usize, state: SlotState) {
        self.slots[slot].state = state;
        match state {
            SlotState::Up => {}
            SlotState::Off => {
                self.end_queued(slot, Status::Gone);
                self.end_taken(slot);
            }
            SlotState::Down => {
                self.end_queued(slot, Status::Reset);
                self.end_taken(slot);
                for handle in self.threads.iter_mut().flat_map(|thread| &mut thread.handles) {
                    if let Leads::Wire { slot: to, stale, .. } = handle {
                        *stale |= *to == slot;
                    }
                }
                let server = self.slots[slot].server;
                for handle in
                    server.map_or(Vec::new(), |server| self.threads[server].handles.clone())
                {
                    if let Leads::Bell { slot, bits } = handle {
                        self.raise(slot, bits);
                    }
                }
            }
        }
    }

    pub fn destroy(&mut self, thread: usize) {
        self.stop(thread);
        let slot = self.threads[thread].slot;
        if self.slots[slot].state == SlotState::Up {
            self.slot_state(slot, SlotState::Down);
        }
        self.end_taken(slot);
        self.slots[slot].server = None;
        let generation = self.threads[thread].generation;
        self.threads[thread] = Thread { generation, ..Thread::none() };
    }
}

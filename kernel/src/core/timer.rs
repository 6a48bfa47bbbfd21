//! Timers: the deadline of each server, as bit 62 of its inbox.
//!
//! A vCPU knows the earliest deadline of its threads and ports, and the next refill of those that rest. It may be too early (a deadline was taken back), never too
//! late; the look at all of them happens only when it has passed.

use abi::trap::BIT_TIMER;

use super::Core;
use super::hardware::{Hardware, Vcpu};
use super::table::{Number, SlotId, ThreadId, VcpuId};

impl Core<'_> {
    /// The vCPU's timer fired (it is no longer armed).
    pub fn timer(&mut self, hardware: &mut impl Hardware, vcpu: Vcpu) {
        let vcpu = self.enter(vcpu);
        let processor = &mut self.vcpus[vcpu];
        (processor.armed, processor.looked_at) = (u64::MAX, u64::MAX);
        self.charge(hardware, vcpu);
        let now = self.vcpus[vcpu].since;
        if now >= self.vcpus[vcpu].earliest {
            self.vcpus[vcpu].earliest = self.expire(hardware, vcpu, now);
        }
        self.check_turn(hardware, vcpu);
    }

    /// Raises what is due; returns the next deadline.
    fn expire(&mut self, hardware: &mut impl Hardware, vcpu: VcpuId, now: u64) -> u64 {
        let rests = self.end_due_rests(hardware, vcpu, now);
        let mut earliest = self.arm_due_ports(hardware, now).min(rests);
        for id in self.threads.numbers() {
            let thread = &mut self.threads[id];
            if thread.deadline == 0 || thread.vcpu != vcpu.raw() {
                continue;
            }
            if thread.deadline > now {
                earliest = earliest.min(thread.deadline);
                continue;
            }
            thread.deadline = 0;
            let inbox = thread.inbox;
            self.raise(hardware, inbox, BIT_TIMER);
        }
        earliest
    }

    /// Sets a server's timer; 0 disarms it, a time that has passed rings at once.
    pub(super) fn set_deadline(
        &mut self,
        hardware: &mut impl Hardware,
        thread: ThreadId,
        deadline: u64,
    ) {
        // Without an inbox there is nothing that a timer could do.
        let deadline = if self.threads[thread].inbox == SlotId::NONE { 0 } else { deadline };
        let is_due = deadline != 0 && deadline <= hardware.now();
        let thread = &mut self.threads[thread];
        thread.deadline = if is_due { 0 } else { deadline };
        if is_due {
            let inbox = thread.inbox;
            self.raise(hardware, inbox, BIT_TIMER);
        } else if deadline != 0 {
            self.remember_deadline(deadline);
        }
    }

    /// Makes the current vCPU look at the deadlines in time.
    pub(super) fn remember_deadline(&mut self, deadline: u64) {
        let vcpu = &mut self.vcpus[self.here];
        vcpu.earliest = vcpu.earliest.min(deadline);
    }
}

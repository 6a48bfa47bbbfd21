//! The current vCPU's timer, armed lazily: a hypercall only when a deadline comes before the one that Xen knows. An event
//! that comes too early costs a look at the clock and a new deadline, and none is lost.

use super::vcpu::Vcpu;
use super::xen::clock;

/// Asks for a timer event at a system time; `None`: for none.
pub fn set(vcpu: &Vcpu, deadline: Option<u64>) {
    vcpu.deadline.set(deadline);
    let Some(wanted) = deadline else { return };
    if vcpu.armed.get().is_none_or(|armed| wanted < armed) {
        vcpu.armed.set(Some(wanted));
        clock::set_timer(vcpu, wanted);
    }
}

/// Tells that Xen's timer event came; true if the deadline has passed.
pub fn fired(vcpu: &Vcpu) -> bool {
    vcpu.armed.set(None);
    let Some(deadline) = vcpu.deadline.get() else { return false };
    if deadline <= clock::now() {
        vcpu.deadline.set(None);
        return true;
    }
    set(vcpu, Some(deadline));
    false
}

//! Time: Xen's clock page, the time that Xen withheld, and the single-shot timer (Xen public/xen.h, public/vcpu.h).
//!
//! The boot vCPU's clock is on a page that holds nothing else, since servers can read it; the others' is what Xen keeps in
//! their `vcpu_info`. Time never goes backwards as long as the TSC
//! does not; Xen sees to that.

use ::core::arch::x86_64::_rdtsc;
use ::core::mem::offset_of;
use ::core::sync::atomic::{AtomicI8, AtomicU32, AtomicU64, Ordering};

use super::{XenError, has_feature, mark_runstate_updates, vcpu_op};
use crate::machine::quick::clock as quick;
use crate::machine::vcpu::Vcpu;

/// `vcpu_time_info`. Xen changes it under us, so every field is read atomically.
#[repr(C)]
struct TimeInfo {
    /// Odd while Xen writes.
    version: AtomicU32,
    padding: u32,
    tsc: AtomicU64,
    system: AtomicU64,
    multiplier: AtomicU32,
    shift: AtomicI8,
}

/// `vcpu_runstate_info`.
#[repr(C)]
struct RunState {
    state: AtomicU32,
    entered: AtomicU64,
    times: [AtomicU64; 4],
}

/// Set in [`RunState::entered`] while Xen writes.
const UPDATING: u64 = 1 << 63;

/// Offset of the run-state area in a vCPU's shared page; `vcpu_info` is at 0.
const RUN_STATE: u64 = quick::RUN_STATE as u64;
/// Offset of `vcpu_time_info` in `vcpu_info`: the clock of a vCPU that has no page for it.
pub const IN_VCPU_INFO: u64 = 32;

// What the quick path reads.
const _: () = assert!(
    offset_of!(TimeInfo, version) == 0
        && offset_of!(TimeInfo, tsc) == quick::TSC
        && offset_of!(TimeInfo, system) == quick::SYSTEM
        && offset_of!(TimeInfo, multiplier) == quick::MULTIPLIER
        && offset_of!(TimeInfo, shift) == quick::SHIFT
        && quick::RUN_STATE + offset_of!(RunState, entered) == quick::ENTERED
        && quick::RUN_STATE + offset_of!(RunState, times) + 8 == quick::RUNNABLE
        && quick::RUN_STATE + offset_of!(RunState, times) + 24 == quick::OFFLINE
);

const REGISTER_RUNSTATE_LINEAR: u64 = 5;
const STOP_PERIODIC_TIMER: u64 = 7;
const SET_SINGLESHOT_TIMER: u64 = 8;
const REGISTER_TIME_LINEAR: u64 = 13;
const REGISTER_RUNSTATE_PHYSICAL: u64 = 14;
const REGISTER_TIME_PHYSICAL: u64 = 15;
const FEATURE_RUNSTATE_PHYSICAL: u32 = 18;
const FEATURE_TIME_PHYSICAL: u32 = 19;

/// Registers a page as the current vCPU's clock, by the physical address of what `vcpu` names by a virtual one.
///
/// # Errors
/// Xen's refusal.
pub fn start_page(vcpu: &Vcpu, clock_page: u64) -> Result<(), XenError> {
    let (operation, address) = if has_feature(FEATURE_TIME_PHYSICAL) {
        (REGISTER_TIME_PHYSICAL, clock_page)
    } else {
        (REGISTER_TIME_LINEAR, vcpu.clock.get())
    };
    vcpu_op(operation, vcpu.index(), address).map(|_| ())
}

/// Registers the current vCPU's run-state area, and stops the periodic timer.
///
/// # Errors
/// Xen's refusal.
pub fn start(vcpu: &Vcpu) -> Result<(), XenError> {
    mark_runstate_updates();
    let (operation, address) = if has_feature(FEATURE_RUNSTATE_PHYSICAL) {
        (REGISTER_RUNSTATE_PHYSICAL, vcpu.shared_page.get() + RUN_STATE)
    } else {
        (REGISTER_RUNSTATE_LINEAR, vcpu.shared.get() + RUN_STATE)
    };
    vcpu_op(operation, vcpu.index(), address)?;
    vcpu_op(STOP_PERIODIC_TIMER, vcpu.index(), 0u64).map(|_| ())
}

/// Nanoseconds since Xen booted (its system time).
pub fn now() -> u64 {
    // SAFETY: the page is mapped, and Xen keeps the structure in it.
    let info = unsafe { &*(Vcpu::current().clock.get() as *const TimeInfo) };
    loop {
        let before = info.version.load(Ordering::Acquire);
        let ticks = ordered_tsc().wrapping_sub(info.tsc.load(Ordering::Acquire));
        let system = info.system.load(Ordering::Acquire);
        let multiplier = info.multiplier.load(Ordering::Acquire);
        let shift = info.shift.load(Ordering::Acquire);
        if info.version.load(Ordering::Acquire) == before && before & 1 == 0 {
            return system.wrapping_add(scale(ticks, multiplier, shift));
        }
    }
}

fn ordered_tsc() -> u64 {
    // SAFETY: SSE2's fence exists on every 64-bit processor, and touches no register.
    unsafe { ::core::arch::asm!("lfence", options(nostack, preserves_flags)) };
    // SAFETY: reading the counter is always allowed in ring 0.
    unsafe { _rdtsc() }
}

fn scale(ticks: u64, multiplier: u32, shift: i8) -> u64 {
    let distance = u32::from(shift.unsigned_abs()) & 63;
    let ticks = if shift < 0 { ticks >> distance } else { ticks << distance };
    ((u128::from(ticks) * u128::from(multiplier)) >> 32) as u64
}

/// Nanoseconds for which a vCPU was ready to run and Xen ran somebody else, or was offline.
pub fn stolen(vcpu: &Vcpu) -> u64 {
    // SAFETY: the page is mapped, and Xen keeps the structure in it.
    let area = unsafe { &*((vcpu.shared.get() + RUN_STATE) as *const RunState) };
    loop {
        let before = area.entered.load(Ordering::Acquire);
        let [_running, runnable, _blocked, offline] = &area.times;
        let sum = runnable.load(Ordering::Acquire).wrapping_add(offline.load(Ordering::Acquire));
        if area.entered.load(Ordering::Acquire) == before && before & UPDATING == 0 {
            return sum;
        }
    }
}

/// Asks for the current vCPU's timer event at a system time, or at once if that has passed.
pub fn set_timer(vcpu: &Vcpu, deadline: u64) {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct SingleShot {
        deadline: u64,
        flags: u32,
    }
    // Xen refuses only what is not the current vCPU.
    let _ = vcpu_op(SET_SINGLESHOT_TIMER, vcpu.index(), SingleShot { deadline, flags: 0 });
}

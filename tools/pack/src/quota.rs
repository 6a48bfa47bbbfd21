//! What each slot may hold of the kernel's objects: what it needs by the plan, and no more.
//!
//! Invariant: the limits of all slots together are no more than [`crate::counts`] has the kernel make, so a slot within its
//! limit always gets what it asks for. The supervisor has no limits.

use abi::kernel::control::{NO_LIMIT, OBJECT_KINDS, ObjectKind};
use abi::layout::START_PAGES;

use crate::counts;
use crate::managers::Managed;
use crate::plan::Plan;
use crate::tables::index_pages;

/// The plan with its limits.
pub fn limit(mut plan: Plan<'_>) -> Plan<'_> {
    for number in 0..plan.slots.len() {
        let quota = OBJECT_KINDS.map(|kind| {
            let most = if number == 0 { NO_LIMIT.into() } else { most(&plan, number, kind) };
            u32::try_from(most).unwrap_or(NO_LIMIT)
        });
        if let Some(slot) = plan.slots.get_mut(number) {
            slot.quota = quota;
        }
    }
    plan
}

/// Sizes of the parts of wires that a slot writes.
fn written<'p>(plan: &'p Plan<'_>, number: usize) -> impl Iterator<Item = u64> + use<'p> {
    let maps = plan.slots.get(number).map_or(&[][..], |slot| &slot.maps);
    let written = maps.iter().filter(|map| map.writable);
    written.filter_map(|map| plan.regions.get(usize::from(map.region))).map(|it| it.pages.into())
}

fn most(plan: &Plan<'_>, number: usize, kind: ObjectKind) -> u64 {
    let Some(slot) = plan.slots.get(number) else { return 0 };
    let made = plan.managed.get(number).copied().unwrap_or_default();
    let windows = || plan.windows.iter().filter(|window| usize::from(window.slot) == number);
    match kind {
        ObjectKind::Frame => {
            let private = counts::data_pages(plan, number) + counts::memory(slot) + START_PAGES;
            private + written(plan, number).sum::<u64>() + made.frames
        }
        ObjectKind::Table => {
            let indexes = written(plan, number).map(index_pages).sum::<u64>();
            counts::of_server(plan, number) + indexes + Managed::index_pages(&made)
        }
        ObjectKind::Region => 1 + written(plan, number).count() as u64 + made.regions(),
        ObjectKind::Handle => slot.handles.into(),
        ObjectKind::Server => 1,
        ObjectKind::Port => {
            plan.ports.iter().filter(|port| usize::from(port.slot) == number).count() as u64
        }
        ObjectKind::Window => windows().count() as u64,
        ObjectKind::Grant => windows().map(|window| u64::from(window.references)).sum(),
    }
}

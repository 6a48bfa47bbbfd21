//! Slots whose vCPU the domain does not have: they live on the first, and it is told.
//!
//! Priorities are the same on every vCPU and calls go up in them everywhere, so a system runs on fewer vCPUs as well: slower.

use alloc::string::String;
use alloc::vec::Vec;

use abi::Traps;
use ipc::system::System;

use crate::kernel::Kernel;

/// Moves slots to the first vCPU where theirs is not there; returns their names.
pub fn place<T: Traps>(kernel: &Kernel<T>, system: &mut System) -> Vec<String> {
    let used = kernel.control.domain_info(2).map_or(1, |facts| facts.0);
    let strangers = system.slots.iter_mut().filter(|slot| u64::from(slot.vcpu) >= used);
    strangers
        .map(|slot| {
            slot.vcpu = 0;
            slot.name.clone()
        })
        .collect()
}

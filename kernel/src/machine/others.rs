//! The other vCPUs: brought up straight into long mode, with the boot vCPU's control registers and the kernel's own tables.
//!
//! All that a vCPU needs of memory (stacks, window, the page shared with Xen) is made by the boot vCPU before the first of
//! them starts; what only a vCPU can do for itself (its segments, registers and events) it does here, without the lock.

use super::layout::VCPUS;
use super::paging::KernelTables;
use super::vcpu::Vcpu;
use super::xen::{self, VcpuContext, channels, clock};
use super::{descriptors, entry, panic, run};
use crate::say;

/// How many vCPUs of a domain are used; one that is not is told of.
pub fn used(there: u64) -> u16 {
    let most = VCPUS as u16;
    let used = u16::try_from(there).unwrap_or(u16::MAX).clamp(1, most);
    if u64::from(used) < there {
        say!("of {there} vCPUs {used} are used: the kernel knows no more");
    }
    if used > 1 && xen::flush_all().is_err() {
        say!("1 of {there} vCPUs is used: Xen does not flush translation buffers");
        return 1;
    }
    used
}

/// Starts all vCPUs but the boot vCPU. The kernel is ready for them.
pub fn start(used: u16, tables: &KernelTables) {
    for vcpu in 1..used {
        let stack = descriptors::kernel_stack(vcpu);
        let rip = entry::vcpu_entry as *const () as u64;
        let context = VcpuContext::new(rip, stack, vcpu.into(), tables.top().as_u64());
        if let Err(error) = xen::start_vcpu(vcpu, &context) {
            panic::refuse(format_args!("Xen does not start vCPU {vcpu}: error {}", error.0));
        }
    }
}

/// Where the assembly arrives on a new vCPU: its own kernel stack, no interrupt table, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn vcpu_main(index: u16) -> ! {
    Vcpu::enter(index);
    let vcpu = Vcpu::current();
    descriptors::load_segments(vcpu);
    descriptors::use_gates();
    descriptors::load_syscall();
    if let Err(error) = clock::start(vcpu) {
        panic::refuse(format_args!("Xen gives vCPU {index} no clock: error {}", error.0));
    }
    if let Err(channels::NoEvents(step, error)) = channels::start(vcpu) {
        panic::refuse(format_args!("Xen gives vCPU {index} no events: {step}: error {}", error.0));
    }
    run::join()
}

//! The local APIC: enabled so that Xen can deliver the upcall's vector, and acknowledged by the assembly in `entry`.
//! No timer, no interrupts between processors: Xen's own are used.

use x86_64::registers::model_specific::Msr;

use super::cpu;
use super::descriptors::SPURIOUS_VECTOR;
use super::layout::LOCAL_APIC;

const APIC_BASE: u32 = 0x1b;
const APIC_BASE_ENABLED: u64 = 1 << 11;
const APIC_BASE_X2APIC: u64 = 1 << 10;
const X2APIC_TASK_PRIORITY: u32 = 0x808;
const X2APIC_SPURIOUS: u32 = 0x80f;
const TASK_PRIORITY: u64 = 0x80;
const SPURIOUS: u64 = 0xf0;
const SOFTWARE_ENABLED: u32 = 1 << 8;

/// Where the registers are in memory, if the processor has no x2APIC.
pub const PHYSICAL: u64 = 0xfee0_0000;

/// Enables the current vCPU's; returns how it is acknowledged: 1 by x2APIC, 2 in memory.
pub fn enable() -> u8 {
    let spurious = SOFTWARE_ENABLED | u32::from(SPURIOUS_VECTOR);
    let mut base = Msr::new(APIC_BASE);
    // SAFETY: the register exists on every 64-bit processor.
    let value = unsafe { base.read() };
    if cpu::has_x2apic() {
        // SAFETY: CPUID says that the mode exists; nothing uses the registers in memory.
        unsafe { base.write(value | APIC_BASE_ENABLED | APIC_BASE_X2APIC) };
        for (register, value) in [(X2APIC_TASK_PRIORITY, 0), (X2APIC_SPURIOUS, spurious)] {
            // SAFETY: the mode is on; the gate of the spurious vector is there.
            unsafe { Msr::new(register).write(value.into()) };
        }
        return 1;
    }
    // SAFETY: it stays where it is.
    unsafe { base.write(value | APIC_BASE_ENABLED) };
    for (register, value) in [(TASK_PRIORITY, 0), (SPURIOUS, spurious)] {
        // SAFETY: the registers are mapped there, uncached.
        unsafe { ((LOCAL_APIC + register) as *mut u32).write_volatile(value) };
    }
    2
}

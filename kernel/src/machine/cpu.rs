//! What the processor is told once: control registers, and what it can do.
//!
//! CR0.EM and TS are clear and stay clear: the vector unit is never switched lazily. XSAVE stays off.

use ::core::arch::x86_64::{__cpuid, __cpuid_count};
use ::core::sync::atomic::{AtomicBool, Ordering};

use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};

pub use super::quick::USER_FLAGS;

/// Whether SMAP is on, and so whether `clac` exists.
static SMAP: AtomicBool = AtomicBool::new(false);

/// Local APIC of the newer kind.
pub fn has_x2apic() -> bool {
    __cpuid(1).ecx & 1 << 21 != 0
}

/// Number of bits of a physical address.
pub fn physical_bits() -> u32 {
    if __cpuid(0x8000_0000).eax < 0x8000_0008 { 36 } else { __cpuid(0x8000_0008).eax & 0xff }
}

/// Vendors whose hypercall instruction is `vmcall`; all others use `vmmcall`.
pub fn has_vmcall() -> bool {
    let vendor = __cpuid(0);
    let words = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
    let intel = [*b"Genu", *b"ineI", *b"ntel"];
    let zhaoxin = [*b"  Sh", *b"angh", *b"ai  "];
    let centaur = [*b"Cent", *b"aurH", *b"auls"];
    [intel, zhaoxin, centaur].contains(&words)
}

/// Sets the control registers; `false` if the processor has no NX bit, without which the kernel does not run.
#[must_use]
pub fn enable() -> bool {
    if __cpuid(0x8000_0001).edx & 1 << 20 == 0 {
        return false;
    }
    let efer = EferFlags::NO_EXECUTE_ENABLE | EferFlags::SYSTEM_CALL_EXTENSIONS;
    // SAFETY: no entry of the tables in use has bit 63 set, and no code of ours relies on either feature being off.
    unsafe { Efer::update(|flags| flags.insert(efer)) };
    let mut cr0 = Cr0::read();
    cr0.insert(Cr0Flags::WRITE_PROTECT | Cr0Flags::MONITOR_COPROCESSOR | Cr0Flags::NUMERIC_ERROR);
    cr0.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED);
    // SAFETY: protection and paging stay on; the kernel writes to no read-only page.
    unsafe { Cr0::write(cr0) };
    let cr4 = wanted_cr4();
    // SAFETY: no user page is mapped, so SMEP and SMAP forbid nothing that is in use; PAE stays on.
    unsafe { Cr4::write(cr4) };
    SMAP.store(cr4.contains(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION), Ordering::Relaxed);
    true
}

/// CR0, CR4 and EFER, for another vCPU to start with.
pub fn control() -> [u64; 3] {
    [Cr0::read_raw(), Cr4::read_raw(), Efer::read_raw()]
}

fn wanted_cr4() -> Cr4Flags {
    let mut cr4 = Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::PAGE_GLOBAL
        | Cr4Flags::DEBUGGING_EXTENSIONS
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE;
    let leaf = if __cpuid(0).eax >= 7 { Some(__cpuid_count(7, 0)) } else { None };
    let (ebx, ecx) = leaf.map_or((0, 0), |leaf| (leaf.ebx, leaf.ecx));
    cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, ebx & 1 << 7 != 0);
    cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, ebx & 1 << 20 != 0);
    cr4.set(Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION, ecx & 1 << 2 != 0);
    cr4
}

/// Clears the flag by which user code could have switched SMAP off; interrupts do not.
pub fn forbid_user_access() {
    if SMAP.load(Ordering::Relaxed) {
        // SAFETY: SMAP is on, so the instruction exists; it only forbids.
        unsafe { ::core::arch::asm!("clac", options(nomem, nostack)) };
    }
}

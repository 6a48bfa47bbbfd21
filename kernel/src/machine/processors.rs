//! How many vCPUs the domain has, from ACPI's MADT. Read while the first tables map everything below 4 GiB.

use ::core::ptr::NonNull;

use acpi::madt::{Madt, MadtEntry};
use acpi::{AcpiHandler, AcpiTables, PhysicalMapping};
use boot::entry::IDENTITY_END;

/// Bit of an entry's flags: the processor is there.
const ENABLED: u32 = 1;

/// Memory where it physically is.
#[derive(Clone)]
struct Identity;

impl AcpiHandler for Identity {
    unsafe fn map_physical_region<T>(
        &self,
        address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        let end = (address as u64).saturating_add(size as u64);
        if address == 0 || end > IDENTITY_END {
            super::panic::stop(format_args!("an ACPI table at {address:#x} cannot be read"), None);
        }
        let pointer = NonNull::new(address as *mut T).unwrap_or(NonNull::dangling());
        // SAFETY: the first tables map the region where it physically is.
        unsafe { PhysicalMapping::new(address, pointer, size, size, Self) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

/// Counts the vCPUs; `None` if the tables do not say.
pub fn count(rsdp: u64) -> Option<usize> {
    if rsdp == 0 || rsdp >= IDENTITY_END {
        return None;
    }
    // SAFETY: the loader says that the RSDP is there; it is checked by its signature and sum.
    let tables = unsafe { AcpiTables::from_rsdp(Identity, rsdp as usize) }.ok()?;
    let madt = tables.find_table::<Madt>().ok()?;
    let present = |entry: &MadtEntry<'_>| match entry {
        MadtEntry::LocalApic(apic) => apic.flags & ENABLED != 0,
        MadtEntry::LocalX2Apic(apic) => apic.flags & ENABLED != 0,
        _ => false,
    };
    Some(madt.get().entries().filter(present).count())
}

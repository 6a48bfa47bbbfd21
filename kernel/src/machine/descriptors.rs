//! Segments, the interrupt table and the stacks of ring 0.
//!
//! Flat 64-bit segments only: no 32-bit code segment, no local table, no call gates; the I/O bitmap is empty, so every
//! port is closed to user code. Double fault, NMI, machine check and debug exceptions have stacks of their own.

use ::core::cell::UnsafeCell;
use ::core::sync::atomic::{AtomicU16, Ordering};

use boot::entry::{KERNEL_CODE, KERNEL_DATA};
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::registers::model_specific::Msr;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{PrivilegeLevel, VirtAddr};

use super::entry;
use super::layout::{STACKS, STACKS_STRIDE};
use super::vcpu::Vcpu;
use abi::layout::PAGE;

/// Selector of user data: `sysret` takes it from the kernel's data selector plus 8.
pub const USER_DATA: u16 = 0x18 | 3;
/// Selector of user code: the kernel's data selector plus 16.
pub const USER_CODE: u16 = 0x20 | 3;

/// Vector of Xen's event upcall.
pub const UPCALL_VECTOR: u8 = 0xe0;
/// Vector of the local APIC's spurious interrupts.
pub const SPURIOUS_VECTOR: u8 = 0xff;

const DEBUG: usize = 1;
const NMI: usize = 2;
const BREAKPOINT: usize = 3;
const DOUBLE_FAULT: usize = 8;
const MACHINE_CHECK: usize = 18;

/// A stack in a vCPU's area: the page below it is never mapped.
pub struct StackPlace {
    first_page: u64,
    /// How many pages it has.
    pub pages: u64,
}

/// The stacks of a vCPU: the kernel's, then those of double fault, NMI, machine check and debug, in the order of the
/// interrupt stack table.
pub const STACK_PLACES: [StackPlace; 5] = [
    StackPlace { first_page: 1, pages: 4 },
    StackPlace { first_page: 6, pages: 2 },
    StackPlace { first_page: 9, pages: 2 },
    StackPlace { first_page: 12, pages: 2 },
    StackPlace { first_page: 15, pages: 2 },
];

impl StackPlace {
    /// Its lowest address.
    pub fn bottom(&self, vcpu: u16) -> u64 {
        STACKS + u64::from(vcpu) * STACKS_STRIDE + self.first_page * PAGE
    }

    /// Where its stack pointer starts.
    pub fn top(&self, vcpu: u16) -> u64 {
        self.bottom(vcpu) + self.pages * PAGE
    }
}

/// The top of a vCPU's kernel stack.
pub fn kernel_stack(vcpu: u16) -> u64 {
    let [kernel, ..] = &STACK_PLACES;
    kernel.top(vcpu)
}

/// How many vCPUs have stacks.
static STACKS_MAPPED: AtomicU16 = AtomicU16::new(0);

/// Tells that the stacks of the first `vcpus` vCPUs are mapped.
pub fn know_stacks(vcpus: u16) {
    STACKS_MAPPED.store(vcpus, Ordering::Relaxed);
}

/// Whether an address is on a stack that is mapped.
pub fn is_on_stack(address: u64) -> bool {
    let vcpu = address.wrapping_sub(STACKS) / STACKS_STRIDE;
    let inside =
        |place: &StackPlace, vcpu| (place.bottom(vcpu)..place.top(vcpu)).contains(&address);
    vcpu < u64::from(STACKS_MAPPED.load(Ordering::Relaxed))
        && STACK_PLACES.iter().any(|place| inside(place, vcpu as u16))
}

/// One entry of the interrupt table: an interrupt gate. User code can ask for the breakpoint alone.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

impl Gate {
    const fn new(handler: u64, stack: u64, from_user: bool) -> Self {
        const PRESENT: u64 = 1 << 47;
        const INTERRUPT: u64 = 0xe << 40;
        let low = handler & 0xffff
            | (KERNEL_CODE as u64) << 16
            | stack << 32
            | INTERRUPT
            | PRESENT
            | if from_user { 3 << 45 } else { 0 }
            | (handler >> 16 & 0xffff) << 48;
        Self { low, high: handler >> 32 }
    }
}

#[repr(C, align(16))]
struct Gates(UnsafeCell<[Gate; 256]>);

// SAFETY: written on the boot vCPU before any other runs; the processors only read it.
unsafe impl Sync for Gates {}

static GATES: Gates = Gates(UnsafeCell::new([Gate { low: 0, high: 0 }; 256]));

/// Loads the interrupt table. With `stacks` the exceptions that need a stack of their own use it; before the task
/// segment is loaded they cannot.
pub fn load_gates(stacks: bool) {
    // SAFETY: interrupts are off, and an exception now would find either the old or the new entry, both good.
    let gates = unsafe { &mut *GATES.0.get() };
    for (vector, gate) in gates.iter_mut().enumerate() {
        let stack = match vector {
            DOUBLE_FAULT => 1,
            NMI => 2,
            MACHINE_CHECK => 3,
            DEBUG => 4,
            _ => 0,
        };
        *gate =
            Gate::new(entry::handler(vector), if stacks { stack } else { 0 }, vector == BREAKPOINT);
    }
    use_gates();
}

/// Loads the interrupt table as it is.
pub fn use_gates() {
    let pointer = DescriptorTablePointer {
        limit: (size_of::<[Gate; 256]>() - 1) as u16,
        base: VirtAddr::from_ptr(GATES.0.get()),
    };
    // SAFETY: the table is static and complete.
    unsafe { lidt(&pointer) };
}

/// Gives the current vCPU its segments and its stacks, which are mapped.
pub fn load_segments(vcpu: &'static Vcpu) {
    let index = vcpu.index();
    let [kernel, exceptions @ ..] = &STACK_PLACES;
    let mut stacks = [VirtAddr::zero(); 7];
    for (place, stack) in exceptions.iter().zip(&mut stacks) {
        *stack = VirtAddr::new_truncate(place.top(index));
    }
    // SAFETY: this vCPU's own, and no reference to it is alive.
    let task = unsafe { &mut *vcpu.task.get() }.write(TaskStateSegment::new());
    task.interrupt_stack_table = stacks;
    task.privilege_stack_table[0] = VirtAddr::new_truncate(kernel.top(index));
    let spare = exceptions.first().map_or(0, |place| place.top(index));
    vcpu.set_stacks(kernel.top(index), spare);
    // SAFETY: as above.
    let segments = unsafe { &mut *vcpu.segments.get() }.write(GlobalDescriptorTable::empty());
    segments.append(Descriptor::kernel_code_segment());
    segments.append(Descriptor::kernel_data_segment());
    segments.append(Descriptor::user_data_segment());
    segments.append(Descriptor::user_code_segment());
    // SAFETY: the task segment is static.
    let descriptor = unsafe { Descriptor::tss_segment_unchecked(task) };
    let task_selector = segments.append(descriptor);
    // SAFETY: the table is static: every vCPU's entry is.
    unsafe { segments.load_unsafe() };
    reload_selectors();
    // SAFETY: the selector was just made for a task segment that is static and has not been loaded before.
    unsafe { load_tss(task_selector) };
}

fn reload_selectors() {
    let code = SegmentSelector::new(KERNEL_CODE >> 3, PrivilegeLevel::Ring0);
    let data = SegmentSelector::new(KERNEL_DATA >> 3, PrivilegeLevel::Ring0);
    // SAFETY: the same selector means the same segment in the first table and in this one.
    unsafe { CS::set_reg(code) };
    // SAFETY: as above.
    unsafe { SS::set_reg(data) };
    // SAFETY: as above.
    unsafe { DS::set_reg(data) };
    // SAFETY: as above.
    unsafe { ES::set_reg(data) };
}

/// Tells the current vCPU where `syscall` goes. Every flag but the reserved one is cleared on the way in.
pub fn load_syscall() {
    let kernel = u64::from(KERNEL_CODE) << 32 | u64::from(KERNEL_DATA) << 48;
    let registers = [
        (IA32_STAR, kernel),
        (IA32_LSTAR, entry::syscall_entry as *const () as u64),
        (IA32_CSTAR, entry::foreign_entry as *const () as u64),
        (IA32_FMASK, !2 & 0xffff_ffff),
        // With no segment there, `sysenter` faults.
        (IA32_SYSENTER_CS, 0),
    ];
    for (register, value) in registers {
        // SAFETY: these registers only say where `syscall` and `sysenter` go: to entry code that is there.
        unsafe { Msr::new(register).write(value) };
    }
}

/// Sends the traps of the current vCPU through the quick path.
pub fn load_quick_syscall() {
    // SAFETY: the register only says where `syscall` goes: to entry code that is there.
    unsafe { Msr::new(IA32_LSTAR).write(entry::syscall_quick as *const () as u64) };
}

const IA32_SYSENTER_CS: u32 = 0x174;
const IA32_STAR: u32 = 0xc000_0081;
const IA32_LSTAR: u32 = 0xc000_0082;
const IA32_CSTAR: u32 = 0xc000_0083;
const IA32_FMASK: u32 = 0xc000_0084;

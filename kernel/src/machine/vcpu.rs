//! What belongs to one vCPU: found through GS_BASE while in the kernel.
//!
//! Only its own vCPU touches an entry, with interrupts off; NMI and machine-check handlers touch nothing of it but through
//! [`Vcpu::current`]'s atomics. Others use of it, under the kernel's lock, what is only changed under that lock: who runs
//! (`quick.current`) and the number of upcalls; and what does not change any more once the vCPU runs (its places).
//! There is one stack per vCPU, and no kernel state survives a return to user mode.

use ::core::cell::{Cell, UnsafeCell};
use ::core::mem::MaybeUninit;
use ::core::mem::offset_of;
use ::core::sync::atomic::AtomicU32;

use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};
use x86_64::structures::gdt::GlobalDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

use super::frame::ThreadFrame;
use super::layout::VCPUS;
use super::quick::Quick;

/// Words of the space for a hypercall's argument.
pub const ARGUMENT_WORDS: usize = 16;

/// One vCPU. The first four fields are used by the assembly in `entry` and `quick`.
#[repr(C, align(64))]
pub struct Vcpu {
    this: Cell<*const Vcpu>,
    stack: Cell<u64>,
    spare: Cell<u64>,
    /// Who runs, and what the quick path needs.
    pub quick: Quick,
    index: u16,
    /// The thread that the kernel went to last (`quick.current` then).
    pub entered: Cell<u64>,
    /// The space that is loaded, by the physical address of its top table; 0 for the kernel's own. Reading CR3 may exit.
    pub space: Cell<u64>,
    /// Where this vCPU's page of structures shared with Xen lies: virtual address.
    pub shared: Cell<u64>,
    /// The same, physical address.
    pub shared_page: Cell<u64>,
    /// Where this vCPU's clock (Xen's `vcpu_time_info`) lies: virtual address.
    pub clock: Cell<u64>,
    /// Its timer's event channel; 0 until it has one.
    pub timer: Cell<u32>,
    /// The event channel that wakes it; 0 until it has one.
    pub wake: AtomicU32,
    /// The entry of the page table that maps this vCPU's window.
    pub window: Cell<*mut u64>,
    /// The timer's deadline as Xen knows it.
    pub armed: Cell<Option<u64>>,
    /// The timer's deadline as the core wants it.
    pub deadline: Cell<Option<u64>>,
    /// Upcalls taken.
    pub upcalls: Cell<u64>,
    /// Space for a hypercall's argument.
    pub argument: UnsafeCell<[u64; ARGUMENT_WORDS]>,
    /// Segments; made when they are loaded.
    pub segments: UnsafeCell<MaybeUninit<GlobalDescriptorTable>>,
    /// Stacks for ring 0; made when they are loaded.
    pub task: UnsafeCell<MaybeUninit<TaskStateSegment>>,
}

/// Offset of the top of the kernel stack, for the assembly.
pub const STACK_OFFSET: usize = offset_of!(Vcpu, stack);
/// Offset of the address of the page shared with Xen.
pub const SHARED_OFFSET: usize = offset_of!(Vcpu, shared);
/// Offset of the address of the clock page.
pub const CLOCK_OFFSET: usize = offset_of!(Vcpu, clock);
/// Offset of what the quick path needs.
pub const QUICK_OFFSET: usize = offset_of!(Vcpu, quick);
/// Offset of what three times a thread's address is added to for its frame's.
pub const FRAMES_OFFSET: usize = QUICK_OFFSET + offset_of!(Quick, frames);
/// Offset of the top of the stack that the panic screen runs on if no other is sound.
pub const SPARE_OFFSET: usize = offset_of!(Vcpu, spare);

// SAFETY: an entry is reached through GS_BASE, by its own vCPU, with interrupts off; of what others reach, the module says
// why it does not change meanwhile.
unsafe impl Sync for Vcpu {}

static ALL: [Vcpu; VCPUS] = Vcpu::all();

impl Vcpu {
    const fn new() -> Self {
        Self {
            this: Cell::new(::core::ptr::null()),
            stack: Cell::new(0),
            spare: Cell::new(0),
            quick: Quick::empty(),
            index: 0,
            entered: Cell::new(0),
            space: Cell::new(0),
            shared: Cell::new(0),
            shared_page: Cell::new(0),
            clock: Cell::new(0),
            timer: Cell::new(0),
            wake: AtomicU32::new(0),
            window: Cell::new(::core::ptr::null_mut()),
            armed: Cell::new(None),
            deadline: Cell::new(None),
            upcalls: Cell::new(0),
            argument: UnsafeCell::new([0; ARGUMENT_WORDS]),
            segments: UnsafeCell::new(MaybeUninit::uninit()),
            task: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    const fn all() -> [Self; VCPUS] {
        let mut all = [const { Self::new() }; VCPUS];
        let (mut rest, mut index) = (all.as_mut_slice(), 0);
        while let [first, after @ ..] = rest {
            first.index = index;
            (rest, index) = (after, index + 1);
        }
        all
    }

    /// Makes entry `index` the current vCPU's. To be called once, first of all, on that vCPU.
    pub fn enter(index: u16) {
        let Some(vcpu) = ALL.get(usize::from(index)) else { return };
        vcpu.this.set(vcpu);
        GsBase::write(VirtAddr::from_ptr(vcpu));
        // User code sees a GS base of 0, and cannot change it.
        KernelGsBase::write(VirtAddr::zero());
    }

    /// The first `count` vCPUs.
    pub fn first(count: u16) -> impl Iterator<Item = &'static Self> {
        ALL.iter().take(count.into())
    }

    /// The vCPU of a number.
    pub fn at(index: u16) -> Option<&'static Self> {
        ALL.get(usize::from(index))
    }

    /// The current vCPU.
    pub fn current() -> &'static Self {
        let this: *const Self;
        // SAFETY: GS_BASE points to an entry of `ALL` from `enter` on whenever Rust code of the kernel runs, and its first
        // word to itself.
        unsafe {
            ::core::arch::asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags, readonly));
        }
        // SAFETY: as above; entries are static.
        unsafe { &*this }
    }

    /// Its number: its place among all. It has it before it runs.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Its number, as the core has it.
    pub fn number(&self) -> crate::core::hardware::Vcpu {
        crate::core::hardware::Vcpu(self.index())
    }

    /// Sets the tops of its kernel stack and of its double-fault stack.
    pub fn set_stacks(&self, top: u64, spare: u64) {
        self.stack.set(top);
        self.spare.set(spare);
    }

    /// The top of its kernel stack.
    pub fn stack(&self) -> u64 {
        self.stack.get()
    }

    /// The frame of the thread that runs.
    pub fn frame(&self) -> *mut ThreadFrame {
        self.quick.frame() as *mut ThreadFrame
    }
}

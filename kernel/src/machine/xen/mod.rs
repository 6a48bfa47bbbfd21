//! Xen: how it is found, and its calls.
//!
//! Every argument structure lies in the current vCPU's own argument space, never in memory that user code can reach or
//! name. The instruction is chosen once, by the processor's vendor; there is no hypercall page.

pub mod channels;
pub mod clock;
pub mod grants;
pub mod memory;

use ::core::arch::x86_64::__cpuid;
use ::core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::cpu;
use super::vcpu::{ARGUMENT_WORDS, Vcpu};

/// Numbers of hypercalls (Xen public/xen.h).
mod number {
    pub const MEMORY: u64 = 12;
    pub const XEN_VERSION: u64 = 17;
    pub const VM_ASSIST: u64 = 21;
    pub const VCPU: u64 = 24;
    pub const SCHED: u64 = 29;
    pub const EVENT_CHANNEL: u64 = 32;
    pub const HVM: u64 = 34;
}

/// "This domain" in a hypercall's argument.
pub const DOMID_SELF: u16 = 0x7ff0;

/// A negative result of a hypercall: an errno of Xen's public headers, negated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XenError(pub i64);

/// CPUID leaf from which on Xen's leaves begin; 0 while not found.
static LEAF: AtomicU32 = AtomicU32::new(0);
static VMCALL: AtomicBool = AtomicBool::new(false);

/// Looks for Xen; without it there are no hypercalls.
#[must_use]
pub fn find() -> bool {
    let is_xen = |leaf: &u32| {
        let found = __cpuid(*leaf);
        let words = [found.ebx, found.ecx, found.edx].map(u32::to_le_bytes);
        words == [*b"XenV", *b"MMXe", *b"nVMM"]
    };
    let Some(leaf) = (0x4000_0000..0x4001_0000).step_by(0x100).find(is_xen) else { return false };
    LEAF.store(leaf, Ordering::Relaxed);
    VMCALL.store(cpu::has_vmcall(), Ordering::Relaxed);
    true
}

/// Xen's version: major in the upper half, minor in the lower.
pub fn version() -> u32 {
    __cpuid(LEAF.load(Ordering::Relaxed) + 1).eax
}

/// The number of this domain, where Xen tells it.
pub fn domain() -> Option<u32> {
    let leaf = __cpuid(LEAF.load(Ordering::Relaxed) + 4);
    (leaf.eax & 1 << 4 != 0).then_some(leaf.ecx)
}

/// Whether the event upcall can have a vector of each vCPU's own.
pub fn has_vcpu_vector() -> bool {
    __cpuid(LEAF.load(Ordering::Relaxed) + 4).eax & 1 << 6 != 0
}

/// A hypercall. The pointers among its arguments lead to kernel memory.
fn hypercall(number: u64, a: u64, b: u64, c: u64) -> Result<u64, XenError> {
    let result: i64;
    if VMCALL.load(Ordering::Relaxed) {
        // SAFETY: callers pass this domain's own structures; Xen changes no other register than the arguments'.
        unsafe {
            ::core::arch::asm!("vmcall", inlateout("rax") number => result, inlateout("rdi") a => _,
                inlateout("rsi") b => _, inlateout("rdx") c => _, out("r10") _, out("r8") _, options(nostack));
        }
    } else {
        // SAFETY: as above.
        unsafe {
            ::core::arch::asm!("vmmcall", inlateout("rax") number => result, inlateout("rdi") a => _,
                inlateout("rsi") b => _, inlateout("rdx") c => _, out("r10") _, out("r8") _, options(nostack));
        }
    }
    if result < 0 { Err(XenError(result)) } else { Ok(result as u64) }
}

/// Runs `call` with the address of a copy of `argument`; returns the copy as the hypercall left it.
fn with_argument<T: Copy>(
    argument: T,
    call: impl FnOnce(u64) -> Result<u64, XenError>,
) -> Result<T, XenError> {
    const { assert!(size_of::<T>() <= ARGUMENT_WORDS * 8 && align_of::<T>() <= 8) };
    let place = Vcpu::current().argument.get().cast::<T>();
    // SAFETY: the space is this vCPU's own, large enough, aligned, and no reference to it exists.
    unsafe { place.write(argument) };
    call(place as u64)?;
    // SAFETY: as above; every bit pattern that Xen writes is a value of the plain structures used here.
    Ok(unsafe { place.read() })
}

fn memory_op<T: Copy>(operation: u64, argument: T) -> Result<T, XenError> {
    with_argument(argument, |at| hypercall(number::MEMORY, operation, at, 0))
}

fn channel_op<T: Copy>(operation: u64, argument: T) -> Result<T, XenError> {
    with_argument(argument, |at| hypercall(number::EVENT_CHANNEL, operation, at, 0))
}

fn hvm_op<T: Copy>(operation: u64, argument: T) -> Result<T, XenError> {
    with_argument(argument, |at| hypercall(number::HVM, operation, at, 0))
}

fn vcpu_op<T: Copy>(operation: u64, vcpu: u16, argument: T) -> Result<T, XenError> {
    with_argument(argument, |at| hypercall(number::VCPU, operation, u64::from(vcpu), at))
}

/// Whether Xen has a feature (Xen public/features.h, submap 0).
fn has_feature(bit: u32) -> bool {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Features {
        submap: u32,
        bits: u32,
    }
    const GET_FEATURES: u64 = 6;
    let features = with_argument(Features { submap: 0, bits: 0 }, |at| {
        hypercall(number::XEN_VERSION, GET_FEATURES, at, 0)
    });
    features.is_ok_and(|features| features.bits & 1 << bit != 0)
}

/// A parameter of the domain (Xen public/hvm/params.h).
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Parameter {
    /// How the upcall is delivered.
    CallbackIrq = 0,
    /// Page of the XenStore ring.
    StorePage = 1,
    /// Its event channel.
    StoreChannel = 2,
    /// Page of the console ring.
    ConsolePage = 17,
    /// Its event channel.
    ConsoleChannel = 18,
    /// What a triple fault means.
    TripleFault = 31,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct ParameterArgument {
    domain: u16,
    index: u32,
    value: u64,
}

/// Reads a parameter.
///
/// # Errors
/// Xen's refusal.
pub fn parameter(which: Parameter) -> Result<u64, XenError> {
    let argument = ParameterArgument { domain: DOMID_SELF, index: which as u32, value: 0 };
    hvm_op(1, argument).map(|argument| argument.value)
}

/// Sets a parameter.
///
/// # Errors
/// Xen's refusal.
pub fn set_parameter(which: Parameter, value: u64) -> Result<(), XenError> {
    let argument = ParameterArgument { domain: DOMID_SELF, index: which as u32, value };
    hvm_op(0, argument).map(|_| ())
}

/// Ends the domain (Xen public/sched.h, `SHUTDOWN_*`).
pub fn shutdown(reason: u32) -> ! {
    const SHUTDOWN: u64 = 2;
    loop {
        // Xen does not come back from it; if it did, there would be nothing better to do.
        let _ = with_argument(reason, |at| hypercall(number::SCHED, SHUTDOWN, at, 0));
    }
}

/// Ends what any vCPU of the domain has in its translation buffer; done when it returns, whether or not they run.
///
/// # Errors
/// Xen's refusal.
pub fn flush_all() -> Result<(), XenError> {
    const FLUSH_TLBS: u64 = 5;
    hypercall(number::HVM, FLUSH_TLBS, 0, 0).map(|_| ())
}

/// Makes a vCPU that does not run yet start in 64-bit mode (Xen public/hvm/hvm_vcpu.h).
///
/// # Errors
/// Xen's refusal.
pub fn start_vcpu(vcpu: u16, context: &VcpuContext) -> Result<(), XenError> {
    const INITIALISE: u64 = 0;
    const UP: u64 = 1;
    vcpu_op(INITIALISE, vcpu, *context)?;
    hypercall(number::VCPU, UP, vcpu.into(), 0).map(|_| ())
}

/// The registers that a vCPU starts with: `vcpu_hvm_context` in 64-bit mode. Segments are flat, all else is 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct VcpuContext {
    mode: u64,
    rax: u64,
    rcx: u64,
    rdx: u64,
    rbx: u64,
    rsp: u64,
    rbp: u64,
    rsi: u64,
    rdi: u64,
    rip: u64,
    rflags: u64,
    cr0: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
    rest: u64,
}

impl VcpuContext {
    /// Starts at `rip` with `argument` in `rdi`; the control registers are the current vCPU's, but for CR3.
    pub fn new(rip: u64, rsp: u64, argument: u64, cr3: u64) -> Self {
        const MODE_64: u64 = 1;
        let [cr0, cr4, efer] = cpu::control();
        Self {
            mode: MODE_64,
            rax: 0,
            rcx: 0,
            rdx: 0,
            rbx: 0,
            rsp,
            rbp: 0,
            rsi: 0,
            rdi: argument,
            rip,
            rflags: 2,
            cr0,
            cr3,
            cr4,
            efer,
            rest: 0,
        }
    }
}

/// Lets another domain or vCPU run for a moment.
pub fn yield_now() {
    // It cannot fail.
    let _ = hypercall(number::SCHED, 0, 0, 0);
}

/// Asks Xen to mark runstate areas while it changes them.
fn mark_runstate_updates() {
    const ENABLE: u64 = 0;
    const RUNSTATE_UPDATE_FLAG: u64 = 5;
    // Where Xen does not know it, its updates are not marked, and the clock reads twice anyway.
    let _ = hypercall(number::VM_ASSIST, ENABLE, RUNSTATE_UPDATE_FLAG, 0);
}

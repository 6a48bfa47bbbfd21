//! Event channels, 2-level (Xen public/event_channel.h): 4096 of them, as bits in the page shared with Xen.
//!
//! A channel that delivered is masked until somebody unmasks it, but for those that are a vCPU's own: its timer's and the
//! one that wakes it. A pending bit of an unmasked channel is always accompanied by a vCPU's pending byte, which is looked at
//! on every way out of the kernel: no event is lost. Whichever vCPU looks first takes an event, but a vCPU's own.

use ::core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::{
    DOMID_SELF, Parameter, XenError, channel_op, has_vcpu_vector, hvm_op, set_parameter, vcpu_op,
};
use crate::machine::descriptors::UPCALL_VECTOR;
use crate::machine::entry::UPCALL_MODE;
use crate::machine::layout::SHARED_INFO;
use crate::machine::local_apic;
use crate::machine::vcpu::Vcpu;

/// Channels of the 2-level ABI.
pub const CHANNELS: u32 = 4096;

const WORDS: usize = 64;

/// The two bit fields of `shared_info`, behind its 32 `vcpu_info`.
#[repr(C)]
struct Bits {
    pending: [AtomicU64; WORDS],
    mask: [AtomicU64; WORDS],
}

const BITS: u64 = 32 * 64;

/// `vcpu_info`, as far as it is used.
#[repr(C)]
struct VcpuInfo {
    pending: AtomicU8,
    mask: AtomicU8,
    selector: AtomicU64,
}

/// The channels that are one vCPU's own.
static OWN: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];

fn bits() -> &'static Bits {
    // SAFETY: the page is mapped before the first event is asked for and stays; Xen and this domain both change it, by
    // atomic operations.
    unsafe { &*((SHARED_INFO + BITS) as *const Bits) }
}

fn info(vcpu: &Vcpu) -> &'static VcpuInfo {
    // SAFETY: as above; the vCPU's shared page begins with the structure.
    unsafe { &*(vcpu.shared.get() as *const VcpuInfo) }
}

/// Masks every channel. To be called once, when `shared_info` is mapped.
pub fn mask_all() {
    for word in &bits().mask {
        word.store(u64::MAX, Ordering::Relaxed);
    }
}

/// Why events could not be set up: the step that Xen refused.
#[derive(Clone, Copy, Debug)]
pub struct NoEvents(pub &'static str, pub XenError);

/// Sets up the upcall and the own channels of the current vCPU.
///
/// # Errors
/// The step that Xen refused.
pub fn start(vcpu: &Vcpu) -> Result<(), NoEvents> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct RegisterInfo {
        page: u64,
        offset: u32,
        reserved: u32,
    }
    const REGISTER_VCPU_INFO: u64 = 10;
    let place = RegisterInfo { page: vcpu.shared_page.get() >> 12, offset: 0, reserved: 0 };
    vcpu_op(REGISTER_VCPU_INFO, vcpu.index(), place)
        .map_err(|e| NoEvents("register_vcpu_info", e))?;
    start_upcall(vcpu)?;
    let timer = bind_virq(0, vcpu.index()).map_err(|e| NoEvents("bind_virq(timer)", e))?;
    vcpu.timer.set(timer);
    own(timer);
    let wake = bind_ipi(vcpu.index()).map_err(|e| NoEvents("bind_ipi", e))?;
    own(wake);
    vcpu.wake.store(wake, Ordering::Release);
    Ok(())
}

/// Makes a channel the current vCPU's own, and lets it deliver.
fn own(channel: u32) {
    if let Some(word) = OWN.get((channel / 64) as usize) {
        word.fetch_or(1 << (channel % 64), Ordering::SeqCst);
    }
    unmask(channel);
}

/// The upcall by the local APIC, a vector for each vCPU; where Xen has no such thing, by one vector that Xen injects.
fn start_upcall(vcpu: &Vcpu) -> Result<(), NoEvents> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct UpcallVector {
        vcpu: u32,
        vector: u8,
    }
    const SET_UPCALL_VECTOR: u64 = 23;
    const BY_VECTOR: u64 = 2 << 56;
    let (acknowledge, callback) = if has_vcpu_vector() {
        let vector = UpcallVector { vcpu: vcpu.index().into(), vector: UPCALL_VECTOR };
        hvm_op(SET_UPCALL_VECTOR, vector).map_err(|e| NoEvents("set_evtchn_upcall_vector", e))?;
        // Not used, but Xen's tools tell a resumed domain that its suspend was cancelled only if this is not 0.
        (local_apic::enable(), 1)
    } else {
        (0, BY_VECTOR | u64::from(UPCALL_VECTOR))
    };
    UPCALL_MODE.acknowledge.store(acknowledge, Ordering::Relaxed);
    set_parameter(Parameter::CallbackIrq, callback).map_err(|e| NoEvents("callback_irq", e))
}

/// Whether an event waits to be taken.
pub fn any_pending(vcpu: &Vcpu) -> bool {
    info(vcpu).pending.load(Ordering::Acquire) != 0
}

/// What an event meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The current vCPU's timer.
    Timer,
    /// A channel; it is masked now.
    Channel(u32),
}

/// Takes every pending event of the current vCPU.
pub fn take(vcpu: &Vcpu, mut event: impl FnMut(Event)) {
    let info = info(vcpu);
    let (timer, wake) = (vcpu.timer.get(), vcpu.wake.load(Ordering::Relaxed));
    info.pending.store(0, Ordering::SeqCst);
    for group in set_bits(info.selector.swap(0, Ordering::SeqCst)) {
        let at = group as usize;
        let (Some(pending), Some(mask), Some(own)) =
            (bits().pending.get(at), bits().mask.get(at), OWN.get(at))
        else {
            continue;
        };
        let own = own.load(Ordering::SeqCst);
        for bit in set_bits(pending.load(Ordering::SeqCst) & !mask.load(Ordering::SeqCst)) {
            let channel = group * 64 + bit;
            if channel == timer {
                pending.fetch_and(!(1 << bit), Ordering::SeqCst);
                event(Event::Timer);
            } else if channel == wake {
                // It made this vCPU look; that is all.
                pending.fetch_and(!(1 << bit), Ordering::SeqCst);
            } else if own & 1 << bit == 0 {
                mask.fetch_or(1 << bit, Ordering::SeqCst);
                pending.fetch_and(!(1 << bit), Ordering::SeqCst);
                event(Event::Channel(channel));
            }
        }
    }
}

/// The numbers of the bits that are set in a word.
fn set_bits(mut word: u64) -> impl Iterator<Item = u32> {
    ::core::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit)
    })
}

/// The words of a channel, and its bit in them.
fn place(channel: u32) -> Option<(&'static AtomicU64, &'static AtomicU64, u64)> {
    let word = (channel / 64) as usize;
    Some((bits().pending.get(word)?, bits().mask.get(word)?, 1 << (channel % 64)))
}

/// Lets a channel deliver again. What came while it was masked is delivered on the way out of the kernel.
pub fn unmask(channel: u32) {
    let Some((pending, mask, bit)) = place(channel) else { return };
    mask.fetch_and(!bit, Ordering::SeqCst);
    if pending.load(Ordering::SeqCst) & bit != 0 {
        let info = info(Vcpu::current());
        info.selector.fetch_or(1 << (channel / 64), Ordering::SeqCst);
        info.pending.store(1, Ordering::SeqCst);
    }
}

/// Masks a channel and forgets what is pending of it.
pub fn silence(channel: u32) {
    let Some((pending, mask, bit)) = place(channel) else { return };
    mask.fetch_or(bit, Ordering::SeqCst);
    pending.fetch_and(!bit, Ordering::SeqCst);
}

fn bind_virq(virq: u32, vcpu: u16) -> Result<u32, XenError> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct BindVirq {
        virq: u32,
        vcpu: u32,
        channel: u32,
    }
    const BIND_VIRQ: u64 = 1;
    channel_op(BIND_VIRQ, BindVirq { virq, vcpu: vcpu.into(), channel: 0 })
        .map(|bound| bound.channel)
}

fn bind_ipi(vcpu: u16) -> Result<u32, XenError> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct BindIpi {
        vcpu: u32,
        channel: u32,
    }
    const BIND_IPI: u64 = 7;
    channel_op(BIND_IPI, BindIpi { vcpu: vcpu.into(), channel: 0 }).map(|bound| bound.channel)
}

/// Lets a channel's events come to a vCPU, if Xen can; else they come to another, which passes them on.
pub fn bind(channel: u32, vcpu: u16) {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct BindVcpu {
        channel: u32,
        vcpu: u32,
    }
    const BIND_VCPU: u64 = 8;
    let _ = channel_op(BIND_VCPU, BindVcpu { channel, vcpu: vcpu.into() });
}

/// Makes another vCPU enter the kernel, if it runs yet.
#[cold]
#[inline(never)]
pub fn wake(vcpu: &Vcpu) {
    let channel = vcpu.wake.load(Ordering::Acquire);
    if channel != 0 {
        send(channel);
    }
}

/// Makes a channel that a peer domain may bind; it is masked.
///
/// # Errors
/// Xen's refusal.
pub fn allocate(peer: u16) -> Result<u32, XenError> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Allocate {
        domain: u16,
        peer: u16,
        channel: u32,
    }
    const ALLOCATE_UNBOUND: u64 = 6;
    channel_op(ALLOCATE_UNBOUND, Allocate { domain: DOMID_SELF, peer, channel: 0 })
        .map(|made| made.channel)
}

/// Closes a channel. It is masked, so that its number starts masked when Xen gives it out again.
pub fn close(channel: u32) {
    const CLOSE: u64 = 3;
    // Xen refuses only what is closed already.
    let _ = channel_op(CLOSE, channel);
    silence(channel);
}

/// Sends a channel's event.
pub fn send(channel: u32) {
    const SEND: u64 = 4;
    // Xen refuses only where nobody is at the other end.
    let _ = channel_op(SEND, channel);
}

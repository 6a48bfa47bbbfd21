//! Event channels, 2-level (Xen public/event_channel.h): 4096 of them, as bits in the page shared with Xen.
//!
//! A channel that delivered is masked until somebody unmasks it, but for the timer's. A pending bit of an unmasked channel
//! is always accompanied by the vCPU's pending byte, which is looked at on every way out of the kernel: no event is lost.

use ::core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::{
    DOMID_SELF, Parameter, XenError, channel_op, has_vcpu_vector, hvm_op, set_parameter, vcpu_op,
};
use crate::machine::descriptors::UPCALL_VECTOR;
use crate::machine::entry::UPCALL_MODE;
use crate::machine::layout::{SHARED_INFO, VCPUS};
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

/// The timer's channel of each vCPU.
static TIMERS: [AtomicU32; VCPUS] = [const { AtomicU32::new(0) }; VCPUS];

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

/// Sets up the upcall and the timer's channel of the current vCPU, whose shared page is at the physical address
/// `shared_page`.
///
/// # Errors
/// The step that Xen refused.
pub fn start(vcpu: &Vcpu, shared_page: u64) -> Result<(), NoEvents> {
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct RegisterInfo {
        page: u64,
        offset: u32,
        reserved: u32,
    }
    const REGISTER_VCPU_INFO: u64 = 10;
    let place = RegisterInfo { page: shared_page >> 12, offset: 0, reserved: 0 };
    vcpu_op(REGISTER_VCPU_INFO, vcpu.index(), place)
        .map_err(|e| NoEvents("register_vcpu_info", e))?;
    start_upcall(vcpu)?;
    let timer = bind_virq(0, vcpu.index()).map_err(|e| NoEvents("bind_virq(timer)", e))?;
    if let Some(place) = TIMERS.get(usize::from(vcpu.index())) {
        place.store(timer, Ordering::Relaxed);
    }
    unmask(timer);
    Ok(())
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
    let timer =
        TIMERS.get(usize::from(vcpu.index())).map_or(0, |timer| timer.load(Ordering::Relaxed));
    info.pending.store(0, Ordering::SeqCst);
    for group in set_bits(info.selector.swap(0, Ordering::SeqCst)) {
        let (Some(pending), Some(mask)) =
            (bits().pending.get(group as usize), bits().mask.get(group as usize))
        else {
            continue;
        };
        for bit in set_bits(pending.load(Ordering::SeqCst) & !mask.load(Ordering::SeqCst)) {
            let channel = group * 64 + bit;
            if channel == timer {
                pending.fetch_and(!(1 << bit), Ordering::SeqCst);
                event(Event::Timer);
            } else {
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

//! The kernel's lock and the ways into sleep, in every order in which two processors can meet, under loom.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p kernel --test orders`
//!
//! What is modelled is said at each model; the model is the protocol, not the code: assembly, interrupts and Xen do not run
//! under loom. Who changes `machine/lock.rs`, `machine/quick.s`, `machine/xen/channels.rs` or the end of `machine/run.rs`
//! changes the model as well.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use loom::thread;

/// The lock's word: taken.
const TAKEN: u32 = 1;
/// Free, for everybody.
const OPEN: u32 = 0;
/// Free, but the quick path must not take it: bit 0 is set, though nobody has it.
const CLOSED: u32 = 3;

/// The lock, and what it keeps: loom finds accesses without order.
struct Lock<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is touched by whoever took the lock alone; loom checks just that.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    fn new(value: T) -> Self {
        Self { word: AtomicU32::new(OPEN), value: UnsafeCell::new(value) }
    }

    fn work<R>(&self, work: impl FnOnce(&mut T) -> R, free: u32) -> R {
        // SAFETY: the caller took the lock.
        let result = self.value.with_mut(|value| work(unsafe { &mut *value }));
        // A plain store in the kernel. Loom would let such a store come before an exchange that read what it overwrites,
        // which no processor does; as an exchange it has its place in the order of all of them.
        self.word.swap(free, Ordering::Release);
        result
    }

    /// The way of Rust code: exchanges until the word was not `TAKEN`.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        self.with_then(work, OPEN)
    }

    fn with_then<R>(&self, work: impl FnOnce(&mut T) -> R, free: u32) -> R {
        while self.word.swap(TAKEN, Ordering::Acquire) == TAKEN {
            thread::yield_now();
        }
        self.work(work, free)
    }

    /// The way of the quick path: `lock bts` once, and a plain move at the end; none if bit 0 was set.
    fn try_quick<R>(&self, work: impl FnOnce(&mut T) -> R) -> Option<R> {
        let taken = self.word.fetch_or(TAKEN, Ordering::Acquire) & TAKEN != 0;
        (!taken).then(|| self.work(work, OPEN))
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn the_quick_path_and_the_core_are_never_in_the_lock_together() {
    check(3, || {
        let lock = Arc::new(Lock::new(0_u32));
        let other = lock.clone();
        let quick = thread::spawn(move || match other.try_quick(|value| *value += 1) {
            Some(()) => (),
            None => other.with(|value| *value += 1),
        });
        lock.with(|value| *value += 1);
        lock.with(|value| *value += 1);
        quick.join().unwrap();
        assert_eq!(lock.with(|value| *value), 3);
    });
}

#[test]
fn two_quick_paths_exclude_each_other_and_none_of_them_waits() {
    check(3, || {
        let lock = Arc::new(Lock::new(0_u32));
        let count = |lock: &Lock<u32>| u32::from(lock.try_quick(|value| *value += 1).is_some());
        let other = lock.clone();
        let there = thread::spawn(move || count(&other));
        let here = count(&lock);
        let both = here + there.join().unwrap();
        assert!(both >= 1);
        assert_eq!(lock.with(|value| *value), both);
    });
}

#[test]
fn a_closed_lock_is_closed_to_the_quick_path_alone() {
    check(3, || {
        let lock = Arc::new(Lock::new(false));
        let other = lock.clone();
        let quick = thread::spawn(move || other.try_quick(|closed| *closed));
        lock.with_then(|closed| *closed = true, CLOSED);
        // Nobody gets in by the quick path once it is closed, and it does not spoil the word.
        assert_ne!(quick.join().unwrap(), Some(true));
        assert_eq!(lock.try_quick(|_| ()), None);
        lock.with(|closed| *closed = false);
        assert_eq!(lock.try_quick(|closed| *closed), Some(false));
    });
}

/// What each locked instruction of an x86 is besides; loom takes `SeqCst` for less.
fn locked<R>(instruction: R) -> R {
    fence(Ordering::SeqCst);
    instruction
}

/// What Xen and a vCPU share of event channels: one word of channels (2-level ABI) and the interrupt that Xen injects.
#[derive(Default)]
struct Events {
    pending: AtomicU64,
    mask: AtomicU64,
    selector: AtomicU64,
    upcall: AtomicBool,
    interrupt: AtomicBool,
}

impl Events {
    /// Xen delivers an event: bit, selector, pending byte, in this order; an interrupt if the byte was 0.
    fn deliver(&self, channel: u64) {
        let old = locked(self.pending.fetch_or(1 << channel, Ordering::SeqCst));
        let masked = self.mask.load(Ordering::SeqCst) >> channel & 1 != 0;
        let already = old >> channel & 1 != 0;
        if !masked && !already && locked(self.selector.fetch_or(1, Ordering::SeqCst)) & 1 == 0 {
            self.upcall_pending();
        }
    }

    fn upcall_pending(&self) {
        if !locked(self.upcall.swap(true, Ordering::SeqCst)) {
            self.interrupt.store(true, Ordering::SeqCst);
        }
    }

    /// The kernel takes what there is; the channels, each masked from here on.
    fn take(&self) -> u64 {
        locked(self.upcall.swap(false, Ordering::SeqCst));
        if locked(self.selector.swap(0, Ordering::SeqCst)) == 0 {
            return 0;
        }
        let taken = self.pending.load(Ordering::SeqCst) & !self.mask.load(Ordering::SeqCst);
        locked(self.mask.fetch_or(taken, Ordering::SeqCst));
        locked(self.pending.fetch_and(!taken, Ordering::SeqCst));
        taken
    }

    /// The kernel lets a channel deliver again, and looks whether it did meanwhile.
    fn unmask(&self, channel: u64) {
        locked(self.mask.fetch_and(!(1 << channel), Ordering::SeqCst));
        if self.pending.load(Ordering::SeqCst) >> channel & 1 != 0 {
            locked(self.selector.fetch_or(1, Ordering::SeqCst));
            locked(self.upcall.swap(true, Ordering::SeqCst));
        }
    }

    fn any(&self) -> bool {
        self.upcall.load(Ordering::SeqCst)
    }

    /// Everything up to `sti; hlt`, with interrupts off: takes events until there are none.
    fn until_idle(&self) -> u64 {
        let mut taken = 0;
        while self.any() {
            taken |= self.take();
        }
        taken
    }

    /// `sti; hlt`: sleeps unless an interrupt is there; none can come in between, for `sti` takes effect after `hlt`.
    fn sleeps(&self) -> bool {
        !self.interrupt.load(Ordering::SeqCst)
    }
}

#[test]
fn no_event_is_lost_between_the_last_look_and_the_halt() {
    check(4, || {
        let events = Arc::new(Events::default());
        let xen = events.clone();
        let delivering = thread::spawn(move || {
            xen.deliver(0);
            xen.deliver(1);
        });
        let taken = events.until_idle();
        let halted = events.sleeps();
        delivering.join().unwrap();
        // What was not taken before has an interrupt, which wakes the vCPU however deep it sleeps.
        let left = 0b11 & !taken;
        assert!(left == 0 || !events.sleeps(), "{left:#b} is lost; halted: {halted}");
    });
}

#[test]
fn no_event_is_lost_between_the_last_look_and_unmasking() {
    check(4, || {
        let events = Arc::new(Events::default());
        events.mask.store(1, Ordering::SeqCst);
        let xen = events.clone();
        let delivering = thread::spawn(move || xen.deliver(0));
        events.unmask(0);
        let taken = events.until_idle();
        delivering.join().unwrap();
        assert!(taken == 1 || !events.sleeps(), "the event is lost");
    });
}

/// What the core knows of a server and its inbox.
#[derive(Default)]
struct Inbox {
    bits: u64,
    parked: bool,
    ready: bool,
}

/// The channel by which one vCPU makes another look at its run queue.
const KICK: u64 = 0;

#[test]
fn no_notification_is_lost_between_the_last_look_and_parking() {
    check(4, || {
        let kernel = Arc::new(Lock::new(Inbox::default()));
        let events = Arc::new(Events::default());
        let (other, there) = (kernel.clone(), events.clone());
        let notifying = thread::spawn(move || {
            other.with(|inbox| {
                inbox.bits |= 1;
                if std::mem::take(&mut inbox.parked) {
                    inbox.ready = true;
                    there.deliver(KICK);
                }
            });
        });
        // The server waits, and its vCPU has nothing else to do.
        let mut got = kernel.with(|inbox| {
            inbox.parked = inbox.bits == 0;
            std::mem::take(&mut inbox.bits)
        });
        if got == 0 {
            let kicked = events.until_idle();
            let ready = kernel.with(|inbox| inbox.ready);
            got = u64::from(kicked != 0 && ready);
        }
        notifying.join().unwrap();
        let wakes = !events.sleeps() && kernel.with(|inbox| inbox.ready);
        assert!(got != 0 || wakes, "the server sleeps for ever");
    });
}

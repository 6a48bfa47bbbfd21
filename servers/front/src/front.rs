//! [`Front`]: the device's task, and the bits that move it on.

use alloc::boxed::Box;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Waker};

use abi::trap::{BIT_TIMER, BIT_WORLD};
use abi::{Handle, Traps};
use ipc::Wire;

use crate::desk::Desk;
use crate::device;
use crate::kernel::Kernel;
use crate::store::Store;
use crate::{Driver, Place};

/// Most answers and events of xenstore that are collected in one turn.
const COLLECTED: usize = 32;
/// A time that has passed: the timer's bit comes with the next wait.
const AT_ONCE: u64 = 1;

/// What a front end is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The wire to xenstore.
    pub store: Wire,
    /// The port for the rings.
    pub port: Handle,
    /// The window for the pages.
    pub window: Handle,
    /// References in the window.
    pub references: u32,
    /// Where the device is.
    pub place: Place,
}

/// What a driver's turn at its rings came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    /// Ring the client.
    pub ring_client: bool,
    /// Ring the backend.
    pub ring_backend: bool,
    /// There is more to do at once.
    pub has_more: bool,
    /// The backend broke the rules.
    pub is_broken: bool,
}

/// A driver's front end: finds the device, connects it, and follows it.
pub struct Front<T> {
    traps: T,
    port: Handle,
    store: Store<T>,
    store_bits: u64,
    kernel: Kernel<T>,
    desk: Desk,
    task: Pin<Box<dyn Future<Output = Infallible>>>,
    /// What the timer is set to; 0 when it is not.
    timer: u64,
    /// More waits at xenstore than one turn collects.
    has_more: bool,
}

impl<T: Traps + 'static> Front<T> {
    /// A front end for `driver`. Nothing happens before [`Self::start`].
    #[must_use]
    pub fn new<D: Driver + 'static>(traps: T, setup: Setup, driver: Rc<RefCell<D>>) -> Self {
        let desk = Desk::default();
        let store = Store::new(traps, setup.store, desk.clone());
        let kernel = Kernel::new(traps, setup.port, setup.window, setup.references);
        let device = device::Task::new(store.clone(), kernel, desk.clone(), driver, setup.place);
        let task = Box::pin(device.run());
        let (port, store_bits) = (setup.port, setup.store.bits);
        Self { traps, port, store, store_bits, kernel, desk, task, timer: 0, has_more: false }
    }

    /// Begins; to be called once, before the first wait.
    pub fn start(&mut self) {
        self.poll();
        self.settle(false);
    }

    /// Takes what a wait returned. Afterwards look at the rings, then [`Self::finish`].
    pub fn bits(&mut self, bits: u64) {
        if bits & BIT_WORLD != 0 {
            self.desk.put_world();
        }
        if bits & BIT_TIMER != 0 {
            self.timer = 0;
            self.desk.pass(self.kernel.now());
        }
        if bits & self.store_bits != 0 || self.has_more {
            self.collect();
        }
        self.poll();
    }

    /// Ends a turn: rings whom to ring, the client by `bell`, and sets the timer.
    pub fn finish(&mut self, turn: Turn, bell: Handle) {
        if turn.is_broken {
            self.desk.put_broken();
            self.poll();
        }
        if turn.ring_backend {
            self.traps.notify(self.port);
        }
        if turn.ring_client {
            self.traps.notify(bell);
        }
        self.settle(turn.has_more);
    }

    /// Sets the timer. With `is_busy` the next wait returns at once.
    fn settle(&mut self, is_busy: bool) {
        let is_busy = is_busy || self.has_more;
        let at = if is_busy { AT_ONCE } else { self.desk.deadline().unwrap_or(0) };
        if at != self.timer {
            self.timer = at;
            self.kernel.timer(at);
        }
    }

    fn collect(&mut self) {
        self.has_more = true;
        for _ in 0..COLLECTED {
            if !self.store.collect() {
                self.has_more = false;
                return;
            }
            self.poll();
        }
    }

    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        // It never ends, so there is nothing to be told.
        let _ = self.task.as_mut().poll(&mut context);
    }
}

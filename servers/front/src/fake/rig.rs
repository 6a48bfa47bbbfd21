//! [`Rig`]: a driver's end of everything, and the test's hold on it.

use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abi::trap::{BIT_CONTROL, BIT_TIMER};
use abi::{Badge, Call, Handle, Message};
use ipc::Wire;
use ipc::loopback::{End, Loopback};
use ipc::serve::{Serve, handle};
use shared::HostMemory;

use super::{Machine, Tree};

/// The wire to xenstore.
pub const STORE: Handle = Handle(3);
/// The port.
pub const PORT: Handle = Handle(4);
/// The window.
pub const WINDOW: Handle = Handle(5);
/// The client's bell.
const BELL: Handle = Handle(6);

const STORE_BIT: u64 = 2;
const PORT_BIT: u64 = 1;
const CLIENT_BIT: u64 = 4;
/// Most turns until a driver must have come to rest.
const TURNS: usize = 5000;

/// A driver's surroundings.
pub struct Rig {
    driver: End,
    tree: Arc<Mutex<Tree>>,
    machine: Arc<Mutex<Machine>>,
    store: Wire,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer of `dispatch` to a message.
fn answer(message: Message, dispatch: impl FnOnce(&Call) -> Option<abi::Answer>) -> Message {
    let call = Call { token: abi::Token::NONE, badge: Badge::default(), message };
    dispatch(&call).expect("these answer at once").message
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Rig {
    /// New surroundings: an empty xenstore, a kernel where nothing is open.
    #[must_use]
    pub fn new() -> Self {
        let loopback = Loopback::new();
        let driver = loopback.end();
        let (up, down) = (HostMemory::leak(2), HostMemory::leak(2));
        let tree = Arc::new(Mutex::new(Tree::new(up, down)));
        let machine = Arc::new(Mutex::new(Machine::default()));
        let own = machine.clone();
        loopback.kernel(&driver, Handle::OWN, move |message| {
            answer(message, |call| abi::kernel::own::dispatch(&mut *lock(&own), call))
        });
        let port = machine.clone();
        loopback.kernel(&driver, PORT, move |message| {
            answer(message, |call| abi::kernel::port::dispatch(&mut *lock(&port), call))
        });
        let window = machine.clone();
        loopback.kernel(&driver, WINDOW, move |message| {
            answer(message, |call| abi::kernel::window::dispatch(&mut *lock(&window), call))
        });
        let server = tree.clone();
        loopback.kernel(&driver, STORE, move |message| {
            answer(message, |call| ipc::xenstore::dispatch(&mut *lock(&server), call))
        });
        let store = Wire { handle: STORE, bits: STORE_BIT, up, down };
        Self { driver, tree, machine, store }
    }

    /// The driver's traps.
    #[must_use]
    pub fn traps(&self) -> End {
        self.driver
    }

    /// The driver's wire to xenstore.
    #[must_use]
    pub fn store(&self) -> Wire {
        self.store
    }

    /// The driver's wire to its client, with this memory.
    #[must_use]
    pub fn client(&self, up: shared::Memory, down: shared::Memory) -> Wire {
        Wire { handle: BELL, bits: CLIENT_BIT, up, down }
    }

    /// The xenstore.
    pub fn tree(&self) -> MutexGuard<'_, Tree> {
        lock(&self.tree)
    }

    /// The kernel.
    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.machine)
    }

    /// How often the driver rang its client.
    #[must_use]
    pub fn rings(&self) -> u32 {
        self.driver.notified(BELL)
    }

    /// How often the driver sent its port's event.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.driver.notified(PORT)
    }

    /// The client rings the driver.
    pub fn ring(&self) {
        self.driver.set_bits(CLIENT_BIT);
    }

    /// The backend sends the port's event, if the port is open.
    pub fn send_event(&self) {
        if self.machine().is_open {
            self.driver.set_bits(PORT_BIT);
        }
    }

    /// The domain goes on elsewhere.
    pub fn move_world(&self) {
        self.driver.set_bits(abi::trap::BIT_WORLD);
    }

    /// Lets the driver run until it has nothing to do; says how many turns it took.
    ///
    /// # Panics
    /// When it does not come to rest.
    pub fn run(&self, server: &mut impl Serve) -> usize {
        for turn in 0..TURNS {
            self.arrive();
            let Some(event) = self.driver.poll() else { return turn };
            assert_eq!(event.bits & BIT_CONTROL, 0);
            assert!(handle(&self.driver, server, event).is_none());
        }
        panic!("the driver does not come to rest");
    }

    /// Sets the bits that are due.
    fn arrive(&self) {
        if self.tree().has_news() {
            self.driver.set_bits(STORE_BIT);
        }
        let mut machine = self.machine();
        if machine.timer != 0 && machine.timer <= machine.now.max(1) {
            machine.timer = 0;
            drop(machine);
            self.driver.set_bits(BIT_TIMER);
        }
    }

    /// Lets time pass up to the next timer, if one is set, then runs.
    pub fn sleep(&self, server: &mut impl Serve) -> bool {
        let timer = self.machine().timer;
        if timer == 0 {
            return false;
        }
        self.machine().now = timer;
        self.run(server);
        true
    }

    /// Makes a device as the toolstack does: `class` and `number`, in states 1 and 2.
    pub fn plug(&self, class: &str, number: u32, nodes: &[(&str, &str)]) -> (String, String) {
        let own = std::format!("device/{class}/{number}");
        let backend = std::format!("/local/domain/0/backend/{class}/1/{number}");
        let mut tree = self.tree();
        for (name, text) in nodes.iter().chain(&[("online", "1"), ("state", "2")]) {
            tree.set(&std::format!("{backend}/{name}"), text);
        }
        tree.set(&std::format!("{own}/state"), "1");
        tree.set(&std::format!("{own}/backend"), &backend);
        drop(tree);
        (own, backend)
    }
}

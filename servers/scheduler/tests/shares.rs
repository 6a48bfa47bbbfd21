//! The scheduler over a kernel that counts: what is due, what was overdrawn, and who may be weighed.
#![allow(missing_docs)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use abi::kernel::control::{Client, Error, MAX_PERIOD, NO_SERVER};
use abi::{Answer, Badge, Event, Handle, Message, Status, Traps};
use ipc::scheduler::Server;
use scheduler::Scheduler;

const MS: u64 = 1_000_000;
const ROUND: u64 = 30 * MS;

#[derive(Default)]
struct Account {
    used: u64,
    /// What it may use still.
    left: u64,
    stopped: bool,
    /// It has no server.
    empty: bool,
}

/// A kernel that lets slots 1 to 3 be managed; slot `n` has server `n + 10`.
#[derive(Clone, Copy)]
struct Kernel(&'static RefCell<BTreeMap<u16, Account>>);

impl Kernel {
    fn new() -> Self {
        let accounts = [1, 2, 3].map(|slot| (slot, Account::default()));
        Self(Box::leak(Box::new(RefCell::new(accounts.into()))))
    }

    /// Each child uses all that it may, and `over` more.
    fn run(self, over: impl Fn(u16) -> u64) {
        for (slot, account) in self.0.borrow_mut().iter_mut() {
            if account.left > 0 && !account.stopped {
                account.used += account.left + over(*slot);
                account.left = 0;
            }
        }
    }

    fn used(self) -> [u64; 3] {
        [1, 2, 3].map(|slot| self.0.borrow()[&slot].used)
    }

    fn scheduler(self, weights: [u32; 3]) -> Scheduler<Self> {
        let children = (1..).zip(weights);
        Scheduler::new(Client::new(self, Handle(5)), ROUND, children)
    }
}

impl Traps for Kernel {
    fn call(&self, _: Handle, message: Message) -> (Status, Message) {
        let [object, budget, period, ..] = message.words;
        let (slot, server) = (object as u16, (object as u16).wrapping_sub(10));
        let mut accounts = self.0.borrow_mut();
        let number = if message.label == 7 || message.label == 33 { server } else { slot };
        let Some(account) = accounts.get_mut(&number) else {
            return (Status::Ok, Message::new(Error::NotAllowed as u64, [0; 5]));
        };
        let words = match message.label {
            7 => {
                account.stopped = true;
                [0; 5]
            }
            33 => {
                account.stopped = false;
                [0; 5]
            }
            27 => {
                assert_eq!(period, MAX_PERIOD);
                account.left = budget;
                [0; 5]
            }
            28 => [0, 0, account.used, 0, 0],
            30 => {
                let server = if account.empty { NO_SERVER } else { slot + 10 };
                [2, server.into(), 60, 9, 0]
            }
            other => panic!("method {other}"),
        };
        (Status::Ok, Message::new(0, words))
    }
    fn reply_wait(&self, _: Option<Answer>) -> Event {
        panic!("a scheduler does not wait in the middle")
    }
    fn reply(&self, _: Answer) {}
    fn notify(&self, _: Handle) {}
}

#[test]
fn shares_follow_the_weights_whatever_is_overdrawn() {
    let kernel = Kernel::new();
    let mut scheduler = kernel.scheduler([1, 2, 3]);
    for round in 0..1000_u64 {
        scheduler.begin_round();
        kernel.run(|slot| (round * 7 + u64::from(slot) * 13) % 5 * MS / 2);
    }
    let used = kernel.used();
    let whole: u64 = used.iter().sum();
    for (used, weight) in used.into_iter().zip(1..) {
        let due = whole * weight / 6;
        assert!(used.abs_diff(due) * 100 < due, "{used} of {whole}, due {due}");
    }
    assert!(whole.abs_diff(1000 * ROUND * 8 / 10) < 20 * MS);
}

#[test]
fn what_is_left_over_is_kept_for_one_round_only() {
    let kernel = Kernel::new();
    let mut scheduler = kernel.scheduler([1, 1, 1]);
    (0..10).for_each(|_| scheduler.begin_round());
    kernel.run(|_| 0);
    assert_eq!(kernel.used(), [2 * 8 * MS; 3]);
}

#[test]
fn a_child_without_weight_is_stopped_and_goes_on() {
    let kernel = Kernel::new();
    let mut scheduler = kernel.scheduler([1, 1, 1]);
    scheduler.weigh(Badge::default(), 2, 0).unwrap();
    assert!(kernel.0.borrow()[&2].stopped);
    scheduler.opened(2);
    for _ in 0..10 {
        scheduler.begin_round();
        kernel.run(|_| 0);
    }
    assert_eq!(kernel.used()[1], 0);
    scheduler.weigh(Badge::default(), 2, 3).unwrap();
    assert!(!kernel.0.borrow()[&2].stopped);
    kernel.run(|_| 0);
    assert!(kernel.used()[1] > 0);
}

#[test]
fn a_new_incarnation_of_a_stopped_child_is_stopped_too() {
    let kernel = Kernel::new();
    let scheduler = kernel.scheduler([0, 1, 1]);
    kernel.0.borrow_mut().get_mut(&1).unwrap().empty = true;
    scheduler.opened(1);
    assert!(!kernel.0.borrow()[&1].stopped, "it has no server");
    kernel.0.borrow_mut().get_mut(&1).unwrap().empty = false;
    scheduler.opened(1);
    assert!(kernel.0.borrow()[&1].stopped);
}

#[test]
fn whom_the_kernel_does_not_give_it_it_cannot_weigh() {
    let mut scheduler = Kernel::new().scheduler([1, 1, 1]);
    for slot in [0, 4, 99] {
        let refused = scheduler.weigh(Badge::default(), slot, 0);
        assert_eq!(refused, Err(ipc::scheduler::Error::NotAllowed), "{slot}");
    }
}

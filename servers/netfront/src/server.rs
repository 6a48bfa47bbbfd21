//! [`Netfront`]: the server: bits and calls.

use alloc::rc::Rc;
use core::cell::RefCell;

use abi::{Answer, Badge, Call, Handle, Traps};
use front::{Front, Setup};
use ipc::nic::{self, Error};
use ipc::serve::Serve;

use crate::Card;

/// The driver of a network device.
pub struct Netfront<T> {
    /// The client's bell.
    bell: Handle,
    front: Front<T>,
    card: Rc<RefCell<Card>>,
}

impl<T: Traps + 'static> Netfront<T> {
    /// A driver for the client behind `bell`. Nothing happens before [`Self::start`].
    #[must_use]
    pub fn new(traps: T, setup: Setup, bell: Handle, card: Card) -> Self {
        let card = Rc::new(RefCell::new(card));
        Self { bell, front: Front::new(traps, setup, card.clone()), card }
    }

    /// Begins; to be called once, before the first wait.
    pub fn start(&mut self) {
        self.front.start();
    }
}

impl<T: Traps + 'static> Serve for Netfront<T> {
    fn bits(&mut self, bits: u64) {
        self.front.bits(bits);
        let turn = self.card.borrow_mut().turn();
        self.front.finish(turn, self.bell);
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        nic::dispatch(self, call)
    }

    fn closed(&mut self, _: Badge) {
        self.card.borrow_mut().close();
    }
}

impl<T: Traps + 'static> nic::Server for Netfront<T> {
    fn open(&mut self, _: Badge) -> Result<(u64, u32), Error> {
        self.card.borrow_mut().open().ok_or(Error::NotReady)
    }

    fn link(&mut self, _: Badge) -> Result<bool, Error> {
        Ok(self.card.borrow().is_online())
    }
}

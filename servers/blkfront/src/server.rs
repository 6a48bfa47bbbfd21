//! [`Blkfront`]: the server: bits and calls.

use alloc::rc::Rc;
use core::cell::RefCell;

use abi::{Answer, Badge, Call, Handle, Traps};
use front::{Front, Setup};
use ipc::block::{self, Error};
use ipc::serve::Serve;

use crate::Drive;

/// The driver of a disk.
pub struct Blkfront<T> {
    /// The client's bell.
    bell: Handle,
    front: Front<T>,
    drive: Rc<RefCell<Drive>>,
}

impl<T: Traps + 'static> Blkfront<T> {
    /// A driver for the client behind `bell`. Nothing happens before [`Self::start`].
    #[must_use]
    pub fn new(traps: T, setup: Setup, bell: Handle, drive: Drive) -> Self {
        let drive = Rc::new(RefCell::new(drive));
        Self { bell, front: Front::new(traps, setup, drive.clone()), drive }
    }

    /// Begins; to be called once, before the first wait.
    pub fn start(&mut self) {
        self.front.start();
    }
}

impl<T: Traps + 'static> Serve for Blkfront<T> {
    fn bits(&mut self, bits: u64) {
        self.front.bits(bits);
        let turn = self.drive.borrow_mut().turn();
        self.front.finish(turn, self.bell);
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        block::dispatch(self, call)
    }

    fn closed(&mut self, _: Badge) {
        self.drive.borrow_mut().close();
    }
}

impl<T: Traps + 'static> block::Server for Blkfront<T> {
    fn open(&mut self, _: Badge) -> Result<(u64, u32, bool, bool), Error> {
        let disk = self.drive.borrow_mut().open()?;
        Ok((disk.sectors, disk.sector_size, disk.is_read_only, disk.can_flush))
    }
}

//! A disk in memory: serves `block` to one client from `size` pages of its heap, which are zeros at first.
//!
//! Every index and length comes from the client and is checked; a request is answered when it was done.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use abi::{Answer, Badge, Call};
use ipc::Wire;
use ipc::block::{
    self, Complete, DATA_PAGES, Error, FLUSH, INVALID, OK, QUEUE, READ, REQUEST_PAGES, Request,
    SECTOR, UNSUPPORTED, WRITE,
};
use ipc::serve::{Serve, serve};
use shared::PAGE;
use shared::queue::Server;

ipc::wiring! {
    serves { 0 => ipc::block }
    clients 1;
    needs { log: ipc::log }
    windows { none: 1 }
    stack 16;
    heap 64;
}

struct Disk {
    wire: Wire,
    bytes: Vec<u8>,
    queue: Option<Server<Request, Complete>>,
}

impl Disk {
    /// Does what is asked for, as far as the queue is sound.
    fn turn(&mut self) -> Option<()> {
        loop {
            let queue = self.queue.as_mut()?;
            while let Some(request) = queue.take().ok()? {
                let status = work(&mut self.bytes, queue, &request);
                queue.answer(&Complete { id: request.id, status }).ok()?;
            }
            if queue.publish() {
                self.wire.ring(&rt::Trap);
            }
            if !queue.arm().ok()? {
                return Some(());
            }
        }
    }
}

/// Does a request; gives its status.
fn work(bytes: &mut [u8], queue: &Server<Request, Complete>, request: &Request) -> u32 {
    let Request { operation, sector, sectors, page, .. } = *request;
    if !matches!(operation, READ | WRITE) {
        return if operation == FLUSH { OK } else { UNSUPPORTED };
    }
    let length = sectors as usize * SECTOR as usize;
    let pages = length.div_ceil(PAGE) as u32;
    let inside = page.checked_add(pages).is_some_and(|end| end <= DATA_PAGES);
    let first = usize::try_from(sector).ok().and_then(|sector| sector.checked_mul(SECTOR as usize));
    let place = first.and_then(|first| bytes.get_mut(first..first.checked_add(length)?));
    match place {
        Some(place) if inside && sectors != 0 && pages <= REQUEST_PAGES => {
            let at = page as usize * PAGE;
            if operation == READ {
                queue.down().copy_to(at, place);
            } else {
                queue.up().copy_from(at, place);
            }
            OK
        }
        _ => INVALID,
    }
}

impl Serve for Disk {
    fn bits(&mut self, _: u64) {
        if self.turn().is_none() {
            self.queue = None;
        }
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        block::dispatch(self, call)
    }
}

impl block::Server for Disk {
    fn open(&mut self, _: Badge) -> Result<(u64, u32, bool, bool), Error> {
        let Wire { up, down, .. } = self.wire;
        let mut queue = Server::open(QUEUE, up, down).map_err(|_| Error::NotReady)?;
        while let Ok(Some(_)) = queue.take() {
            queue.forget(1);
        }
        let _ = queue.publish();
        let _ = queue.arm();
        self.queue = Some(queue);
        Ok((self.bytes.len() as u64 / SECTOR, SECTOR as u32, false, true))
    }
}

fn run() -> ! {
    let pages = rt::start().config("size").and_then(|size| size.parse().ok()).unwrap_or(0_usize);
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(pages * PAGE).is_err() {
        rt::log!("ramdisk: the heap is too small for {pages} pages");
        rt::exit(1);
    }
    bytes.resize(pages * PAGE, 0);
    serve(rt::Trap, &mut Disk { wire: rt::client(wiring::NUMBERS, 0), bytes, queue: None })
}

rt::main!(run);

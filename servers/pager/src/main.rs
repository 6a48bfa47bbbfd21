//! A pager, wired: its regions, its children, the kernel.
//!
//! Configuration: `frames`, pages in memory; `image`, how many of them are the image that its children begin with (each word
//! of it is its own place times [`STEP`]). The lines `managed.SLOT=NAME PAGES` are the packer's.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use abi::kernel::control::{Access, Client};
use abi::layout::{FILLED, PAGE};
use abi::{Answer, Badge, Call, CallError, Traps, Word};
use ipc::serve::{Serve, serve};
use pager::pager::{Machine, Pager};
use pager::store::Store;
use rt::Trap;

ipc::wiring! {
    needs { log: ipc::log, disk: ipc::block }
    control kernel;
    stack 16;
    heap 64;
}

/// What a word of the image is divided by its place.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

type Refused = CallError<abi::kernel::control::Error>;

/// The kernel, and the regions of frames and image.
struct Kernel {
    control: Client<Trap>,
    frames: u16,
    image: u16,
}

impl Kernel {
    fn map_page(
        &self,
        server: u16,
        region: u16,
        page: u64,
        of: u32,
        access: Access,
    ) -> Result<(), Refused> {
        let count = 1 | (access.to_word() as u32) << 16;
        self.control.map(server, region, FILLED + page * PAGE, of, count).map(|_| ())
    }

    /// Makes a region and maps it for the pager itself, from page `at` on.
    fn region(&self, pages: u32, at: u32) -> Result<u16, Refused> {
        let slot = rt::start().header.slot;
        let region = self.control.region_create(slot, pages, 0)?;
        while self.control.region_extend(region)? != 0 {}
        let (_, own, ..) = self.control.slot_info(slot)?;
        for page in 0..pages {
            self.map_page(own, region, u64::from(at + page), page, Access::Write)?;
        }
        Ok(region)
    }

    /// Seals a region, which the pager may read from then on.
    fn seal(&self, region: u16, pages: u32, at: u32) -> Result<(), Refused> {
        let (_, own, ..) = self.control.slot_info(rt::start().header.slot)?;
        for page in 0..pages {
            self.control.unmap(own, FILLED + u64::from(at + page) * PAGE, 1)?;
        }
        self.control.region_seal(region)?;
        (0..pages).try_for_each(|page| {
            self.map_page(own, region, u64::from(at + page), page, Access::Read)
        })
    }
}

impl Machine for Kernel {
    fn map(&mut self, server: u16, page: usize, frame: Option<usize>, writable: bool) -> bool {
        let (region, of) = frame.map_or((self.image, page), |frame| (self.frames, frame));
        let access = if writable { Access::Write } else { Access::Read };
        self.map_page(server, region, page as u64, of as u32, access).is_ok()
    }

    fn unmap(&mut self, server: u16, page: usize) {
        let _ = self.control.unmap(server, FILLED + page as u64 * PAGE, 1);
    }
}

struct Server(Pager<Kernel, Trap>);

impl Server {
    fn turn(&mut self) {
        self.0.turn(|answer| Trap.reply(answer));
    }
}

impl Serve for Server {
    fn bits(&mut self, _: u64) {
        self.turn();
    }

    fn call(&mut self, call: &Call) -> Option<Answer> {
        Some(Answer::protocol_error(call.token, abi::interface::UNKNOWN_METHOD))
    }

    fn fault(&mut self, fault: &Call) -> Option<Answer> {
        let decision = self.0.fault(fault);
        self.turn();
        decision
    }

    fn closed(&mut self, client: Badge) {
        self.0.closed(client.client());
    }
}

fn number(key: &str) -> u32 {
    rt::start().config(key).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Makes everything ready; `None` if something is missing.
fn begin() -> Option<Server> {
    let (frames, image) = (number("frames"), number("image"));
    let control = Client::new(Trap, wiring::kernel);
    let mut kernel = Kernel { control, frames: 0, image: 0 };
    let own = frames.checked_sub(image)?;
    kernel.frames = kernel.region(own, 0).ok()?;
    kernel.image = kernel.region(image, own).ok()?;
    let picture = rt::filled(own, image);
    for place in 0..picture.len() / 8 {
        picture.write(place * 8, &(place as u64).wrapping_mul(STEP));
    }
    kernel.seal(kernel.image, image, own).ok()?;
    let child = |(key, value): (&str, &str)| {
        let pages = value.rsplit(' ').next()?.parse::<usize>().ok()?;
        Some((key.strip_prefix("managed.")?.parse::<u16>().ok()?, pages))
    };
    let children: Vec<(u16, usize)> = rt::start().lines().filter_map(child).collect();
    let pages: usize = children.iter().map(|(_, pages)| pages).sum();
    rt::log!("pager: {own} frames and {image} pages of image for {pages} pages");
    let store = Store::new(Trap, rt::need(wiring::disk), pages as u64);
    let mut server = Server(Pager::new((kernel, store), (rt::filled(0, own), picture), children));
    // Faults may come before the disk is ready; those that need it wait for its bell.
    server.turn();
    Some(server)
}

fn run() -> ! {
    match begin() {
        Some(mut server) => serve(Trap, &mut server),
        None => {
            rt::log!("pager: memory is missing");
            rt::exit(1)
        }
    }
}

rt::main!(run);

//! Servers made of the supervisor's own code: the same pages of the boot image, another address space.

use abi::kernel::control::{
    Access, Client, HandleKind, REGION_IMAGE, REGIONS_FIXED, SUPERVISOR_SERVER, SlotState, WIRE,
};
use abi::layout::{PAGE, SHARED, STACK_END};
use abi::{Handle, Word};
use rt::Trap;

use crate::board::PAGES;
use crate::roles::{Role, begin};

/// Pages of a stack.
const STACK: u32 = 8;
/// Entries of a handle table.
const HANDLES: u16 = 4;

/// The kernel.
pub fn control() -> Client<Trap> {
    Client::new(Trap, Handle::CONTROL)
}

/// A place for a measured server.
#[derive(Clone, Copy)]
pub struct Place {
    /// Its slot.
    pub slot: u16,
    /// What its handles 1 to 3 lead to: kind and slot.
    pub handles: [(HandleKind, u16); 3],
    /// The region of its stack.
    pub stack: u16,
}

/// Ends the run: something that must work does not.
pub fn must<T, E>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|_| {
        crate::tell(format_args!("meter: failed: {what}"));
        crate::end()
    })
}

/// Makes a region, with its memory.
pub fn region(pages: u32, flags: u32) -> u16 {
    let region = must(control().region_create(0, pages, flags), "a region");
    while must(control().region_extend(region), "memory") != 0 {}
    region
}

/// Makes the board and maps it for the supervisor.
pub fn board() -> u16 {
    let board = region(PAGES, WIRE);
    map(SUPERVISOR_SERVER, board, SHARED, (0, PAGES), Access::Write);
    board
}

fn map(server: u16, region: u16, address: u64, (first, count): (u32, u32), access: Access) {
    let mut done = 0;
    while done < count {
        let part = (count - done) | (access.to_word() as u32) << 16;
        let at = address + u64::from(done) * PAGE;
        done += must(control().map(server, region, at, first + done, part), "a mapping");
    }
}

impl Place {
    /// Sets its slot up.
    pub fn new(slot: u16, priority: u8, handles: [(HandleKind, u16); 3]) -> Self {
        must(control().slot_configure(slot, priority, 0), "a slot");
        must(control().slot_state(slot, SlotState::Up), "a slot");
        Self { slot, handles, stack: region(STACK, 0) }
    }

    /// Fills it with a server that does nothing yet: address space, handles, memory.
    pub fn create(&self, board: u16) -> u16 {
        let server = must(control().server_create(self.slot, HANDLES), "a server");
        for (index, (kind, slot)) in (1..).zip(self.handles) {
            let target = kind.to_word() | u64::from(slot) << 16 | u64::from(self.slot) << 32;
            if kind != HandleKind::Empty {
                must(control().handle_install(server, index, target, 1), "a handle");
            }
        }
        let header = must(abi::image::Header::fields(rt::boot().image), "the image");
        for segment in header.segments.iter().flatten() {
            let pages = segment.pages as u32;
            if segment.access == Access::Write {
                // The supervisor's own data, for the constants in it: the first region that the kernel made for it.
                map(server, REGIONS_FIXED, segment.address, (0, pages), Access::Read);
            } else {
                let first = (segment.offset / PAGE) as u32;
                map(server, REGION_IMAGE, segment.address, (first, pages), segment.access);
            }
        }
        let stack = STACK_END - u64::from(STACK) * PAGE;
        map(server, self.stack, stack, (0, STACK), Access::Write);
        map(server, board, SHARED, (0, PAGES), Access::Write);
        server
    }
}

/// Starts a server in a role.
pub fn start(server: u16, role: Role) {
    let entry = begin as extern "C" fn(u64) -> ! as usize as u64;
    // As behind a call: the address that a function would return to is pushed.
    must(control().thread_start(server, entry, STACK_END - 8, role as u64), "a start");
}

/// Takes a server apart.
pub fn destroy(server: u16) {
    while !must(control().server_destroy(server), "an end") {}
}

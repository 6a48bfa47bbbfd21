//! Things that can be taken and given back.

use abi::kernel::control::{Access, Error, NO_PEER, NO_SERVER, ObjectKind, PortKind, REGION_CLOCK};
use abi::{CallError, Word};

use crate::control;

/// What was taken.
#[derive(Clone, Copy, Debug)]
pub enum Thing {
    /// A region, by number.
    Region(u16),
    /// A server, by number.
    Server(u16),
    /// A page mapped in a server that was taken before.
    Page,
    /// A port, by number.
    Port(u16),
    /// A window, by number.
    Window(u16),
}

type Result<T> = core::result::Result<T, CallError<Error>>;

/// Where pages are mapped.
const AT: u64 = 0x5000_0000;
/// Ports that there are.
pub const PORTS: u16 = 3;
/// Windows that there are.
pub const WINDOWS: u16 = 2;

fn region(slot: u16, pages: u32) -> Result<Thing> {
    let region = control().region_create(slot, pages, 0)?;
    loop {
        match control().region_extend(region) {
            Ok(0) => return Ok(Thing::Region(region)),
            Ok(_) => {}
            Err(refused) => {
                Thing::Region(region).give_back();
                return Err(refused);
            }
        }
    }
}

/// One more page mapped for a slot's server, with two tables of its own; first of all, the server.
fn page(slot: u16) -> Result<Thing> {
    let (_, server, ..) = control().slot_info(slot)?;
    if server == NO_SERVER {
        return control().server_create(slot, 1).map(Thing::Server);
    }
    let (tables, _) = control().quota_read(slot, ObjectKind::Table)?;
    let count_access = 1 | (Access::Read.to_word() as u32) << 16;
    let address = AT + (u64::from(tables) << 30);
    control().map(server, REGION_CLOCK, address, 0, count_access).map(|_| Thing::Page)
}

/// The next of some numbers that slots 1 and 2 do not have, set up; the supervisor has the rest.
fn first(kind: ObjectKind, count: u16, set: impl Fn(u16) -> Result<()>) -> Result<u16> {
    let of = |slot| control().quota_read(slot, kind).map_or(0, |it| it.0 as u16);
    let next = of(1) + of(2);
    if next >= count {
        return Err(CallError::Refused(Error::Exhausted));
    }
    set(next).map(|()| next)
}

impl Thing {
    /// Takes something that is of a kind, or takes some of it.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn take(slot: u16, kind: ObjectKind) -> Result<Self> {
        match kind {
            ObjectKind::Frame => region(slot, 1500),
            ObjectKind::Table => page(slot),
            ObjectKind::Region => control().region_create(slot, 1, 0).map(Self::Region),
            ObjectKind::Handle => control().server_create(slot, 4).map(Self::Server),
            ObjectKind::Server => control().server_create(slot, 1).map(Self::Server),
            ObjectKind::Port => first(kind, PORTS, |port| {
                control().port_configure(port, PortKind::Peer, NO_PEER, slot, 1)
            })
            .map(Self::Port),
            ObjectKind::Window | ObjectKind::Grant => first(ObjectKind::Window, WINDOWS, |it| {
                control().window_configure(it, slot, 16, NO_PEER)
            })
            .map(Self::Window),
        }
    }

    /// Gives it back; ports and windows to the supervisor.
    pub fn give_back(self) {
        match self {
            Self::Region(region) => {
                while control().region_free(region).is_ok_and(|left| left > 0) {}
            }
            // It goes with the server.
            Self::Page => {}
            Self::Server(server) => while control().server_destroy(server) == Ok(false) {},
            Self::Port(port) => {
                let _ = control().port_configure(port, PortKind::Peer, NO_PEER, 0, 1);
            }
            Self::Window(window) => {
                let _ = control().window_configure(window, 0, 16, NO_PEER);
            }
        }
    }
}

/// A server with memory, made and taken apart; `None` if a step failed.
pub fn life(slot: u16, pages: u32) -> Option<()> {
    let Ok(Thing::Region(number)) = region(slot, pages) else { return None };
    let server = control().server_create(slot, 8).ok()?;
    for page in 0..5 {
        let count_access = 1 | (Access::Write.to_word() as u32) << 16;
        let address = AT + u64::from(page) * 0x20_0000;
        control().map(server, number, address, page, count_access).ok()?;
    }
    Thing::Server(server).give_back();
    Thing::Region(number).give_back();
    Some(())
}

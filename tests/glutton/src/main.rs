//! Takes everything that the kernel has, in the place of the supervisor: for each kind of object, by one slot and then by two
//! in turn, until there is no more. Only errors may come of it, and what was given back must be there again.
//!
//! The system's other servers are never started: they are there for their share of the kernel's objects.
#![cfg_attr(xylem_user, no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

mod thing;

use alloc::vec::Vec;
use core::fmt::Arguments;

use abi::kernel::control::{Client, Error, NO_LIMIT, OBJECT_KINDS, ObjectKind, Shutdown};
use abi::{CallError, Handle};
use rt::Trap;

use thing::Thing;

ipc::wiring! {
    serves { 0 => ipc::supervisor }
    clients 16;
    ports { one: Peer, two: Peer, three: Peer }
    windows { first: 16, second: 16 }
    stack 16;
    heap 64;
}

/// The slots that take.
const SLOTS: [u16; 2] = [1, 2];

/// The kernel.
pub fn control() -> Client<Trap> {
    Client::new(Trap, Handle::CONTROL)
}

fn tell(line: Arguments<'_>) {
    rt::debug(rt::log::Line::new(line).bytes());
}

fn end() -> ! {
    loop {
        let _ = control().domain_shutdown(Shutdown::Poweroff);
    }
}

/// What slots 0 to 2 hold of everything, and how many pages are free.
fn held() -> ([[u32; OBJECT_KINDS.len()]; 3], u64) {
    let of = |slot| OBJECT_KINDS.map(|kind| control().quota_read(slot, kind).map_or(0, |it| it.0));
    let free = control().domain_info(0).map_or(0, |facts| facts.4);
    ([of(0), of(1), of(2)], free)
}

/// Whether a refusal is one of those that running out may have.
fn is_fine(refused: CallError<Error>) -> bool {
    matches!(refused, CallError::Refused(Error::Exhausted | Error::Memory | Error::Invalid))
}

/// Takes things of a kind for these slots in turn, until each was refused; gives all back. How many there were, if all was as
/// it must be.
fn exhaust(slots: &[u16], kind: ObjectKind) -> Option<usize> {
    let before = held();
    let mut things: Vec<Thing> = Vec::new();
    let mut refused = [None; SLOTS.len()];
    while refused.iter().take(slots.len()).any(Option::is_none) {
        for (slot, refused) in slots.iter().zip(&mut refused) {
            match Thing::take(*slot, kind) {
                Ok(thing) => things.push(thing),
                Err(error) => *refused = Some(error),
            }
        }
    }
    let count = things.len();
    while let Some(thing) = things.pop() {
        thing.give_back();
    }
    let fine = refused.into_iter().flatten().all(|refused| {
        // Tables may not have been spared by running out of something else.
        let tables = kind == ObjectKind::Table;
        is_fine(refused) && (!tables || refused == CallError::Refused(Error::Memory))
    });
    (fine && held() == before).then_some(count)
}

/// A limit of one slot keeps it from what another still gets.
fn limited(kind: ObjectKind) -> bool {
    let before = held();
    let used = control().quota_read(1, kind).map_or(NO_LIMIT, |it| it.0);
    let set = |limit| control().quota_set(1, kind, limit).is_ok();
    let kept = set(used) && Thing::take(1, kind).is_err_and(is_fine);
    let other = Thing::take(2, kind).map(Thing::give_back).is_ok();
    let free = set(NO_LIMIT) && Thing::take(1, kind).map(Thing::give_back).is_ok();
    kept && other && free && held() == before
}

fn kinds() -> bool {
    OBJECT_KINDS.into_iter().all(|kind| {
        let one = exhaust(&SLOTS[..1], kind);
        let two = exhaust(&SLOTS, kind);
        let limited = limited(kind);
        tell(format_args!(
            "glutton: {kind:?}: one took {one:?}, two took {two:?}, limits {limited}"
        ));
        one.is_some_and(|count| count > 0) && two.is_some_and(|count| count > 1) && limited
    })
}

/// Makes and takes apart.
fn rounds(count: usize) -> bool {
    let before = held();
    let fine = (0..count).all(|round| thing::life(1, 33 + round as u32 % 3).is_some());
    fine && held() == before
}

fn run() -> ! {
    for slot in SLOTS {
        if control().slot_configure(slot, 10, 0).is_err() {
            tell(format_args!("glutton: failed: a slot"));
            end()
        }
    }
    (0..thing::PORTS).map(Thing::Port).for_each(Thing::give_back);
    (0..thing::WINDOWS).map(Thing::Window).for_each(Thing::give_back);
    if kinds() {
        tell(format_args!(
            "glutton: every kind was exhausted by one and by two, and is whole again"
        ));
    }
    // With the kernel's audit of all page tables on every way out, fewer have to do.
    let count = if rt::boot().command_line.contains("audit") { 20 } else { 1000 };
    if rounds(count) {
        tell(format_args!("glutton: counts are as before after all rounds"));
    }
    end()
}

rt::main!(run; root);

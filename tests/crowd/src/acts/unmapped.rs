//! A page taken away from a server that writes to it on another vCPU, without a trap, all the time: not one write comes after
//! the call that took it away.

use abi::kernel::control::{Access, SUPERVISOR_SERVER, WIRE};

use crate::roles::{LOST_PAGE, Role};
use crate::stage::{Stage, US, control, dismiss, fault, map, must, region};
use crate::{fail, rounds, tell};

/// Plays it.
pub fn play(stage: &Stage) {
    let writer = stage.player(1, 20, 1, 0, 0);
    let page = region(1, WIRE);
    map(SUPERVISOR_SERVER, page, LOST_PAGE, (0, 1), Access::Write);
    let word = rt::shared(LOST_PAGE, 1);
    let count = rounds(100);
    let (before, ..) = flushes();
    for _ in 0..count {
        map(writer.server, page, LOST_PAGE, (0, 1), Access::Write);
        let start = word.load_u64_acquire(0);
        writer.start(Role::Writer);
        stage.until("it writes", || word.load_u64_acquire(0) != start);
        must(control().unmap(writer.server, LOST_PAGE, 1), "it goes");
        let last = word.load_u64_acquire(0);
        let until = rt::clock::now() + 100 * US;
        while rt::clock::now() < until {
            if word.load_u64_acquire(0) != last {
                fail(format_args!("a write after the end"));
            }
        }
        let event = fault();
        let [_, address, ..] = event.message.words;
        if address != LOST_PAGE {
            fail(format_args!("another fault: {:x?}", event.message));
        }
        dismiss(&event);
    }
    let (after, ..) = flushes();
    tell(format_args!("crowd: {count} pages taken away, {} flushes", after - before));
    if after - before < count {
        fail(format_args!("fewer flushes than pages"));
    }
}

fn flushes() -> (u64, u64) {
    let (.., yielded, flushes) = must(control().domain_info(2), "the flushes");
    (flushes, yielded)
}

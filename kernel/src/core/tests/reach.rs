//! What control handles reach: every method through the supervisor's and through a manager's, on objects of all kinds.

use abi::kernel::control::{Error, MADE};

use super::managers::managed;
use crate::core::table::{SlotId, ThreadId};
use crate::core::thread::State;

const ROOT: ThreadId = ThreadId(0);
const MID: ThreadId = ThreadId(2);
const PEER: ThreadId = ThreadId(4);
/// Where the mid server has its control handle.
const CONTROL: u64 = 6;
/// An address in which nothing is mapped.
const AT: u64 = 0x5000_0000;

/// A method of the control interface with its arguments, of which one names the object.
type Method = (u64, fn(u64) -> [u64; 5]);

/// Who may call what: about a slot below, about the caller's own slot, and in general.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    /// Slots that it manages.
    Managed,
    /// Those and its own.
    Seen,
    /// Regions that it made.
    Made,
    /// Its own slot.
    Own,
    /// Nothing.
    Nobody,
}

/// What object a method's argument is.
fn methods() -> [(Method, Reach); 33] {
    use Reach::{Made, Managed, Nobody, Own, Seen};
    fn first(object: u64) -> [u64; 5] {
        [object, 0, 0, 0, 0]
    }
    [
        ((1, |slot| [slot, 10, 0, 0, 0]), Nobody),
        ((2, |slot| [slot, 2, 0, 0, 0]), Nobody),
        ((3, first), Nobody),
        ((4, |slot| [slot, 4, 0, 0, 0]), Nobody),
        ((5, first), Nobody),
        ((6, |server| [server, 0x40_0000, 0x2000_0000, 0, 0]), Managed),
        ((7, first), Managed),
        ((8, first), Managed),
        ((9, first), Managed),
        ((10, |slot| [slot, 1, 0, 0, 0]), Own),
        ((11, first), Made),
        ((12, first), Made),
        ((13, first), Made),
        ((14, first), Made),
        ((15, |region| [1, region, AT, 0, 1 | 1 << 16]), Made),
        ((16, |server| [server, AT, 1, 0, 0]), Seen),
        ((17, |server| [server, 5, 2 | 3 << 16, 0, 0]), Nobody),
        ((18, |server| [server, 5, 0, 0, 0]), Nobody),
        ((19, |slot| [0, 0, 7, slot, 1]), Nobody),
        ((20, |slot| [0, slot, 1, 7, 0]), Nobody),
        ((21, |_| [0; 5]), Nobody),
        ((22, |_| [0; 5]), Nobody),
        ((23, |_| [0; 5]), Nobody),
        ((24, |_| [0; 5]), Nobody),
        ((25, first), Nobody),
        ((26, first), Managed),
        ((27, first), Managed),
        ((28, first), Managed),
        ((29, |slot| [slot, 0, 0, 0, 0]), Nobody),
        ((30, first), Seen),
        ((31, first), Nobody),
        ((32, first), Seen),
        ((33, first), Managed),
    ]
}

#[test]
fn a_partial_handle_reaches_what_the_slot_manages_and_made_and_nothing_else() {
    let not_allowed = Error::NotAllowed as u64;
    let numbers = methods().map(|((number, _), _)| number);
    assert_eq!(numbers, core::array::from_fn(|at| at as u64 + 1), "every method, once");
    // Slot and server numbers agree here: 1 is managed, 2 the manager, 3 and 4 are others, 0 the supervisor; 7, 90 are none.
    for ((number, arguments), reach) in methods() {
        for object in [0, 1, 2, 3, 4, 7, 90] {
            if reach == Reach::Made {
                continue;
            }
            let mut w = managed();
            w.core.preempted(super::world::HERE);
            w.core.raise(&mut w.model, SlotId(2), 1);
            w.settle();
            let allowed = match reach {
                Reach::Managed => object == 1,
                Reach::Seen => matches!(object, 1 | 2),
                Reach::Own => object == 2,
                Reach::Made | Reach::Nobody => false,
            };
            let label = w.kernel(MID, CONTROL, number, arguments(object)).label;
            assert_eq!(label == not_allowed, !allowed, "method {number} of {object}: {label}");
            assert_eq!(w.core.threads[PEER].state, State::Ready, "method {number} of {object}");
            assert_eq!(w.model.ended, None);
        }
    }
}

#[test]
fn the_supervisors_handle_reaches_everything() {
    for ((number, arguments), _) in methods() {
        for object in [0, 1, 2, 3, 4, 7, 90] {
            let mut w = managed();
            w.core.preempted(super::world::HERE);
            w.core.raise(&mut w.model, SlotId(0), 1);
            w.settle();
            let label = w.kernel(ROOT, 1, number, arguments(object)).label;
            assert_ne!(label, Error::NotAllowed as u64, "method {number} of {object}");
        }
    }
}

#[test]
fn a_partial_handle_reaches_the_regions_that_the_slot_made() {
    let not_allowed = Error::NotAllowed as u64;
    for ((number, arguments), reach) in methods() {
        if reach != Reach::Made {
            continue;
        }
        let mut w = managed();
        w.core.preempted(super::world::HERE);
        w.core.raise(&mut w.model, SlotId(2), 1);
        w.settle();
        let made = w.kernel(MID, CONTROL, 10, [2, 1, 0, 0, 0]);
        assert_eq!(made.label, 0);
        let own = made.words[0];
        assert_eq!(w.kernel(MID, CONTROL, 14, [own, 0, 0, 0, 0]).words, [1, 16, 0, 2, 0]);
        assert_eq!(MADE, 16);
        assert_eq!(w.kernel(MID, CONTROL, 11, [own, 0, 0, 0, 0]).label, 0);
        // One that counts for the slot, but that the supervisor made.
        let given = w.core.region_create(&mut w.model, SlotId(2), 1, 0).unwrap();
        w.core.region_extend(&mut w.model, given).unwrap();
        for region in [own, u64::from(given.0), 0, 1, 2, 8, 23, 90] {
            let label = w.kernel(MID, CONTROL, number, arguments(region)).label;
            let allowed = region == own;
            assert_eq!(label == not_allowed, !allowed, "method {number} of {region}: {label}");
        }
        assert_eq!((w.core.region_info(given)), (1, 0, 0, 2));
    }
}

#[test]
fn a_manager_makes_regions_for_itself_alone_and_without_flags() {
    let mut w = managed();
    w.core.preempted(super::world::HERE);
    w.core.raise(&mut w.model, SlotId(2), 1);
    w.settle();
    let mut create = |slot, flags| w.kernel(MID, CONTROL, 10, [slot, 1, flags, 0, 0]).label;
    for (slot, flags) in [(0, 0), (1, 0), (3, 0), (2, 1), (2, 2), (2, 4), (2, 16), (90, 0)] {
        assert_eq!(create(slot, flags), Error::NotAllowed as u64, "{slot} {flags}");
    }
    assert_eq!(create(2, 0), 0);
    let made = w.core.region_create(&mut w.model, SlotId(2), 1, MADE);
    assert_eq!(made, Err(Error::Invalid), "the flag is the kernel's");
}

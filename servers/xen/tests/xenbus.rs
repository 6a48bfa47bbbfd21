//! The states of a front end, step by step and against back ends that behave as Linux's do, in any order of events.

use proptest::prelude::*;
use xen::xenbus::{Action, Class, Device, Event, State};

use Action::{End, Limit, Negotiate, Offline, Online, Refresh, Release, Set};
use State::{Closed, Closing, Connected, InitWait, Initialised, Initialising};

fn started(class: Class) -> Device {
    Device::new(class, Initialising)
}

fn backend(state: State) -> Event {
    Event::Backend(Some(state), true)
}

fn online(class: Class) -> Device {
    let mut device = started(class);
    device.step(backend(InitWait));
    device.step(Event::Published);
    device.step(backend(Connected));
    assert!(device.is_online());
    device
}

#[test]
fn a_disk_is_connected_once_it_was_read() {
    let mut device = started(Class::Block);
    assert_eq!(device.step(backend(Initialising)).as_slice(), []);
    assert_eq!(device.step(backend(InitWait)).as_slice(), [Negotiate]);
    assert_eq!(device.step(Event::Published).as_slice(), []);
    assert_eq!(device.step(backend(Connected)).as_slice(), [Online, Set(Connected)]);
    assert_eq!(device.step(backend(Connected)).as_slice(), [Refresh]);
}

#[test]
fn a_network_device_is_connected_with_its_references() {
    assert_eq!(Class::Network.published(), Connected);
    let mut device = started(Class::Network);
    device.step(backend(InitWait));
    device.step(Event::Published);
    assert_eq!(device.step(backend(Connected)).as_slice(), [Online]);
}

#[test]
fn a_backend_that_connects_while_we_publish_is_not_missed() {
    let mut device = started(Class::Network);
    device.step(backend(InitWait));
    assert_eq!(device.step(backend(Connected)).as_slice(), []);
    assert_eq!(device.step(Event::Published).as_slice(), [Online]);
}

#[test]
fn unplugging_closes_and_ends() {
    let mut device = online(Class::Block);
    let todo = device.step(Event::Backend(Some(Closing), false));
    assert_eq!(todo.as_slice(), [Offline, Set(Closing), Limit, Set(Closed), Limit]);
    let todo = device.step(Event::Backend(Some(Closed), false));
    assert_eq!(todo.as_slice(), [Release, End]);
    assert!(device.has_ended());
    assert_eq!(device.step(Event::Retry).as_slice(), []);
}

#[test]
fn a_backend_that_restarted_is_connected_anew() {
    let mut device = online(Class::Block);
    let todo = device.step(backend(Closed));
    let expected = [Offline, Set(Closing), Limit, Set(Closed), Limit, Release, Set(Initialising)];
    assert_eq!(todo.as_slice(), expected);
    assert_eq!(device.step(backend(InitWait)).as_slice(), [Negotiate]);
}

#[test]
fn a_backend_that_lies_is_closed_and_left_until_retry() {
    let mut device = online(Class::Network);
    assert_eq!(device.step(Event::Broken).as_slice(), [Offline, Set(Closing), Limit]);
    assert_eq!(device.step(backend(Closing)).as_slice(), [Set(Closed), Limit]);
    assert_eq!(device.step(backend(Closed)).as_slice(), [Release]);
    assert!(device.has_failed());
    assert_eq!(device.step(backend(InitWait)).as_slice(), []);
    assert_eq!(device.step(Event::Retry).as_slice(), [Set(Initialising), Negotiate]);
}

#[test]
fn a_directory_that_vanishes_ends_the_device_without_a_write() {
    let mut device = online(Class::Network);
    assert_eq!(device.step(Event::Backend(None, false)).as_slice(), [Offline, Release, End]);
}

#[test]
fn what_another_incarnation_left_is_closed_first() {
    let mut device = Device::new(Class::Block, Connected);
    assert_eq!(device.step(backend(Connected)).as_slice(), [Set(Closing), Limit]);
    assert_eq!(device.step(backend(Closing)).as_slice(), [Set(Closed), Limit]);
    assert_eq!(device.step(backend(Closed)).as_slice(), [Set(Initialising)]);
    assert_eq!(device.step(backend(InitWait)).as_slice(), [Negotiate]);
    let mut device = Device::new(Class::Network, Closing);
    assert_eq!(device.step(backend(Closing)).as_slice(), [Set(Closed), Limit]);
    let mut device = Device::new(Class::Network, Closed);
    assert_eq!(device.step(backend(Closed)).as_slice(), [Set(Initialising)]);
}

#[test]
fn a_backend_that_does_not_close_in_time_is_left_behind() {
    let mut device = online(Class::Block);
    device.step(Event::Broken);
    assert_eq!(device.step(Event::Late).as_slice(), [Set(Closed), Limit]);
    assert_eq!(device.step(Event::Late).as_slice(), [Release]);
    assert!(device.has_failed());
}

#[test]
fn a_state_without_sense_closes() {
    let mut device = online(Class::Block);
    let todo = device.step(Event::Backend(Some(State::parse(b"banana")), true));
    assert_eq!(todo.first(), Some(&Offline));
}

#[test]
fn in_a_new_world_everything_begins_anew() {
    let mut device = online(Class::Block);
    assert_eq!(device.step(Event::NewWorld).as_slice(), [Offline, Release]);
    assert_eq!(device.step(backend(InitWait)).as_slice(), [Negotiate]);
}

#[test]
fn a_backend_that_lacks_what_we_need_is_closed() {
    let mut device = started(Class::Network);
    device.step(backend(InitWait));
    assert_eq!(device.step(Event::Unable).as_slice(), [Set(Closing), Limit]);
    device.step(backend(Closed));
    assert!(device.has_failed());
}

#[test]
fn a_device_that_is_not_wanted_any_more_is_closed_and_ends() {
    let mut device = online(Class::Block);
    assert_eq!(device.step(Event::Stop).as_slice(), [Offline, Set(Closing), Limit]);
    device.step(backend(Closing));
    assert_eq!(device.step(backend(Closed)).as_slice(), [Release, End]);

    let mut device = online(Class::Block);
    device.step(Event::Broken);
    device.step(backend(Closed));
    assert_eq!(device.step(Event::Stop).as_slice(), [End]);

    let mut device = started(Class::Block);
    device.step(backend(InitWait));
    assert_eq!(device.step(Event::Stop).as_slice(), []);
    assert_eq!(device.step(Event::Published).as_slice(), [Set(Closing), Limit]);
}

/// Everything that can happen, in any order.
fn event() -> impl Strategy<Value = Event> {
    let state = (0u8..11).prop_map(|number| State::parse(number.to_string().as_bytes()));
    prop_oneof![
        8 => (prop::option::weighted(0.95, state), prop::bool::weighted(0.8))
            .prop_map(|(state, online)| Event::Backend(state, online)),
        4 => Just(Event::Published),
        1 => Just(Event::Unable),
        1 => Just(Event::Broken),
        1 => Just(Event::Stop),
        2 => Just(Event::Late),
        2 => Just(Event::Retry),
        1 => Just(Event::NewWorld),
    ]
}

/// Checks that pairs of actions alternate.
#[derive(Default)]
struct Pairs {
    has_rings: bool,
    is_online: bool,
    has_ended: bool,
}

impl Pairs {
    fn check(&mut self, action: Action) {
        assert!(!self.has_ended, "{action:?} after the end");
        match action {
            Negotiate => assert!(!std::mem::replace(&mut self.has_rings, true)),
            Release => assert!(std::mem::replace(&mut self.has_rings, false) && !self.is_online),
            Online => assert!(!std::mem::replace(&mut self.is_online, true) && self.has_rings),
            Offline => assert!(std::mem::replace(&mut self.is_online, false)),
            Refresh => assert!(self.is_online),
            End => {
                assert!(!self.has_rings && !self.is_online);
                self.has_ended = true;
            }
            Set(_) | Limit => {}
        }
    }
}

/// A backend as Linux's: what it makes of the front end's state when it looks.
fn react(own: State, front: State, class: Class) -> State {
    match (front, own) {
        (Initialising, Initialising | Closed) => InitWait,
        (Initialised, InitWait) if class == Class::Block => Connected,
        (Connected, InitWait) => Connected,
        (Closing, _) => Closing,
        (Closed, _) => Closed,
        _ => own,
    }
}

/// What happens next in a world with a front end and an honest backend.
#[derive(Clone, Copy, Debug)]
enum Turn {
    BackendLooks,
    FrontLooks,
    Published,
    Late,
    BackendRestarts,
    BackendCloses,
    DriverRestarts,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        10 => Just(Turn::BackendLooks),
        10 => Just(Turn::FrontLooks),
        6 => Just(Turn::Published),
        1 => Just(Turn::Late),
        1 => Just(Turn::BackendRestarts),
        1 => Just(Turn::BackendCloses),
        1 => Just(Turn::DriverRestarts),
    ]
}

struct World {
    class: Class,
    device: Device,
    front: State,
    back: State,
    negotiates: bool,
    is_limited: bool,
    pairs: Pairs,
}

impl World {
    fn new(class: Class) -> Self {
        let device = Device::new(class, Initialising);
        let pairs = Pairs::default();
        Self {
            class,
            device,
            front: Initialising,
            back: Initialising,
            negotiates: false,
            is_limited: false,
            pairs,
        }
    }

    fn step(&mut self, event: Event) {
        for action in self.device.step(event) {
            self.pairs.check(action);
            match action {
                Set(state) => self.front = state,
                Negotiate => self.negotiates = true,
                Limit => self.is_limited = true,
                _ => {}
            }
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::BackendLooks => self.back = react(self.back, self.front, self.class),
            Turn::FrontLooks => self.step(Event::Backend(Some(self.back), true)),
            Turn::Published if self.negotiates => {
                self.negotiates = false;
                self.front = self.class.published();
                self.step(Event::Published);
            }
            Turn::Late if self.is_limited => {
                self.is_limited = false;
                self.step(Event::Late);
            }
            Turn::BackendRestarts => self.back = Closed,
            Turn::BackendCloses => self.back = Closing,
            Turn::DriverRestarts => {
                self.device = Device::new(self.class, self.front);
                self.pairs = Pairs::default();
                (self.negotiates, self.is_limited) = (false, false);
            }
            Turn::Published | Turn::Late => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pairs_of_actions_alternate_whatever_happens(
        block: bool,
        own in 0u8..9,
        events in prop::collection::vec(event(), 0..60),
    ) {
        let own = State::parse(own.to_string().as_bytes());
        let mut device = Device::new(if block { Class::Block } else { Class::Network }, own);
        let mut pairs = Pairs::default();
        for event in events {
            for action in device.step(event) {
                pairs.check(action);
            }
            prop_assert_eq!(device.is_online(), pairs.is_online);
            prop_assert_eq!(device.has_ended(), pairs.has_ended);
        }
    }

    #[test]
    fn an_honest_backend_is_connected_in_the_end(
        block: bool,
        turns in prop::collection::vec(turn(), 0..60),
    ) {
        let mut world = World::new(if block { Class::Block } else { Class::Network });
        for turn in turns {
            world.turn(turn);
        }
        for _ in 0..12 {
            world.turn(Turn::BackendLooks);
            world.turn(Turn::FrontLooks);
            world.turn(Turn::Published);
            world.turn(Turn::BackendLooks);
            world.turn(Turn::FrontLooks);
            world.turn(Turn::Late);
        }
        prop_assert!(world.device.is_online(), "front {:?}, back {:?}, {:?}", world.front, world.back, world.device);
        prop_assert_eq!(world.back, Connected);
    }
}

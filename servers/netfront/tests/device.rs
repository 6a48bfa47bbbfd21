//! The device: found, connected, closed, lost and back.

mod common;

use common::{Bench, MAC};
use ipc::nic::Error;
use xen::xenbus::LIMIT_NS;

#[test]
fn without_a_device_the_driver_rests_and_says_so() {
    let mut bench = Bench::empty();
    assert_eq!(bench.open(), Err(Error::NotReady));
    assert!(!bench.link());
    assert!(!bench.sleep(), "it waits for no time");
    let posted = bench.rig.tree().posted;
    bench.run();
    assert_eq!(bench.rig.tree().posted, posted);
}

#[test]
fn a_device_that_is_plugged_later_is_connected() {
    let mut bench = Bench::connected();
    assert!(bench.link());
    assert_eq!(bench.rig.rings(), 1);
    let (mac, mtu) = bench.open().unwrap();
    assert_eq!((mac.to_le_bytes(), mtu), ([0, 0x16, 0x3e, 1, 2, 3, 0, 0], 1500));
    assert_eq!(MAC, "00:16:3e:01:02:03");
}

#[test]
fn what_is_published_is_what_the_backend_needs() {
    let bench = Bench::plugged();
    assert_eq!(bench.state(), "4");
    for (name, text) in [("request-rx-copy", "1"), ("feature-sg", "1"), ("event-channel", "8")] {
        assert_eq!(bench.own_node(name).as_deref(), Some(text), "{name}");
    }
    assert_eq!(bench.own_node("feature-no-csum-offload"), None);
    assert_eq!(bench.own_node("feature-rx-notify"), None, "the backend would lose its interrupt");
    let machine = bench.rig.machine();
    assert_eq!(machine.granted.len(), 386);
    let read_only = machine.granted.keys().filter(|reference| machine.is_read_only(**reference));
    assert_eq!(read_only.count(), 128, "the backend only reads what is sent");
}

#[test]
fn there_is_no_link_before_the_backend_is_connected() {
    let mut bench = Bench::plugged();
    assert_eq!(bench.open(), Err(Error::NotReady));
    assert_eq!(bench.rig.rings(), 0);
}

#[test]
fn a_transaction_that_collides_is_repeated() {
    let mut bench = Bench::empty();
    bench.rig.tree().refuse_commits = 3;
    (bench.own, bench.backend) =
        bench.rig.plug("vif", 0, &[("feature-rx-copy", "1"), ("mac", MAC)]);
    bench.run();
    bench.connect();
    assert!(bench.link());
}

#[test]
fn a_backend_that_cannot_copy_is_refused_and_domain_0_is_told() {
    let mut bench = Bench::empty();
    (bench.own, bench.backend) = bench.rig.plug("vif", 0, &[("mac", MAC)]);
    bench.run();
    assert_eq!(bench.state(), "5");
    assert!(bench.rig.tree().get("error/device/vif/0/error").is_some());
    assert!(bench.rig.machine().granted.is_empty() || bench.state() == "5");
    bench.set_backend("5");
    bench.set_backend("6");
    assert_eq!(bench.state(), "6");
    assert!(bench.rig.machine().granted.is_empty());
}

#[test]
fn a_mac_address_that_makes_no_sense_closes_the_device() {
    let mut bench = Bench::empty();
    let nodes = [("feature-rx-copy", "1"), ("mac", "nonsense")];
    (bench.own, bench.backend) = bench.rig.plug("vif", 0, &nodes);
    bench.run();
    bench.connect();
    assert_eq!(bench.state(), "5");
    assert!(!bench.link());
}

#[test]
fn a_backend_that_closes_is_followed_and_connected_again() {
    let mut bench = Bench::connected();
    bench.set_backend("5");
    assert!(!bench.link());
    assert_eq!(bench.state(), "6");
    assert_eq!(bench.rig.rings(), 2, "the client is told");
    bench.set_backend("6");
    assert_eq!(bench.state(), "1", "it is online, so we wait for it");
    assert!(bench.rig.machine().granted.is_empty());
    bench.set_backend("2");
    bench.connect();
    assert!(bench.link());
    assert_eq!(bench.own_node("event-channel").as_deref(), Some("9"), "a fresh port");
}

#[test]
fn a_device_that_is_unplugged_ends_and_can_come_back() {
    let mut bench = Bench::connected();
    let (own, backend) = (bench.own.clone(), bench.backend.clone());
    bench.rig.tree().set(&format!("{backend}/online"), "0");
    bench.set_backend("5");
    bench.set_backend("6");
    assert_eq!(bench.state(), "6");
    bench.rig.tree().remove(&own);
    bench.rig.tree().remove(&backend);
    bench.run();
    while bench.sleep() {}
    assert_eq!(bench.rig.tree().get(&format!("{own}/state")), None, "nothing is made again");
    bench.rig.plug("vif", 0, &[("feature-rx-copy", "1"), ("mac", MAC)]);
    bench.run();
    bench.connect();
    assert!(bench.link());
}

#[test]
fn directories_that_vanish_end_the_device_at_once() {
    let mut bench = Bench::connected();
    let own = bench.own.clone();
    bench.rig.tree().remove(&own);
    bench.run();
    assert!(!bench.link());
    assert!(bench.rig.machine().granted.is_empty());
    while bench.sleep() {}
    assert_eq!(bench.rig.tree().get(&format!("{own}/state")), None);
}

#[test]
fn a_restarted_driver_closes_what_its_predecessor_left_and_connects() {
    let mut bench = Bench::connected();
    bench.restart();
    assert_eq!(bench.state(), "5");
    assert!(!bench.link());
    bench.set_backend("5");
    assert_eq!(bench.state(), "6");
    bench.set_backend("6");
    assert_eq!(bench.state(), "1");
    bench.set_backend("2");
    bench.connect();
    assert!(bench.link());
    assert_eq!(bench.rig.machine().opened, 2, "the old port was closed");
}

#[test]
fn a_restart_while_the_predecessor_closed_goes_on_from_there() {
    for state in ["5", "6"] {
        let mut bench = Bench::connected();
        let node = format!("{}/state", bench.own);
        bench.rig.tree().set(&node, state);
        bench.set_backend(state);
        bench.restart();
        bench.set_backend("6");
        assert_eq!(bench.state(), "1", "from {state}");
        bench.set_backend("2");
        bench.connect();
        assert!(bench.link());
    }
}

#[test]
fn pages_that_the_backend_still_has_are_waited_for() {
    let mut bench = Bench::connected();
    let ring = bench.rig.tree().number("device/vif/0/tx-ring-ref");
    bench.rig.machine().mapped.insert(ring);
    bench.restart();
    for state in ["5", "6", "2"] {
        bench.set_backend(state);
    }
    assert_eq!(bench.state(), "1", "it does not publish yet");
    assert!(bench.sleep());
    assert_eq!(bench.state(), "1");
    bench.rig.machine().mapped.clear();
    assert!(bench.sleep());
    bench.connect();
    assert!(bench.link());
}

#[test]
fn pages_that_never_come_back_close_the_device() {
    let mut bench = Bench::connected();
    let ring = bench.rig.tree().number("device/vif/0/tx-ring-ref");
    bench.rig.machine().mapped.insert(ring);
    bench.restart();
    for state in ["5", "6", "2"] {
        bench.set_backend(state);
    }
    for _ in 0..10 {
        assert!(bench.sleep());
    }
    assert_eq!(bench.state(), "5");
    assert!(bench.rig.tree().get("error/device/vif/0/error").is_some());
}

#[test]
fn a_lost_session_is_begun_anew_and_the_link_stays() {
    let mut bench = Bench::connected();
    bench.rig.tree().lose();
    bench.run();
    while bench.sleep() {}
    assert!(bench.link());
    assert_eq!(bench.state(), "4");
    bench.set_backend("5");
    assert!(!bench.link(), "the backend is watched again");
}

#[test]
fn a_device_that_vanishes_while_the_session_is_lost_is_let_go() {
    let mut bench = Bench::connected();
    let own = bench.own.clone();
    bench.rig.tree().lose();
    bench.rig.tree().remove(&own);
    bench.run();
    while bench.sleep() {}
    assert!(!bench.link());
    assert!(bench.rig.machine().granted.is_empty());
}

#[test]
fn xenstore_that_is_down_is_asked_again_after_a_pause() {
    let mut bench = Bench::connected();
    bench.rig.tree().is_down = true;
    bench.rig.tree().lose();
    for _ in 0..3 {
        bench.run();
        assert!(bench.sleep());
    }
    assert!(bench.link());
    bench.rig.tree().is_down = false;
    bench.sleep();
    bench.set_backend("5");
    assert!(!bench.link());
}

#[test]
fn in_a_new_world_the_device_is_connected_anew() {
    let mut bench = Bench::connected();
    let (own, backend) = (bench.own.clone(), bench.backend.clone());
    {
        let mut tree = bench.rig.tree();
        tree.set(&format!("{own}/state"), "1");
        tree.set(&format!("{backend}/state"), "2");
        tree.lose();
    }
    bench.rig.move_world();
    bench.run();
    assert!(!bench.link());
    while bench.sleep() {}
    assert!(bench.rig.machine().now < LIMIT_NS, "nothing is closed, as nothing is connected");
    bench.connect();
    assert!(bench.link());
    assert_eq!(bench.rig.machine().opened, 2);
}

#[test]
fn a_backend_that_takes_too_long_to_close_is_not_waited_for() {
    let mut bench = Bench::connected();
    bench.restart();
    assert_eq!(bench.state(), "5");
    assert!(bench.sleep());
    assert_eq!(bench.state(), "6");
    assert!(bench.sleep());
    assert_ne!(bench.state(), "6");
}

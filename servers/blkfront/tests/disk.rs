//! The disk: found, described, read, written, lost and back.

mod common;

use common::{Bench, DISK};
use ipc::block::{Error, FAILED, FLUSH, INVALID, OK, READ, UNSUPPORTED, WRITE};
use xen::blkif::Response;

#[test]
fn without_a_disk_there_is_no_device_and_the_driver_rests() {
    let mut bench = Bench::empty();
    assert_eq!(bench.open(), Err(Error::NoDevice));
    assert!(!bench.sleep(), "it waits for no time");
}

#[test]
fn the_only_disk_is_found_and_connected_step_by_step() {
    let mut bench = Bench::plugged(&DISK);
    assert_eq!(bench.state(), "3", "published");
    assert_eq!(bench.open(), Err(Error::NotReady));
    assert_eq!(bench.own_node("protocol").as_deref(), Some("x86_64-abi"));
    assert_eq!(bench.rig.machine().granted.len(), 129);
    bench.connect(vec![0; 4096 * 512]);
    assert_eq!(bench.state(), "4");
    assert_eq!(bench.open(), Ok((4096, 512, false, true)));
}

#[test]
fn what_is_written_is_read_back() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    fs.fill(3, 0xa5);
    fs.fill(4, 0xa6);
    let ring = fs.submit(1, WRITE, 100, 16, 3) | fs.submit(2, FLUSH, 0, 0, 0);
    bench.ring(ring);
    bench.serve();
    assert_eq!(fs.answers(), [(1, OK), (2, OK)]);
    assert_eq!(bench.back().done.last().map(|request| request.operation), Some(3));
    let ring = fs.submit(3, READ, 100, 16, 62);
    bench.ring(ring);
    bench.serve();
    assert_eq!(fs.answers(), [(3, OK)]);
    assert_eq!((fs.byte(62), fs.byte(63)), (0xa5, 0xa6));
}

#[test]
fn requests_that_make_no_sense_are_answered_without_the_backend() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 4096, 1, 0)
        | fs.submit(2, READ, 0, 89, 0)
        | fs.submit(3, 7, 0, 1, 0)
        | fs.submit(4, WRITE, 0, 8, 64);
    bench.ring(ring);
    assert_eq!(fs.answers(), [(1, INVALID), (2, INVALID), (3, UNSUPPORTED), (4, INVALID)]);
    assert_eq!(bench.back().open(), 0);
}

#[test]
fn a_disk_that_is_read_only_refuses_writes() {
    let nodes = [("sectors", "4096"), ("info", "4")];
    let mut bench = Bench::plugged(&nodes);
    bench.connect(vec![0; 4096 * 512]);
    assert_eq!(bench.open(), Ok((4096, 512, true, false)));
    let mut fs = bench.client();
    let ring = fs.submit(1, WRITE, 0, 8, 0) | fs.submit(2, FLUSH, 0, 0, 0);
    bench.ring(ring);
    assert_eq!(fs.answers(), [(1, UNSUPPORTED), (2, UNSUPPORTED)]);
}

#[test]
fn more_requests_than_the_ring_holds_are_all_done() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = (0..64).fold(false, |ring, id| ring | fs.submit(id, READ, u64::from(id) * 8, 8, id));
    bench.ring(ring);
    assert_eq!(bench.back().open(), 32);
    assert!(!bench.sleep(), "a full ring is no reason to be busy");
    bench.serve();
    assert_eq!(bench.back().open(), 32);
    bench.serve();
    let mut answers = fs.answers();
    answers.sort_unstable();
    assert_eq!(answers, (0..64).map(|id| (id, OK)).collect::<Vec<_>>());
}

#[test]
fn many_rounds_lose_no_answer() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    for round in 0..1000u32 {
        let count = round % 40 + 1;
        let ring = (0..count).fold(false, |ring, id| ring | fs.submit(id, READ, 0, 8, id));
        bench.ring(ring);
        let mut answers = Vec::new();
        for _ in 0..3 {
            bench.serve();
            answers.extend(fs.answers());
        }
        assert_eq!(answers.len(), count as usize, "round {round}");
    }
    assert!(!bench.sleep(), "no timer is left");
}

#[test]
fn over_a_reconnect_requests_wait_and_are_done_again_in_order() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    fs.fill(0, 1);
    fs.fill(1, 2);
    let ring = fs.submit(1, WRITE, 0, 8, 0) | fs.submit(2, WRITE, 0, 8, 1);
    bench.ring(ring);
    assert_eq!(bench.back().open(), 2);
    let disk = bench.lose();
    let ring = fs.submit(3, READ, 0, 8, 5);
    bench.ring(ring);
    assert!(fs.answers().is_empty(), "nothing is answered meanwhile");
    bench.connect(disk);
    bench.serve();
    bench.serve();
    assert_eq!(fs.answers(), [(1, OK), (2, OK), (3, OK)]);
    assert_eq!(fs.byte(5), 2, "the later write came later");
}

#[test]
fn in_a_new_world_requests_are_done_again() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0);
    bench.ring(ring);
    let (own, backend) = (bench.own.clone(), bench.backend.clone());
    {
        let mut tree = bench.rig.tree();
        tree.set(&format!("{own}/state"), "1");
        tree.set(&format!("{backend}/state"), "2");
        tree.lose();
    }
    bench.rig.move_world();
    bench.run();
    while bench.sleep() {}
    bench.connect(vec![0; 4096 * 512]);
    bench.serve();
    assert_eq!(fs.answers(), [(1, OK)]);
}

#[test]
fn a_disk_that_is_removed_fails_what_is_open_and_all_that_follows() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0);
    bench.ring(ring);
    let (own, backend) = (bench.own.clone(), bench.backend.clone());
    bench.rig.tree().set(&format!("{backend}/online"), "0");
    bench.set_backend("5");
    bench.set_backend("6");
    assert_eq!(bench.state(), "6");
    bench.rig.tree().remove(&own);
    bench.rig.tree().remove(&backend);
    bench.run();
    while bench.sleep() {}
    assert_eq!(fs.answers(), [(1, FAILED)]);
    for id in 2..5 {
        let ring = fs.submit(id, READ, 0, 8, 0);
        bench.ring(ring);
        assert_eq!(fs.answers(), [(id, FAILED)]);
    }
    assert_eq!(bench.open(), Err(Error::NoDevice));
    (bench.own, bench.backend) = bench.rig.plug("vbd", 51728, &DISK);
    bench.run();
    bench.connect(vec![9; 4096 * 512]);
    let mut fs = bench.client();
    let ring = fs.submit(3, READ, 0, 8, 0);
    bench.ring(ring);
    bench.serve();
    assert_eq!((fs.answers(), fs.byte(0)), (vec![(3, OK)], 9));
}

#[test]
fn a_lost_session_never_touches_the_disk_that_comes_after() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let (own, backend) = (bench.own.clone(), bench.backend.clone());
    bench.rig.tree().remove(&own);
    bench.rig.tree().remove(&backend);
    bench.run();
    (bench.own, bench.backend) = bench.rig.plug("vbd", 51728, &DISK);
    bench.run();
    while bench.sleep() {}
    bench.connect(vec![0; 4096 * 512]);
    let ring = fs.submit(2, WRITE, 0, 8, 0);
    bench.ring(ring);
    assert_eq!(fs.answers(), [(2, FAILED)]);
    assert_eq!(bench.back().open(), 0);
}

#[test]
fn a_new_session_waits_until_the_backend_is_done_with_the_old_one() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0);
    bench.ring(ring);
    let rings = bench.rig.rings();
    assert_eq!(bench.open(), Err(Error::NotReady));
    bench.serve();
    assert_eq!(bench.rig.rings(), rings + 1, "the client is told");
    let mut fs = bench.client();
    assert!(fs.answers().is_empty());
    let ring = fs.submit(2, READ, 0, 8, 0);
    bench.ring(ring);
    bench.serve();
    assert_eq!(fs.answers(), [(2, OK)]);
}

#[test]
fn requests_of_a_client_that_is_gone_are_not_done_again() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, WRITE, 0, 8, 0);
    bench.ring(ring);
    ipc::serve::Serve::closed(&mut bench.server, abi::Badge::default());
    bench.reconnect();
    assert_eq!(bench.back().open(), 0);
    assert!(bench.open().is_ok());
}

#[test]
fn an_answer_to_nothing_closes_the_disk() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0);
    bench.ring(ring);
    bench.back().answer(|request| Response { id: request.id ^ 1, ..Response::default() });
    bench.rig.send_event();
    bench.run();
    assert_eq!(fs.answers(), [(1, FAILED)]);
    assert_eq!(bench.state(), "5");
    assert_eq!(bench.open(), Err(Error::NotReady));
    assert!(bench.rig.tree().get("error/device/vbd/51712/error").is_some());
}

#[test]
fn a_disk_whose_size_makes_no_sense_is_closed() {
    let mut bench = Bench::plugged(&[("sectors", "-1")]);
    bench.connect(Vec::new());
    assert_eq!(bench.state(), "5");
    assert_eq!(bench.open(), Err(Error::NotReady));
}

#[test]
fn a_disk_that_grows_is_seen_to_grow() {
    let mut bench = Bench::connected();
    let rings = bench.rig.rings();
    let backend = bench.backend.clone();
    bench.rig.tree().set(&format!("{backend}/sectors"), "8192");
    bench.set_backend("4");
    assert_eq!(bench.rig.rings(), rings + 1);
    assert_eq!(bench.open(), Ok((8192, 512, false, true)));
}

#[test]
fn a_restarted_driver_closes_what_its_predecessor_left_and_connects() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0);
    bench.ring(ring);
    bench.restart();
    assert_eq!(bench.open(), Err(Error::NotReady));
    let disk = bench.lose();
    bench.connect(disk);
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0);
    bench.ring(ring);
    bench.serve();
    assert_eq!(fs.answers(), [(1, OK)]);
}

#[test]
fn a_backend_that_fails_a_request_fails_it_alone() {
    let mut bench = Bench::connected();
    let mut fs = bench.client();
    let ring = fs.submit(1, READ, 0, 8, 0) | fs.submit(2, READ, 0, 8, 1);
    bench.ring(ring);
    let failure = |request: &xen::blkif::Request| Response {
        id: request.id,
        operation: request.operation,
        status: -1,
        ..Response::default()
    };
    assert!(bench.back().answer(failure));
    bench.rig.send_event();
    bench.serve();
    assert_eq!(fs.answers(), [(1, FAILED), (2, OK)]);
}

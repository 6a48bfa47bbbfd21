//! Frames: sent, received, lost, and what a session leaves behind.

mod common;

use common::{Bench, Net, frame};
use ipc::nic::{CHECKSUM_BLANK, CHECKSUM_VALID, Complete, MORE, RECEIVE, TRANSMIT, TRANSMIT_LATE};
use xen::fake::Frame;
use xen::netif::RxResponse;

fn ready() -> (Bench, Net) {
    let mut bench = Bench::connected();
    let mut net = bench.client();
    let ring = net.post(0..256);
    bench.ring(ring);
    assert!(ring);
    (bench, net)
}

#[test]
fn frames_reach_the_backend_and_their_buffers_come_back() {
    let (mut bench, mut net) = ready();
    let events = bench.rig.events();
    let (first, second) = (frame(60), frame(1514));
    let ring = net.send(1, &first.bytes) | net.send(200, &second.bytes);
    bench.ring(ring);
    assert_eq!(bench.rig.events(), events + 1, "one event for both");
    assert_eq!(bench.collect(), [first, second]);
    assert!(net.answers().is_empty(), "nobody is woken for that");
    bench.deliver(&frame(70), 4000);
    let answers = net.answers().split_off(1);
    let sent = |buffer, length| Complete { kind: TRANSMIT, buffer, length, ..Complete::default() };
    assert_eq!(answers, [sent(1, 60), sent(200, 1514)]);
}

#[test]
fn many_buffers_that_were_sent_come_back_by_themselves() {
    let (mut bench, mut net) = ready();
    let ring =
        (0..TRANSMIT_LATE).fold(false, |ring, buffer| net.send(buffer, &frame(60).bytes) | ring);
    bench.ring(ring);
    assert_eq!(bench.collect().len(), TRANSMIT_LATE.into());
    assert_eq!(net.answers().len(), TRANSMIT_LATE.into());
}

#[test]
fn a_frame_is_received_with_its_flags() {
    let (mut bench, mut net) = ready();
    let sent = Frame { is_blank: true, ..frame(900) };
    bench.deliver(&sent, 4000);
    let [answer] = net.answers()[..] else { panic!("one answer") };
    assert_eq!((answer.kind, answer.buffer, answer.offset), (RECEIVE, 0, 2));
    assert_eq!(answer.flags, CHECKSUM_BLANK | CHECKSUM_VALID);
    assert_eq!(net.bytes(&answer), sent.bytes);
}

#[test]
fn a_long_frame_comes_in_pieces() {
    let (mut bench, mut net) = ready();
    let sent = frame(9000);
    bench.deliver(&sent, 4000);
    let answers = net.answers();
    let more: Vec<u16> = answers.iter().map(|answer| answer.flags & MORE).collect();
    assert_eq!(more, [MORE, MORE, 0]);
    let bytes: Vec<u8> = answers.iter().flat_map(|answer| net.bytes(answer)).collect();
    assert_eq!(bytes, sent.bytes);
}

#[test]
fn many_turns_of_traffic_lose_nothing_and_rest_in_between() {
    let (mut bench, mut net) = ready();
    for round in 0..2000usize {
        let sent = frame(60 + round % 1400);
        let ring = net.send((round % 256) as u16, &sent.bytes);
        bench.ring(ring);
        assert_eq!(bench.collect(), core::slice::from_ref(&sent));
        bench.deliver(&sent, 4000);
        let mut received = 0;
        for answer in net.answers() {
            if answer.kind == RECEIVE {
                received += 1;
                assert_eq!(net.bytes(&answer), sent.bytes);
                let ring = net.submit(RECEIVE, answer.buffer, 0);
                bench.ring(ring);
            }
        }
        assert_eq!(received, 1, "round {round}");
    }
    assert!(!bench.sleep(), "no timer is left");
}

#[test]
fn submissions_that_make_no_sense_come_back_at_once() {
    let (mut bench, mut net) = ready();
    let mut ring = false;
    for (kind, buffer, length) in
        [(TRANSMIT, 256, 60), (TRANSMIT, 1, 13), (TRANSMIT, 2, 2049), (RECEIVE, 256, 0), (9, 3, 60)]
    {
        ring |= net.submit(kind, buffer, length);
    }
    ring |= net.submit(RECEIVE, 7, 0);
    bench.ring(ring);
    let answers = net.answers();
    assert_eq!(answers.len(), 6);
    assert!(answers.iter().all(|answer| answer.length == 0));
    assert!(bench.collect().is_empty());
    assert!(bench.link());
}

#[test]
fn a_frame_that_the_backend_drops_comes_back_with_length_0() {
    let (mut bench, mut net) = ready();
    bench.back().status = xen::netif::DROPPED;
    let ring = net.send(5, &frame(100).bytes);
    bench.ring(ring);
    bench.collect();
    bench.deliver(&frame(70), 4000);
    let [_, answer] = net.answers()[..] else { panic!("two answers") };
    assert_eq!((answer.buffer, answer.length), (5, 0));
}

#[test]
fn a_new_session_gets_nothing_of_the_old_one() {
    let (mut bench, mut net) = ready();
    let ring = net.send(5, &frame(100).bytes);
    bench.ring(ring);
    let mut net = bench.client();
    assert_eq!(bench.collect().len(), 1);
    assert!(net.answers().is_empty());
    bench.deliver(&frame(80), 4000);
    assert!(net.answers().is_empty(), "its page belongs to nobody");
}

#[test]
fn pages_that_the_backend_has_from_an_old_session_serve_the_new_one() {
    let (mut bench, _) = ready();
    let mut net = bench.client();
    let ring = net.post(0..256);
    bench.ring(ring);
    let sent = frame(300);
    bench.deliver(&sent, 4000);
    let [answer] = net.answers()[..] else { panic!("one answer") };
    assert_eq!(net.bytes(&answer), sent.bytes);
}

#[test]
fn a_packet_that_is_partly_of_an_old_session_gives_its_pages_back_unused() {
    let (mut bench, _) = ready();
    let mut net = bench.client();
    let ring = net.post(1..256);
    bench.ring(ring);
    bench.deliver(&frame(6000), 4000);
    let [answer] = net.answers()[..] else { panic!("one answer") };
    assert_eq!((answer.buffer, answer.length, answer.flags), (1, 0, 0));
}

#[test]
fn a_buffer_that_the_backend_still_has_waits_and_then_goes_out() {
    let (mut bench, mut net) = ready();
    let ring = net.send(5, &frame(100).bytes);
    bench.ring(ring);
    let mut net = bench.client();
    let ring = net.send(5, &frame(200).bytes);
    bench.ring(ring);
    let first = bench.collect();
    assert_eq!(first.len(), 1, "the old frame");
    assert!(net.answers().is_empty());
    assert_eq!(bench.collect(), [frame(200)]);
    bench.deliver(&frame(70), 4000);
    let answers = net.answers();
    let [.., answer] = answers[..] else { panic!("an answer") };
    assert_eq!((answer.buffer, answer.length), (5, 200));
}

#[test]
fn without_a_link_frames_come_back_and_pages_stay_until_it_is_back() {
    let (mut bench, mut net) = ready();
    let ring = net.send(1, &frame(100).bytes);
    bench.ring(ring);
    bench.set_backend("5");
    let [lost] = net.answers()[..] else { panic!("one answer") };
    assert_eq!((lost.kind, lost.buffer, lost.length), (TRANSMIT, 1, 0));
    let ring = net.send(2, &frame(100).bytes);
    bench.ring(ring);
    let [lost] = net.answers()[..] else { panic!("one answer") };
    assert_eq!((lost.kind, lost.buffer, lost.length), (TRANSMIT, 2, 0));
    bench.set_backend("6");
    bench.set_backend("2");
    bench.connect();
    let sent = frame(500);
    bench.deliver(&sent, 4000);
    let [answer] = net.answers()[..] else { panic!("one answer") };
    assert_eq!(net.bytes(&answer), sent.bytes, "the session goes on");
}

#[test]
fn a_lie_on_a_ring_closes_the_device_and_nothing_is_lost_twice() {
    let (mut bench, mut net) = ready();
    let ring = net.send(1, &frame(100).bytes);
    bench.ring(ring);
    let lie = RxResponse { offset: 4000, status: 200, ..RxResponse::default() };
    bench.back().answer(lie, None);
    bench.rig.send_event();
    bench.run();
    assert!(!bench.link());
    assert_eq!(bench.state(), "5");
    assert!(bench.rig.tree().get("error/device/vif/0/error").is_some());
    let [lost] = net.answers()[..] else { panic!("one answer") };
    assert_eq!((lost.buffer, lost.length), (1, 0));
    bench.set_backend("5");
    bench.set_backend("6");
    assert_eq!(bench.state(), "6", "it is left alone");
    while bench.state() == "6" {
        assert!(bench.sleep(), "but tried again later");
    }
    assert_eq!(bench.state(), "1");
    bench.set_backend("2");
    bench.connect();
    bench.deliver(&frame(80), 4000);
    assert_eq!(net.answers().len(), 1);
}

#[test]
fn a_wild_index_of_the_backend_closes_the_device() {
    let (mut bench, _) = ready();
    let ring = bench.rig.tree().number("device/vif/0/rx-ring-ref");
    bench.rig.machine().page(ring).store_u32_release(8, 0x8000_0000);
    bench.rig.send_event();
    bench.run();
    assert!(!bench.link());
    assert_eq!(bench.state(), "5");
}

#[test]
fn a_client_that_breaks_its_queue_ends_its_session_alone() {
    let (mut bench, _) = ready();
    let rings = bench.rig.rings();
    bench.up.store_u64_release(0, 0x1_8000_0000);
    bench.ring(true);
    assert!(bench.link());
    assert_eq!(bench.rig.rings(), rings + 1);
    bench.deliver(&frame(80), 4000);
    assert!(bench.link());
}

#[test]
fn a_client_that_is_gone_leaves_the_link() {
    let (mut bench, mut net) = ready();
    ipc::serve::Serve::closed(&mut bench.server, abi::Badge::default());
    let ring = net.send(1, &frame(100).bytes);
    bench.ring(ring);
    bench.deliver(&frame(80), 4000);
    assert!(bench.collect().is_empty());
    assert!(bench.link());
}

//! The network device against an honest back end, and against single lies.

use proptest::prelude::*;
use shared::{HostMemory, Memory, PAGE};
use xen::fake::{Frame, Grants, Netback};
use xen::netif::{
    ERROR, Packet, RX_EXTRA, RX_MORE, Receive, RxResponse, Sent, Transmit, TransmitState,
};
use xen::{Broken, Refused};

const BUFFERS: u16 = 256;
const TX_BASE: u32 = 100;
const RX_BASE: u32 = 1000;

struct Pair {
    transmit_ring: Memory,
    receive_ring: Memory,
    transmit_pool: Memory,
    receive_pool: Memory,
    transmit: Transmit,
    receive: Receive,
    back: Netback,
}

impl Pair {
    fn new() -> Self {
        let (transmit_ring, receive_ring) = (HostMemory::leak(1), HostMemory::leak(1));
        let transmit_pool = HostMemory::leak(usize::from(BUFFERS) / 2);
        let receive_pool = HostMemory::leak(usize::from(BUFFERS));
        let mut grants = Grants::default();
        grants.grant(TX_BASE, transmit_pool);
        grants.grant(RX_BASE, receive_pool);
        let (transmit, receive) = (Transmit::create(transmit_ring), Receive::create(receive_ring));
        let back = Netback::attach(transmit_ring, receive_ring, grants);
        Self { transmit_ring, receive_ring, transmit_pool, receive_pool, transmit, receive, back }
    }

    /// Sends from a half page.
    fn send(&mut self, buffer: u16, bytes: &[u8], is_blank: bool) -> Result<(), Refused> {
        let place = usize::from(buffer) * 2048;
        self.transmit_pool.copy_to(place, bytes);
        let grant = TX_BASE + u32::from(buffer) / 2;
        let offset = (place % PAGE) as u16;
        self.transmit.send(buffer, grant, offset, bytes.len() as u16, is_blank)
    }

    fn post_all(&mut self) {
        for buffer in 0..BUFFERS {
            if !self.receive.with_backend().has(buffer) {
                self.receive.post(buffer, RX_BASE + u32::from(buffer)).unwrap();
            }
        }
        let _ = self.receive.publish();
    }

    fn bytes(&self, packet: &Packet) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &packet.pieces {
            let mut part = vec![0; usize::from(piece.len)];
            let place = usize::from(piece.buffer) * PAGE + usize::from(piece.offset);
            self.receive_pool.copy_from(place, &mut part);
            bytes.extend(part);
        }
        bytes
    }
}

fn frame(len: usize) -> Frame {
    Frame { bytes: (0..len).map(|byte| (byte % 253) as u8).collect(), is_blank: false }
}

#[test]
fn packets_go_out_and_their_buffers_come_back() {
    let mut pair = Pair::new();
    pair.send(0, &frame(60).bytes, false).unwrap();
    pair.send(1, &frame(2048).bytes, true).unwrap();
    assert!(pair.transmit.publish());
    let (frames, ring) = pair.back.collect();
    assert!(ring);
    assert_eq!(frames, [frame(60), Frame { is_blank: true, ..frame(2048) }]);
    assert_eq!(pair.transmit.complete(), Ok(Some(Sent { buffer: 0, is_sent: true })));
    assert_eq!(pair.transmit.complete(), Ok(Some(Sent { buffer: 1, is_sent: true })));
    assert_eq!(pair.transmit.complete(), Ok(None));
}

#[test]
fn a_packet_that_the_backend_could_not_send_is_told() {
    let mut pair = Pair::new();
    pair.back.status = ERROR;
    pair.send(3, &frame(60).bytes, false).unwrap();
    let _ = pair.transmit.publish();
    pair.back.collect();
    assert_eq!(pair.transmit.complete(), Ok(Some(Sent { buffer: 3, is_sent: false })));
}

#[test]
fn a_buffer_that_is_with_the_backend_is_not_sent_again() {
    let mut pair = Pair::new();
    pair.send(3, &frame(60).bytes, false).unwrap();
    assert_eq!(pair.send(3, &frame(60).bytes, false), Err(Refused::Invalid));
    assert_eq!(pair.receive.post(0, RX_BASE), Ok(()));
    assert_eq!(pair.receive.post(0, RX_BASE), Err(Refused::Invalid));
    assert_eq!(pair.receive.post(256, RX_BASE), Err(Refused::Invalid));
}

#[test]
fn a_packet_outside_its_page_or_shorter_than_a_header_is_refused() {
    let mut pair = Pair::new();
    let mut send = |offset, len| pair.transmit.send(0, TX_BASE, offset, len, false);
    assert_eq!(send(4083, 14), Err(Refused::Invalid));
    assert_eq!(send(0, 13), Err(Refused::Invalid));
    assert_eq!(send(u16::MAX, 14), Err(Refused::Invalid));
    assert_eq!(send(0, 4097), Err(Refused::Invalid));
    assert_eq!(send(4082, 14), Ok(()));
}

#[test]
fn a_packet_of_many_pieces_is_taken_whole() {
    let mut pair = Pair::new();
    pair.post_all();
    let sent = frame(65_000);
    assert_eq!(pair.back.deliver(&sent, 4000, 96), Some(true));
    let packet = pair.receive.take().unwrap().unwrap();
    assert!(packet.is_good && !packet.is_blank);
    assert_eq!(packet.pieces.len(), 17);
    assert_eq!(pair.bytes(&packet), sent.bytes);
    assert_eq!(pair.receive.take(), Ok(None));
}

#[test]
fn checksum_flags_are_passed_on() {
    let mut pair = Pair::new();
    pair.post_all();
    pair.back.deliver(&Frame { is_blank: true, ..frame(100) }, 4096, 0);
    let packet = pair.receive.take().unwrap().unwrap();
    assert!(packet.is_blank && packet.is_checked);
}

#[test]
fn an_unfinished_packet_waits_for_its_rest() {
    let mut pair = Pair::new();
    pair.post_all();
    let first = RxResponse { flags: RX_MORE, status: 100, ..RxResponse::default() };
    pair.back.answer(first, None);
    assert_eq!(pair.receive.take(), Ok(None));
    assert_eq!(pair.receive.arm(), Ok(false));
    let ring = pair.back.answer(RxResponse { status: 50, ..RxResponse::default() }, None);
    assert_eq!(ring, Some(true));
    let packet = pair.receive.take().unwrap().unwrap();
    assert!(packet.is_good);
    assert_eq!(packet.pieces.iter().map(|piece| piece.len).collect::<Vec<_>>(), [100, 50]);
}

#[test]
fn a_packet_with_a_failed_piece_gives_all_its_pages_back_unused() {
    let mut pair = Pair::new();
    pair.post_all();
    pair.back.answer(RxResponse { flags: RX_MORE, status: 100, ..Default::default() }, None);
    pair.back.answer(RxResponse { status: ERROR, ..Default::default() }, None);
    let packet = pair.receive.take().unwrap().unwrap();
    assert!(!packet.is_good);
    let back: Vec<_> = packet.pieces.iter().map(|piece| (piece.buffer, piece.len)).collect();
    assert_eq!(back, [(0, 0), (1, 0)]);
    assert_eq!(pair.receive.with_backend().count(), 254);
}

#[test]
fn a_packet_shorter_than_its_header_is_not_used() {
    let mut pair = Pair::new();
    pair.post_all();
    pair.back.deliver(&frame(13), 4096, 0);
    assert!(!pair.receive.take().unwrap().unwrap().is_good);
    pair.back.deliver(&frame(14), 4096, 0);
    assert!(pair.receive.take().unwrap().unwrap().is_good);
}

#[test]
fn extra_information_is_read_and_its_packet_not_used() {
    let mut pair = Pair::new();
    pair.post_all();
    let first = RxResponse { flags: RX_EXTRA | RX_MORE, status: 100, ..Default::default() };
    pair.back.answer(first, None);
    pair.back.answer(RxResponse::default(), Some(u16::from_le_bytes([1, 0])));
    assert_eq!(pair.receive.take(), Ok(None));
    pair.back.answer(RxResponse { status: 100, ..Default::default() }, None);
    let packet = pair.receive.take().unwrap().unwrap();
    assert!(!packet.is_good);
    assert_eq!(packet.pieces.len(), 3);
    pair.back.deliver(&frame(70), 4096, 0);
    assert!(pair.receive.take().unwrap().unwrap().is_good);
}

#[test]
fn responses_that_cannot_be_break_the_device_for_good() {
    let short = RxResponse { status: 100, ..RxResponse::default() };
    let cases = [
        ("another page's id", short, Some(7)),
        ("bytes beyond the page", RxResponse { offset: 4000, status: 97, ..short }, None),
        ("a length beyond the page", RxResponse { status: 4097, ..short }, None),
        ("an offset beyond the page", RxResponse { offset: 4097, status: -1, ..short }, None),
    ];
    for (what, response, id) in cases {
        let mut pair = Pair::new();
        pair.post_all();
        pair.back.answer(response, id);
        assert_eq!(pair.receive.take(), Err(Broken), "{what}");
        assert_eq!(pair.receive.take(), Err(Broken), "{what}, for good");
        assert!(pair.receive.post(0, 0).is_err(), "{what}");
    }
}

#[test]
fn extra_information_of_an_unknown_kind_breaks_the_device() {
    for kind in [0, 5, 255] {
        let mut pair = Pair::new();
        pair.post_all();
        pair.back.answer(RxResponse { flags: RX_EXTRA, status: 100, ..Default::default() }, None);
        pair.back.answer(RxResponse::default(), Some(kind));
        assert_eq!(pair.receive.take(), Err(Broken));
    }
}

#[test]
fn an_endless_packet_breaks_the_device() {
    let mut pair = Pair::new();
    pair.post_all();
    for _ in 0..23 {
        pair.back.answer(RxResponse { flags: RX_MORE, status: 100, ..Default::default() }, None);
        assert_eq!(pair.receive.take(), Ok(None));
    }
    pair.back.answer(RxResponse { flags: RX_MORE, status: 100, ..Default::default() }, None);
    assert_eq!(pair.receive.take(), Err(Broken));
}

#[test]
fn a_packet_longer_than_packets_are_is_not_used() {
    let mut pair = Pair::new();
    pair.post_all();
    pair.back.deliver(&frame(17 * 4096), 4096, 0);
    assert!(!pair.receive.take().unwrap().unwrap().is_good);
}

#[test]
fn a_response_for_a_buffer_that_is_not_there_breaks_the_device() {
    let mut pair = Pair::new();
    pair.send(3, &frame(60).bytes, false).unwrap();
    let _ = pair.transmit.publish();
    pair.transmit_ring.write(64, &[4u16, 0]);
    pair.transmit_ring.store_u32_release(8, 1);
    assert_eq!(pair.transmit.complete(), Err(Broken));
    assert_eq!(pair.send(5, &frame(60).bytes, false), Err(Refused::Broken));
}

#[test]
fn a_status_that_no_packet_of_ours_can_have_breaks_the_device() {
    let mut pair = Pair::new();
    pair.send(3, &frame(60).bytes, false).unwrap();
    let _ = pair.transmit.publish();
    pair.transmit_ring.write(64, &[3u16, 1]);
    pair.transmit_ring.store_u32_release(8, 1);
    assert_eq!(pair.transmit.complete(), Err(Broken));
}

#[test]
fn more_responses_than_requests_break_the_device() {
    let mut pair = Pair::new();
    pair.send(3, &frame(60).bytes, false).unwrap();
    let _ = pair.transmit.publish();
    pair.transmit_ring.store_u32_release(8, 2);
    assert_eq!(pair.transmit.complete(), Err(Broken));
    pair.receive_ring.store_u32_release(8, u32::MAX);
    assert_eq!(pair.receive.take(), Err(Broken));
}

#[test]
fn the_receiving_side_goes_on_after_a_restart() {
    let mut pair = Pair::new();
    pair.post_all();
    pair.back.deliver(&frame(5000), 4096, 0);
    pair.back.deliver(&frame(80), 4096, 0);
    pair.receive.take().unwrap().unwrap();
    let state = pair.receive.state();
    pair.receive = Receive::resume(pair.receive_ring, state).unwrap();
    let packet = pair.receive.take().unwrap().unwrap();
    assert_eq!(pair.bytes(&packet), frame(80).bytes);
    pair.post_all();
    for _ in 0..300 {
        pair.back.deliver(&frame(90), 4096, 0).unwrap();
        assert!(pair.receive.take().unwrap().unwrap().is_good);
        pair.post_all();
    }
}

#[test]
fn the_sending_side_goes_on_after_a_restart_wherever_it_died() {
    let mut pair = Pair::new();
    pair.send(0, &frame(60).bytes, false).unwrap();
    pair.send(1, &frame(61).bytes, false).unwrap();
    let _ = pair.transmit.publish();
    pair.back.collect();

    // Before the second response was noted: its buffer is marked as back, the ring not advanced.
    pair.transmit.complete().unwrap();
    let before = pair.transmit.state();
    pair.transmit.complete().unwrap();
    let after = pair.transmit.state();
    let died = TransmitState { ring: before.ring, ..after };
    pair.transmit = Transmit::resume(pair.transmit_ring, died).unwrap();
    assert_eq!(pair.transmit.complete(), Ok(None));

    // After two packets were queued, before they were shown.
    pair.send(8, &frame(62).bytes, false).unwrap();
    pair.send(9, &frame(63).bytes, false).unwrap();
    let state = pair.transmit.state();
    pair.transmit = Transmit::resume(pair.transmit_ring, state).unwrap();
    assert!(pair.send(9, &frame(62).bytes, false).is_err());
    assert_eq!(pair.transmit.complete(), Ok(Some(Sent { buffer: 8, is_sent: false })));
    assert_eq!(pair.transmit.complete(), Ok(Some(Sent { buffer: 9, is_sent: false })));
    assert_eq!(pair.back.collect().0, []);

    pair.send(9, &frame(64).bytes, false).unwrap();
    let _ = pair.transmit.publish();
    assert_eq!(pair.back.collect().0, [frame(64)]);
    assert_eq!(pair.transmit.complete(), Ok(Some(Sent { buffer: 9, is_sent: true })));
}

#[test]
fn a_state_that_contradicts_itself_is_refused() {
    let mut pair = Pair::new();
    pair.post_all();
    let mut state = pair.receive.state();
    state.posted[1] = state.posted[0];
    assert!(Receive::resume(pair.receive_ring, state).is_err());
    let mut state = pair.transmit.state();
    state.ring.req_prod = 2;
    assert!(Transmit::resume(pair.transmit_ring, state).is_err());
    state.ring.req_prod = 300;
    assert!(Transmit::resume(pair.transmit_ring, state).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_of_all_sizes_arrive_in_order(
        sizes in prop::collection::vec((14usize..20_000, 1000usize..4000, 0u16..90), 1..80),
    ) {
        let mut pair = Pair::new();
        pair.post_all();
        let mut expected = std::collections::VecDeque::new();
        for (len, chunk, offset) in sizes {
            let sent = frame(len);
            if pair.back.deliver(&sent, chunk, offset).is_some() {
                expected.push_back(sent.bytes);
            }
            if len % 3 == 0 {
                while let Some(packet) = pair.receive.take().unwrap() {
                    prop_assert!(packet.is_good);
                    prop_assert_eq!(pair.bytes(&packet), expected.pop_front().unwrap());
                }
                pair.post_all();
            }
        }
        while let Some(packet) = pair.receive.take().unwrap() {
            prop_assert_eq!(pair.bytes(&packet), expected.pop_front().unwrap());
        }
        prop_assert!(expected.is_empty());
    }
}

//! Back ends that rewrite a shared page between any two loads: nothing worse than a broken device comes of it.

use proptest::prelude::*;
use shared::{HostMemory, Memory, with_peer};
use xen::blkif::{Front, READ, Transfer, WRITE};
use xen::console::Console;
use xen::netif::{Receive, Transmit};
use xen::store::{Connection, Operation, Rest};
use xen::{Marks, Refused};

/// What the peer writes before the load with this number.
#[derive(Clone, Debug)]
struct Lie {
    at_load: u64,
    word: usize,
    value: u32,
}

/// Lies about the words of a page: `indices` are told of often, the rest seldom.
fn lies(indices: &'static [usize], loads: u64) -> impl Strategy<Value = Vec<Lie>> {
    let word = prop_oneof![
        4 => prop::sample::select(indices),
        3 => (64usize / 4..200).prop_map(|word| word * 4),
        1 => (0usize..1024).prop_map(|word| word * 4),
    ];
    let value = prop_oneof![
        4 => 0u32..40,
        1 => any::<u32>(),
        1 => (0u32..1024).prop_map(|value| value | 0x10000),
        1 => Just(u32::MAX),
    ];
    let lie =
        (0..loads, word, value).prop_map(|(at_load, word, value)| Lie { at_load, word, value });
    prop::collection::vec(lie, 0..40)
}

fn against<R>(page: Memory, lies: Vec<Lie>, body: impl FnOnce() -> R) -> R {
    let tell = move |load| {
        for lie in lies.iter().filter(|lie| lie.at_load == load) {
            page.write(lie.word, &lie.value);
        }
    };
    with_peer(tell, body)
}

/// Breaking is for good.
#[derive(Default)]
struct Once(bool);

impl Once {
    fn note<T, E>(&mut self, result: Result<T, E>) -> Option<T> {
        assert!(!self.0 || result.is_err(), "a broken device works again");
        self.0 |= result.is_err();
        result.ok()
    }
}

const RING: &[usize] = &[0, 4, 8, 8, 8, 8, 12];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sending_survives(lies in lies(RING, 200)) {
        let page = HostMemory::leak(1);
        against(page, lies, || {
            let mut front = Transmit::create(page);
            let (mut out, mut once) = (Marks::default(), Once::default());
            for round in 0..50u16 {
                for buffer in [round % 8, round % 5 + 8] {
                    match front.send(buffer, 0, 0, 60, false) {
                        Ok(()) => assert!(out.add(buffer)),
                        Err(Refused::Invalid) => assert!(out.has(buffer)),
                        Err(Refused::Full | Refused::Broken) => {}
                    }
                }
                let _ = front.publish();
                while let Some(sent) = once.note(front.complete()).flatten() {
                    assert!(out.remove(sent.buffer), "it was not out");
                }
                let _ = front.arm_after(1);
            }
        });
    }

    #[test]
    fn receiving_survives(lies in lies(RING, 400)) {
        let page = HostMemory::leak(1);
        against(page, lies, || {
            let mut front = Receive::create(page);
            let (mut out, mut once) = (Marks::default(), Once::default());
            for _ in 0..50 {
                for buffer in 0..40 {
                    if front.post(buffer, u32::from(buffer)).is_ok() {
                        assert!(out.add(buffer));
                    }
                }
                let _ = front.publish();
                while let Some(packet) = once.note(front.take()).flatten() {
                    assert!(!packet.pieces.is_empty());
                    for piece in &packet.pieces {
                        assert!(out.remove(piece.buffer), "it was not out");
                        assert!(piece.offset as usize + piece.len as usize <= 4096);
                        assert!(packet.is_good || piece.len == 0);
                    }
                }
                let _ = front.arm();
            }
        });
    }

    #[test]
    fn a_disk_survives(lies in lies(RING, 300), seed: u32) {
        let page = HostMemory::leak(1);
        against(page, lies, || {
            let mut front = Front::create(page);
            let (mut open, mut once) = (Vec::new(), Once::default());
            for tag in 0..60 {
                let operation = if (seed >> (tag % 32)) & 1 == 0 { READ } else { WRITE };
                let transfer = Transfer { operation, sectors: 9, tag, ..Transfer::default() };
                if front.submit(transfer).is_ok() {
                    open.push(tag);
                }
                let _ = front.publish();
                while let Some(done) = once.note(front.complete()).flatten() {
                    let at = open.iter().position(|tag| *tag == done.transfer.tag);
                    open.remove(at.expect("it was not open"));
                }
                let _ = front.arm();
                assert_eq!(front.in_flight() as usize, open.len());
                assert!(once.0 || Front::resume(page, front.state()).is_ok());
            }
        });
    }

    #[test]
    fn a_console_survives(lies in lies(&[3072, 3076, 3080, 3084], 200)) {
        let page = HostMemory::leak(1);
        against(page, lies, || {
            let Ok(mut console) = Console::open(page) else { return };
            for _ in 0..40 {
                assert!(console.write(&[b'x'; 300]).unwrap_or(0) <= 300);
                assert!(console.read(&mut [0; 200]).unwrap_or(0) <= 200);
            }
        });
    }

    #[test]
    fn a_connection_survives(lies in lies(&[2048, 2052, 2056, 2060, 1024, 1028, 1032, 1036], 300)) {
        let page = HostMemory::leak(1);
        against(page, lies, || {
            let Ok(mut connection) = Connection::open(page, 0, Rest::default()) else { return };
            let mut once = Once::default();
            for tag in 0..60 {
                let _ = connection.request(Operation::Read, 0, &[&[b'p'; 300]], tag);
                while once.note(connection.receive().map(|received| received.is_some())) == Some(true) {}
                let rest = connection.rest();
                assert!(rest.incoming <= 4096 && rest.outgoing <= 4096);
                let _ = connection.take_ring();
            }
        });
    }
}

/// A response of the right form, but not all of its values; the honest ones often enough to come far.
fn answer(id: u16) -> impl Strategy<Value = [u16; 4]> {
    let offset = prop_oneof![8 => Just(0u16), 1 => 0u16..4200, 1 => any::<u16>()];
    let flags = prop_oneof![4 => Just(0u16), 4 => Just(4), 1 => 0u16..16];
    let status = prop_oneof![8 => 14u16..2000, 1 => any::<u16>()];
    let id = prop_oneof![30 => Just(id), 1 => any::<u16>()];
    (id, offset, flags, status).prop_map(|(id, offset, flags, status)| [id, offset, flags, status])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The backend answers each page once, in order, with values that are nearly right.
    #[test]
    fn receiving_survives_answers_that_are_nearly_right(
        answers in (0..120u16).map(answer).collect::<Vec<_>>(),
        step in 1u32..20,
    ) {
        let page = HostMemory::leak(1);
        let mut front = Receive::create(page);
        for buffer in 0..120 {
            front.post(buffer, 0).unwrap();
        }
        let _ = front.publish();
        let mut out = 120;
        for (number, answer) in answers.iter().enumerate() {
            page.write(64 + number * 8, answer);
            let shown = (number as u32 + 1) / step * step;
            page.store_u32_release(8, shown);
            while let Ok(Some(packet)) = front.take() {
                out -= packet.pieces.len() as u32;
            }
            prop_assert_eq!(front.with_backend().count(), out);
        }
    }
}

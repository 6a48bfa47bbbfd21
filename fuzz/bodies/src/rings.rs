//! Back ends that rewrite a shared page between any two loads: nothing worse than a broken device comes of it.

use arbitrary::{Arbitrary, Unstructured};
use shared::{HostMemory, Memory, with_peer};
use xen::Marks;
use xen::blkif::{Front, READ, Transfer, WRITE};
use xen::console::Console;
use xen::netif::{Receive, Transmit};
use xen::store::{Connection, Operation, Rest};

#[derive(Arbitrary, Debug)]
enum Device {
    Transmit,
    Receive,
    Block,
    Console,
    Store,
}

/// What the peer writes before a load: how many loads later than the lie before it.
#[derive(Arbitrary, Debug)]
struct Lie {
    later: u8,
    word: u16,
    value: u32,
}

#[derive(Arbitrary, Debug)]
struct Peer {
    device: Device,
    lies: Vec<Lie>,
}

/// What was given to the peer: nothing comes back that was not out, nor anything after the device broke.
#[derive(Default)]
struct Out {
    marks: Marks,
    is_broken: bool,
}

impl Out {
    fn note<T, E>(&mut self, result: Result<T, E>) -> Option<T> {
        assert!(!self.is_broken || result.is_err(), "a broken device works again");
        self.is_broken |= result.is_err();
        result.ok()
    }
}

fn transmit(page: Memory) {
    let (mut front, mut out) = (Transmit::create(page), Out::default());
    for round in 0..20u16 {
        if front.send(round % 8, 0, 0, 60, false).is_ok() {
            assert!(out.marks.add(round % 8));
        }
        let _ = front.publish();
        while let Some(sent) = out.note(front.complete()).flatten() {
            assert!(out.marks.remove(sent.buffer), "it was not out");
        }
        let _ = front.arm_after(1);
    }
}

fn receive(page: Memory) {
    let (mut front, mut out) = (Receive::create(page), Out::default());
    for _ in 0..10 {
        for buffer in 0..20 {
            if front.post(buffer, u32::from(buffer)).is_ok() {
                assert!(out.marks.add(buffer));
            }
        }
        let _ = front.publish();
        while let Some(packet) = out.note(front.take()).flatten() {
            for piece in &packet.pieces {
                assert!(out.marks.remove(piece.buffer), "it was not out");
                assert!(piece.offset as usize + piece.len as usize <= shared::PAGE);
            }
        }
        let _ = front.arm();
    }
}

fn block(page: Memory) {
    let (mut front, mut out, mut open) = (Front::create(page), Out::default(), Vec::new());
    for tag in 0..30 {
        let operation = if tag % 3 == 0 { WRITE } else { READ };
        if front.submit(Transfer { operation, sectors: 9, tag, ..Transfer::default() }).is_ok() {
            open.push(tag);
        }
        let _ = front.publish();
        while let Some(done) = out.note(front.complete()).flatten() {
            let at = open.iter().position(|tag| *tag == done.transfer.tag);
            open.remove(at.expect("it was not open"));
        }
        let _ = front.arm();
        assert_eq!(front.in_flight() as usize, open.len());
    }
}

fn console(page: Memory) {
    let Ok(mut console) = Console::open(page) else { return };
    for _ in 0..20 {
        assert!(console.write(&[b'x'; 300]).unwrap_or(0) <= 300);
        assert!(console.read(&mut [0; 200]).unwrap_or(0) <= 200);
    }
}

fn store(page: Memory) {
    let Ok(mut connection) = Connection::open(page, 0, Rest::default()) else { return };
    let mut out = Out::default();
    for tag in 0..20 {
        let _ = connection.request(Operation::Read, 0, &[&[b'p'; 300]], tag);
        while out.note(connection.receive().map(|received| received.is_some())) == Some(true) {}
        let _ = connection.take_ring();
    }
}

/// Does it with these bytes.
pub fn body(bytes: &[u8]) {
    let Ok(peer) = Peer::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let memory = HostMemory::new(shared::PAGE);
    let page = memory.memory();
    let (mut lies, mut next) = (peer.lies.into_iter().peekable(), 0);
    let tell = move |load: u64| {
        while let Some(lie) = lies.next_if(|lie| next + u64::from(lie.later) <= load) {
            next += u64::from(lie.later);
            page.write(usize::from(lie.word % 1024) * 4, &lie.value);
        }
    };
    with_peer(tell, || match peer.device {
        Device::Transmit => transmit(page),
        Device::Receive => receive(page),
        Device::Block => block(page),
        Device::Console => console(page),
        Device::Store => store(page),
    });
}

//! The operator's link: a stream of any bytes in pieces of any size, and a client of the vchan that writes its page at any load.
//! What is decoded is encoded to what decodes to the same.
#![no_main]

use ipc::manage::{ANSWER, Answer, Frames, REQUEST, Request, frame, value};
use libfuzzer_sys::fuzz_target;
use shared::{HostMemory, with_peer};
use vchan::{Server, Shape};

fuzz_target!(|input: (Vec<u8>, Vec<(u8, u32)>, u8)| {
    let (bytes, lies, piece) = input;
    let mut frames = Frames::new(REQUEST);
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        frames.push(piece);
        while let Ok(Some(frame)) = frames.take() {
            assert!(frame.len() <= REQUEST);
            request(&frame);
        }
    }
    request(&bytes);
    if let Some(answer) = value::<Answer>(&bytes)
        && let Some(again) = frame(&answer, ANSWER)
    {
        assert_eq!(value::<Answer>(&again[4..]), Some(answer));
    }
    page(bytes, lies);
});

fn request(bytes: &[u8]) {
    if let Some(request) = value::<Request>(bytes) {
        let again = frame(&request, REQUEST).expect("no longer than it came");
        assert_eq!(value::<Request>(&again[4..]), Some(request));
    }
}

fn page(bytes: Vec<u8>, lies: Vec<(u8, u32)>) {
    let shape = Shape::new(12, 13).expect("a shape");
    let memory = HostMemory::new(shape.pages() * shared::PAGE);
    let pages = memory.memory();
    let mut server = Server::create(pages, shape, 8).expect("a server");
    let mut lies = lies.into_iter();
    let liar = move |_| {
        if let Some((at, value)) = lies.next() {
            pages.store_u32_relaxed(usize::from(at & 7) * 4, value);
        }
    };
    with_peer(liar, || {
        let mut room = [0; 5000];
        for _ in 0..8 {
            if let Ok(count) = server.read(&mut room) {
                assert!(count <= 4096);
            }
            if let Ok(count) = server.write(&bytes) {
                assert!(count <= 8192);
            }
            if !server.has_client() {
                server.begin();
            }
            let _ = server.take_due();
        }
    });
}

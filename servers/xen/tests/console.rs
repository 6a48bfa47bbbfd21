//! The console against a terminal.

use proptest::prelude::*;
use shared::{HostMemory, Memory};
use xen::Broken;
use xen::console::Console;
use xen::fake::Terminal;

fn page() -> Memory {
    HostMemory::leak(1)
}

#[test]
fn line_feeds_become_carriage_return_and_line_feed() {
    let page = page();
    let mut console = Console::open(page).unwrap();
    assert_eq!(console.write(b"one\n\ntwo"), Ok(8));
    assert_eq!(Terminal(page).read(), b"one\r\n\r\ntwo");
}

#[test]
fn a_full_ring_takes_what_fits_and_never_waits() {
    let page = page();
    let mut console = Console::open(page).unwrap();
    assert_eq!(console.write(&[b'x'; 2047]), Ok(2047));
    assert_eq!(console.write(b"\n"), Ok(0));
    assert_eq!(console.write(b"ab"), Ok(1));
    assert_eq!(console.write(b"b"), Ok(0));
    assert_eq!(console.room(), Ok(0));
    Terminal(page).read();
    assert_eq!(console.write(b"b"), Ok(1));
    assert_eq!(Terminal(page).read(), b"b");
}

#[test]
fn keys_arrive_in_order_across_the_end_of_the_ring() {
    let page = page();
    let mut console = Console::open(page).unwrap();
    let keys: Vec<u8> = (0..5000).map(|number| (number % 251) as u8).collect();
    let mut got = Vec::new();
    let mut typed = 0;
    while got.len() < keys.len() {
        typed += Terminal(page).write(&keys[typed..]);
        let mut to = [0; 300];
        let len = console.read(&mut to).unwrap();
        got.extend_from_slice(&to[..len]);
    }
    assert_eq!(got, keys);
}

#[test]
fn a_new_server_goes_on_where_the_old_one_was() {
    let page = page();
    Console::open(page).unwrap().write(b"before ").unwrap();
    Terminal(page).write(b"abc");
    Console::open(page).unwrap().read(&mut [0; 2]).unwrap();
    let mut console = Console::open(page).unwrap();
    console.write(b"after").unwrap();
    assert_eq!(Terminal(page).read(), b"before after");
    let mut to = [0; 8];
    assert_eq!(console.read(&mut to), Ok(1));
    assert_eq!(to[0], b'c');
}

#[test]
fn a_console_without_reader_is_known() {
    let page = page();
    let console = Console::open(page).unwrap();
    assert!(console.is_connected());
    Terminal(page).connect(false);
    assert!(!console.is_connected());
}

#[test]
fn indices_that_cannot_be_are_broken() {
    let page = page();
    let mut console = Console::open(page).unwrap();
    page.store_u32_release(3076, 1025);
    assert_eq!(console.read(&mut [0; 8]), Err(Broken));
    page.store_u32_release(3080, 1);
    assert_eq!(console.write(b"x"), Err(Broken));
    assert!(Console::open(page).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_arrives_whole(
        texts in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..3000), 1..8),
    ) {
        let page = page();
        let mut console = Console::open(page).unwrap();
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for text in &texts {
            for byte in text {
                expected.extend_from_slice(if *byte == b'\n' { b"\r\n" } else { std::slice::from_ref(byte) });
            }
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let taken = console.write(rest).unwrap();
                rest = &rest[taken..];
                got.extend(Terminal(page).read());
            }
        }
        prop_assert_eq!(got, expected);
    }
}

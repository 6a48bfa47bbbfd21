//! Swaps of the web server: whoever is at the other end of the cable sees the same bytes as without.

mod common;

use std::sync::atomic::Ordering;

use common::{Response, World, ask, connect, exchange, get, pattern};

/// A swap behind each turn, and rarer ones.
const EVERY: [u64; 3] = [1, 2, 5];

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("large.bin", pattern(700_000, 1)),
        ("small.txt", b"small".to_vec()),
        ("index/index.html", b"<p>index</p>".to_vec()),
        ("list/a.txt", vec![1]),
        ("list/b.txt", vec![2, 2]),
    ]
}

#[test]
fn a_large_file_arrives_byte_for_byte() {
    for turns in EVERY {
        let files = files();
        let (world, swaps) = World::swapping(&files, turns);
        let mut peer = world.host();
        let response = get(&mut peer, "/files/large.bin");
        assert_eq!(response.status, 200);
        assert!(response.body == files[0].1, "a swap behind every {turns} turns");
        assert!(swaps.load(Ordering::SeqCst) > 20, "{turns}");
    }
}

#[test]
fn a_connection_goes_on_from_request_to_request() {
    for turns in EVERY {
        let (world, swaps) = World::swapping(&files(), turns);
        let mut peer = world.host();
        let handle = connect(&mut peer);
        for round in 0..10 {
            for (path, status, text) in [
                ("/", 200, "</html>"),
                ("/status.json", 200, "\"system\":\"web\""),
                ("/files/small.txt", 200, "small"),
                ("/files/index/", 200, "index"),
                ("/files/list/", 200, "b.txt"),
                ("/files/list", 301, "directory"),
                ("/files/none", 404, "no file"),
            ] {
                let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
                let response = exchange(&mut peer, handle, &request);
                assert_eq!(response.status, status, "{path} in round {round}");
                assert!(response.text().contains(text), "{path} in round {round}");
            }
        }
        assert!(swaps.load(Ordering::SeqCst) > 10, "{turns}");
    }
}

#[test]
fn requests_that_come_in_pieces_are_answered_in_order() {
    let files = files();
    let (world, _) = World::swapping(&files, 1);
    let mut peer = world.host();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..8 {
        let handle = connect(&mut peer);
        let requests: String =
            ["/files/small.txt", "/files/large.bin", "/files/list/", "/files/small.txt"]
                .map(|path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
                .concat();
        let mut rest = requests.as_bytes();
        while !rest.is_empty() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let (piece, behind) = rest.split_at((random as usize % 40 + 1).min(rest.len()));
            peer.send(handle, piece);
            peer.poll();
            rest = behind;
        }
        let four = |all: &[u8]| {
            let mut at = 0;
            let mut found = Vec::new();
            while let Some((response, length)) =
                all.get(at..).and_then(|rest| Response::parse(rest, false))
            {
                found.push(response.body);
                at += length;
            }
            (found.len() == 4).then_some(found)
        };
        let bytes = peer.receive(handle, |all| four(all).is_some());
        let bodies = four(&bytes).expect("four responses");
        assert!(bodies[0] == b"small" && bodies[1] == files[0].1 && bodies[3] == b"small");
        peer.tcp(handle).abort();
        peer.poll();
        peer.forget(handle);
    }
}

#[test]
fn what_is_restarted_meanwhile_is_opened_anew() {
    let (world, _) = World::swapping(&files(), 1);
    let mut peer = world.host();
    assert_eq!(get(&mut peer, "/files/small.txt").text(), "small");
    world.start_fs();
    let again = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        get(&mut peer, "/files/small.txt").text() == "small"
    });
    assert!(again);
    world.start_net();
    assert_eq!(ask(&mut peer, "GET", "/files/small.txt", "").text(), "small");
}

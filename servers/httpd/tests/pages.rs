//! Pages and the rules of HTTP, through the whole way.

mod common;

use common::{Response, World, ask, connect, exchange, get, raw};
use fs::platter::Control;

#[test]
fn the_page_shows_the_servers_of_the_domain() {
    let world = World::new(&[]);
    let mut peer = world.host();
    let page = get(&mut peer, "/");
    assert_eq!(
        (page.status, page.field("content-type").as_deref()),
        (200, Some("text/html; charset=utf-8"))
    );
    for text in ["<h1>Hello</h1>", "httpd", "net", "fs", "4.17", "16 MiB", "/files/"] {
        assert!(page.text().contains(text), "{text}");
    }
    let json = get(&mut peer, "/status.json");
    assert_eq!(json.field("content-type").as_deref(), Some("application/json"));
    assert!(json.text().starts_with("{\"system\":\"web\"") && json.text().ends_with("]}\n"));
}

#[test]
fn a_head_is_a_get_without_its_body() {
    let world = World::new(&[("x.txt", vec![b'x'; 5000])]);
    let mut peer = world.host();
    for target in ["/status.json", "/files/x.txt", "/files/", "/nothing"] {
        let (whole, head) = (ask(&mut peer, "GET", target, ""), ask(&mut peer, "HEAD", target, ""));
        assert_eq!((whole.status, head.body.len()), (head.status, 0), "{target}");
        if target.ends_with("txt") {
            assert_eq!(whole.head, head.head);
            assert_eq!(head.field("content-length").as_deref(), Some("5000"));
        }
    }
}

#[test]
fn a_connection_is_kept_and_closed_as_asked() {
    let world = World::new(&[]);
    let mut peer = world.host();
    let handle = connect(&mut peer);
    for _ in 0..50 {
        let page = exchange(&mut peer, handle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((page.status, page.field("connection").as_deref()), (200, Some("keep-alive")));
    }
    let page =
        exchange(&mut peer, handle, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(page.field("connection").as_deref(), Some("close"));
    peer.wait(|peer| (!peer.tcp(handle).may_recv()).then_some(()));
    let old = raw(&mut peer, b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(Response::parse(&old, false).unwrap().0.status, 200);
    let handle = connect(&mut peer);
    for _ in 0..3 {
        exchange(&mut peer, handle, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::new(&[("one.txt", b"1".to_vec()), ("two.txt", vec![b'2'; 20_000])]);
    let mut peer = world.host();
    let handle = connect(&mut peer);
    let targets = ["/files/one.txt", "/status.json", "/nothing", "/files/two.txt"];
    let mut requests = String::new();
    for round in 0..60 {
        requests += &format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", targets[round % 4]);
    }
    let thread_requests = requests.clone();
    peer.send(handle, thread_requests.as_bytes());
    let mut all = Vec::new();
    for round in 0..60 {
        let (response, length) = loop {
            if let Some(found) = Response::parse(&all, false) {
                break found;
            }
            let before = all.len();
            let more = peer.receive(handle, |more| !more.is_empty());
            all.extend(more);
            assert!(all.len() > before, "the connection ended after {round} responses");
        };
        let expected = [(200, 1), (200, 0), (404, 0), (200, 20_000)][round % 4];
        assert_eq!(response.status, expected.0, "{round}");
        assert!(expected.1 == 0 || response.body.len() == expected.1, "{round}");
        all.drain(..length);
    }
}

#[test]
fn wrong_requests_get_their_status_and_an_end() {
    let world = World::new(&[]);
    let mut peer = world.host();
    for (status, request) in [
        (400, "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_string()),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (400, "GET /files/%2e%2e/%2e%2e/x HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (405, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".into()),
        (405, "DELETE /files/x HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (413, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".into()),
        (414, format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(9000))),
        (431, format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(9000))),
        (431, format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Y: z\r\n".repeat(100))),
        (501, "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        (505, "GET / HTTP/3.0\r\n\r\n".into()),
    ] {
        let bytes = raw(&mut peer, request.as_bytes());
        let (response, length) = Response::parse(&bytes, false).expect("a response");
        assert_eq!((response.status, length), (status, bytes.len()), "{request:.40}");
        assert_eq!(response.field("connection").as_deref(), Some("close"));
        assert_eq!(response.field("allow").is_some(), status == 405);
    }
    assert_eq!(get(&mut peer, "/nothing").status, 404);
    assert_eq!(get(&mut peer, "/").status, 200);
}

#[test]
fn a_system_without_files_has_none() {
    let world = World::with(Control::new(vec![]), false);
    let mut peer = world.host();
    assert_eq!(get(&mut peer, "/files/").status, 404);
    assert!(!get(&mut peer, "/").text().contains("/files/"));
}

//! Files through the whole way: from the disk to a host at the other end of the cable.

mod common;

use common::{Response, World, ask, connect, exchange, get, image, pattern, raw};
use fs::platter::Control;

#[test]
fn files_arrive_byte_for_byte() {
    let sizes = [0, 1, 511, 4096, 8191, 8192, 8193, 65_536, 100_001, 1_500_000];
    let names: Vec<String> =
        sizes.iter().map(|size| format!("dir/file of {size} bytes.bin")).collect();
    let files: Vec<(&str, Vec<u8>)> = names
        .iter()
        .zip(sizes)
        .map(|(name, size)| (name.as_str(), pattern(size, size as u32)))
        .collect();
    let world = World::new(&files);
    let mut peer = world.host();
    for (name, content) in &files {
        let response = get(&mut peer, &format!("/files/{}", name.replace(' ', "%20")));
        assert_eq!(response.status, 200, "{name}");
        assert!(response.body == *content, "{name}");
        assert_eq!(response.field("content-type").as_deref(), Some("application/octet-stream"));
    }
    // The same on one connection.
    let handle = connect(&mut peer);
    for (name, content) in &files {
        let target = name.replace(' ', "%20");
        let request = format!("GET /files/{target} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(exchange(&mut peer, handle, &request).body == *content, "{name}");
    }
}

#[test]
fn parts_of_files_can_be_asked_for() {
    let content = pattern(50_000, 1);
    let world = World::new(&[("f.bin", content.clone())]);
    let mut peer = world.host();
    for (range, from, to) in [
        ("0-0", 0, 1),
        ("100-8299", 100, 8300),
        ("49990-", 49_990, 50_000),
        ("-20000", 30_000, 50_000),
    ] {
        let response = ask(&mut peer, "GET", "/files/f.bin", &format!("Range: bytes={range}\r\n"));
        assert_eq!(response.status, 206, "{range}");
        assert!(response.body == content[from..to], "{range}");
        assert_eq!(response.field("content-range"), Some(format!("bytes {from}-{}/50000", to - 1)));
    }
    let beyond = ask(&mut peer, "GET", "/files/f.bin", "Range: bytes=50000-\r\n");
    assert_eq!(
        (beyond.status, beyond.field("content-range").as_deref()),
        (416, Some("bytes */50000"))
    );
    let several = ask(&mut peer, "GET", "/files/f.bin", "Range: bytes=0-1,5-6\r\n");
    assert_eq!((several.status, several.body.len()), (200, 50_000));
}

#[test]
fn types_and_names_are_as_they_should_be() {
    let world = World::new(&[
        ("a.html", vec![1]),
        ("b.css", vec![1]),
        ("ünïcödé & <more>.txt".replace(['<', '>'], "_").as_str(), vec![7]),
    ]);
    let mut peer = world.host();
    assert_eq!(
        get(&mut peer, "/files/a.html").field("content-type").as_deref(),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        get(&mut peer, "/files/B.CSS").field("content-type").as_deref(),
        Some("text/css; charset=utf-8")
    );
    assert_eq!(get(&mut peer, "/files/%C3%BCn%C3%AFc%C3%B6d%C3%A9%20&%20_more_.txt").body, [7]);
    for target in ["/files/none", "/files/a.html/x", "/files/none/x", "/files/a.html%00", "/filesx"]
    {
        let status = get(&mut peer, target).status;
        assert!(status == 404 || status == 400, "{target}: {status}");
    }
    let long = format!("/files/{}", "y".repeat(1500));
    assert_eq!(get(&mut peer, &long).status, 404);
}

#[test]
fn directories_are_listed_or_have_an_index() {
    let names: Vec<String> = (0..300).map(|n| format!("many/a file & number {n}.txt")).collect();
    let mut files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), vec![0; 9])).collect();
    files.push(("site/index.html", b"<p>index".to_vec()));
    files.push(("empty/", vec![]));
    let world = World::new(&files);
    let mut peer = world.host();
    let root = get(&mut peer, "/files/");
    assert!(root.status == 200 && root.field("transfer-encoding").is_some());
    for link in ["href=\"many/\"", "href=\"site/\"", "href=\"empty/\"", "href=\"../\""] {
        assert!(root.text().contains(link), "{link} in {}", root.text());
    }
    let many = get(&mut peer, "/files/many/").text();
    assert!((0..300).all(|n| many.contains(&format!(
        "href=\"a%20file%20%26%20number%20{n}.txt\">a file &amp; number {n}.txt</a>"
    ))));
    assert!(many.starts_with("<!doctype html>") && many.ends_with("</html>\n"));
    for (from, to) in [("/files", "/files/"), ("/files/many", "/files/many/")] {
        let response = get(&mut peer, from);
        assert_eq!((response.status, response.field("location").as_deref()), (301, Some(to)));
    }
    assert_eq!(get(&mut peer, "/files/site/").text(), "<p>index");
    assert_eq!(get(&mut peer, "/files/empty/").status, 200);
    let old = raw(&mut peer, b"GET /files/many/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let (old, _) = Response::parse(&old, false).unwrap();
    assert_eq!(
        (old.field("transfer-encoding"), old.text()),
        (None, many),
        "ended by the connection"
    );
}

#[test]
fn a_missing_or_broken_disk_is_an_answer_too() {
    let content = pattern(100_000, 3);
    let disk = image(&[("f.bin", content.clone())]);
    let control = Control::new(disk.clone());
    control.remove(true);
    let world = World::with(control, true);
    let mut peer = world.host();
    assert_eq!(get(&mut peer, "/files/f.bin").status, 503);
    assert_eq!(get(&mut peer, "/").status, 200);
    world.control.remove(false);
    let late = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while get(&mut peer, "/files/f.bin").status != 200 {
        assert!(std::time::Instant::now() < late, "the disk never came back");
    }
    // Unreadable in the middle: what was promised cannot be kept, so the connection breaks.
    let place = disk.windows(64).position(|bytes| bytes == &content[..64]).unwrap();
    world.control.spoil((place as u64 + 90_000) / 512, (place as u64 + 90_000) / 512 + 8);
    world.start_fs();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let bytes = raw(&mut peer, b"GET /files/f.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(Response::parse(&bytes, false).is_none() && !bytes.is_empty());
    assert_eq!(get(&mut peer, "/").status, 200);
    assert_eq!(ask(&mut peer, "GET", "/files/f.bin", "Range: bytes=0-99\r\n").body, content[..100]);
}

#[test]
fn what_is_no_volume_is_told() {
    let world = World::with(Control::new(vec![0x55; 1 << 20]), true);
    let mut peer = world.host();
    assert_eq!(get(&mut peer, "/files/x").status, 500);
    assert_eq!(get(&mut peer, "/").status, 200);
}

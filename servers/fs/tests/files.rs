//! Files are found, listed and read as they were written.

mod common;

use common::{Client, World, image, pattern};
use fatfs::FatType::{Fat12, Fat16, Fat32};
use ipc::files::{INVALID, NOT_FOUND, OK, WRONG_KIND};

const MIB: usize = 1 << 20;

fn small_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("readme.txt", b"hello".to_vec()),
        ("EMPTY.BIN", vec![]),
        ("a rather long name with spaces.html", pattern(10_000, 1)),
        ("ünïcödé.txt", pattern(513, 2)),
        ("deep/deeper/deepest/leaf.dat", pattern(100_001, 3)),
        ("deep/other", pattern(4096, 4)),
    ]
}

#[test]
fn all_kinds_of_volumes_are_read() {
    for (kind, bytes, cluster) in [
        (Fat12, 2 * MIB, 1024),
        (Fat16, 16 * MIB, 2048),
        (Fat32, 40 * MIB, 512),
        (Fat32, 320 * MIB, 4096),
    ] {
        let files = small_files();
        let world = World::new(image(kind, bytes, cluster, &files));
        let mut client = world.client(0);
        for (path, content) in &files {
            assert!(client.content(path) == *content, "{kind:?} {path}");
        }
        assert!(world.lines().contains("volume on a disk of"), "{}", world.lines());
    }
}

#[test]
fn sixty_four_mebibytes_are_read_byte_for_byte() {
    for (size, cluster, bytes) in [(64 * MIB, 512, 72 * MIB), (8 * MIB, 4096, 290 * MIB)] {
        let content = pattern(size, 9);
        let files = [("before", pattern(5000, 1)), ("random.bin", content.clone())];
        let world = World::new(image(Fat32, bytes, cluster, &files));
        assert!(world.client(0).content("random.bin") == content, "{cluster}");
        let requests = world.control.log();
        let large = requests.iter().filter(|(_, sectors)| *sectors == 88).count();
        assert!(large > size / 50_000, "{large} of {} requests were large", requests.len());
    }
}

#[test]
fn names_are_found_without_regard_to_case_and_nonsense_is_not() {
    let files = [("Readme.TXT", vec![1]), ("dir/Index.html", vec![2]), ("long name.md", vec![3])];
    let world = World::new(image(Fat32, 40 * MIB, 512, &files));
    let mut client = world.client(0);
    for path in [
        "Readme.TXT",
        "readme.txt",
        "/Readme.TXT",
        "//readme.txt",
        "LONG NAME.MD",
        "DIR/index.HTML",
    ] {
        assert_eq!(client.lookup(path).status, OK, "{path}");
    }
    for path in [
        "readme",
        "readme.txt.",
        "dir/..",
        "../Readme.TXT",
        "dir/../Readme.TXT",
        ".",
        "Readme.TXT/x",
        "no/x",
        "\u{0}",
    ] {
        assert_eq!(client.lookup(path).status, NOT_FOUND, "{path}");
    }
    let root = client.lookup("");
    assert_eq!((root.status, root.length), (OK, 1));
    let found = client.lookup("dir/");
    assert_eq!((found.status, found.length, found.size), (OK, 1, 0));
}

#[test]
fn exact_names_come_before_similar_ones() {
    // Two names that differ in case only cannot be made by an honest writer; so one is changed on the disk.
    let files =
        [("aaaaaaaaaaaaaa.txt", b"first".to_vec()), ("baaaaaaaaaaaaa.txt", b"second".to_vec())];
    let mut disk = image(Fat16, 16 * MIB, 2048, &files);
    let long = "baaaaaaaaaaaa".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let at = disk.windows(10).position(|bytes| bytes == &long[..10]).unwrap();
    disk[at] = b'A';
    let world = World::new(disk);
    let mut client = world.client(0);
    assert_eq!(client.content("Aaaaaaaaaaaaaa.txt"), b"second");
    assert_eq!(client.content("aaaaaaaaaaaaaa.txt"), b"first");
    assert_eq!(client.content("AAAAAAAAAAAAAA.txt"), b"first");
}

#[test]
fn directories_are_listed_whole() {
    let names: Vec<String> =
        (0..700).map(|n| format!("a file with number {n:04} and a long name.txt")).collect();
    let mut files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), vec![0; 3])).collect();
    files.push(("sub/one.txt", vec![1]));
    files.push(("sub/two/three", vec![2]));
    let world = World::new(image(Fat32, 40 * MIB, 512, &files));
    let mut client = world.client(0);
    let listed = client.list("");
    assert_eq!(listed.len(), 701);
    assert!(names.iter().zip(&listed).all(|(name, entry)| *name == entry.name && entry.size == 3));
    assert!(listed[700].is_directory && listed[700].name == "sub");
    let sub: Vec<String> = client.list("sub").into_iter().map(|entry| entry.name).collect();
    assert_eq!(sub, ["one.txt", "two"]);
    // Again from the middle, and backwards.
    let (root, _) = client.open("");
    for from in [650, 10, 300, 0] {
        let (status, entries, _) = client.page(root, from);
        assert_eq!((status, &entries[0]), (OK, &listed[from as usize]));
    }
    assert_eq!(client.page(root, 10_000), (OK, vec![], 0));
}

#[test]
fn any_part_of_a_file_can_be_read() {
    let content = pattern(300_000, 5);
    let world = World::new(image(Fat16, 16 * MIB, 2048, &[("file", content.clone())]));
    let mut client = world.client(0);
    let (file, size) = client.open("file");
    assert_eq!(size, 300_000);
    for (offset, length) in [
        (0, 1),
        (1, 8192),
        (299_999, 100),
        (300_000, 5),
        (1 << 40, 5),
        (150_001, 0),
        (8191, 4097),
        (4096, 4096),
    ] {
        let from = (offset as usize).min(content.len());
        let to = (from + length).min(content.len());
        assert_eq!(
            client.read(file, offset, length),
            (OK, content[from..to].to_vec()),
            "{offset} {length}"
        );
    }
    let mut at = 7;
    for _ in 0..300 {
        at = (at * 48_271) % 299_000;
        let to = (at + 3000).min(content.len());
        assert!(client.read(file, at as u64, 3000).1 == content[at..to]);
    }
}

#[test]
fn fragmented_files_are_read_in_order() {
    // Two files that grow by turns have every second cluster.
    use std::io::Write;
    let mut disk = std::io::Cursor::new(image(Fat32, 40 * MIB, 512, &[]));
    let (one, two) = (pattern(400_000, 6), pattern(400_000, 7));
    {
        let volume = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new()).unwrap();
        let root = volume.root_dir();
        let (mut first, mut second) =
            (root.create_file("one").unwrap(), root.create_file("two").unwrap());
        for at in (0..400_000).step_by(500) {
            first.write_all(&one[at..at + 500]).unwrap();
            second.write_all(&two[at..at + 500]).unwrap();
        }
    }
    let world = World::new(disk.into_inner());
    let mut client = world.client(0);
    assert!(client.content("two") == two);
    assert!(client.content("one") == one);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let world =
        World::new(image(Fat16, 16 * MIB, 2048, &[("file", vec![1; 10]), ("dir/x", vec![])]));
    let mut client = world.client(0);
    let (file, _) = client.open("file");
    let (directory, _) = client.open("dir");
    assert_eq!(client.read(directory, 0, 10).0, WRONG_KIND);
    assert_eq!(client.page(file, 0).0, WRONG_KIND);
    assert_eq!(client.read(77, 0, 10).0, INVALID);
    assert_eq!(client.read(u32::MAX, 0, 10).0, INVALID);
    assert_eq!(client.read(file, 0, 8193).0, INVALID);
    client.files.read(9, 32, file, 0, 10);
    assert_eq!(client.answer().status, INVALID, "no such buffer");
    client.files.read(9, 5, file, 0, 10);
    client.files.read(10, 5, file, 0, 10);
    let answers = [client.answer(), client.answer()];
    assert!(answers.iter().any(|answer| answer.status == INVALID), "a buffer twice");
    client.release(file);
    assert_eq!(client.read(file, 0, 10).0, INVALID, "released");
    let mut open = 0;
    while client.lookup("file").status == OK {
        open += 1;
    }
    assert_eq!(open, ipc::files::OPEN_FILES - 1, "the directory is open too");
}

#[test]
fn clients_do_not_see_each_others_files() {
    let world = World::new(image(Fat16, 16 * MIB, 2048, &[("file", vec![1; 10])]));
    let (mut one, mut two): (Client, Client) = (world.client(0), world.client(1));
    let (file, _) = one.open("file");
    assert_eq!(two.read(file, 0, 10).0, INVALID);
    assert_eq!(one.read(file, 0, 10).0, OK);
}

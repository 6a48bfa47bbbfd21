//! Swaps of the file system: clients see the same answers as without.

mod common;

use std::sync::atomic::Ordering;

use common::{Client, World, image, pattern};
use fatfs::FatType;
use fs::platter::Control;
use ipc::files::OK;

/// Turns between two swaps: a step that needs blocks comes to its end between two of them.
const EVERY: [u64; 4] = [23, 31, 40, 57];

fn disk(files: &[(&str, Vec<u8>)]) -> Control {
    Control::new(image(FatType::Fat16, 16 << 20, 2048, files))
}

#[test]
fn contents_and_lists_are_the_same() {
    let large = pattern(900_000, 3);
    let names: Vec<String> = (0..120).map(|n| format!("deep/er/name of entry {n}.txt")).collect();
    let mut files: Vec<(&str, Vec<u8>)> =
        names.iter().map(|name| (name.as_str(), name.clone().into_bytes())).collect();
    files.push(("large.bin", large.clone()));
    for every in EVERY {
        let world = World::swapping(disk(&files), every);
        let mut client = world.client(0);
        assert!(client.content("large.bin") == large, "a swap behind every {every} turns");
        assert_eq!(client.list("deep/er").len(), 120);
        for name in &names {
            assert_eq!(client.content(name), name.as_bytes());
        }
        assert!(world.swaps.load(Ordering::SeqCst) > 5, "{every}");
        let told = world.lines();
        assert_eq!(told.matches("FAT16 volume").count(), 1, "{told}");
    }
}

#[test]
fn open_files_and_directories_stay_open() {
    let content = pattern(100_000, 8);
    let files = [("a/b/f.bin", content.clone()), ("a/b/g.txt", vec![7])];
    let world = World::swapping(disk(&files), 29);
    let mut client = world.client(1);
    let (file, size) = client.open("a/b/f.bin");
    let (directory, _) = client.open("a/B");
    let (root, _) = client.open("");
    assert_eq!(size, 100_000);
    for round in 0..60_u64 {
        let offset = round * 7919 % 92_000;
        let (status, bytes) = client.read(file, offset, 8000);
        assert_eq!(status, OK);
        assert!(bytes == content[offset as usize..offset as usize + 8000], "{round}");
        let (status, entries, _) = client.page(directory, 0);
        assert_eq!((status, entries.len()), (OK, 2));
        let (status, entries, _) = client.page(root, 0);
        assert_eq!((status, entries.len()), (OK, 1));
    }
    assert!(world.swaps.load(Ordering::SeqCst) > 5);
    [file, directory, root].into_iter().for_each(|file| client.release(file));
}

#[test]
fn requests_that_wait_are_answered_once_each() {
    let names: Vec<String> = (0..30).map(|n| format!("f{n}.bin")).collect();
    let files: Vec<(&str, Vec<u8>)> = names
        .iter()
        .zip(1..)
        .map(|(name, n)| (name.as_str(), pattern(n * 1000, n as u32)))
        .collect();
    for every in [&[0], EVERY.as_slice()].concat() {
        let world = World::swapping(disk(&files), every);
        let mut client: Client = world.client(2);
        let asked: Vec<u16> = (0..)
            .zip(&names)
            .map(|(id, name)| {
                let buffer = client.files.take_buffer().unwrap();
                assert!(client.files.lookup(id, buffer, name.as_bytes()));
                buffer
            })
            .collect();
        let mut sizes = vec![None; names.len()];
        for _ in 0..names.len() {
            let answer = client.answer();
            assert_eq!(answer.status, OK);
            assert_eq!(sizes[answer.id as usize].replace(answer.size), None);
            client.files.release_buffer(asked[answer.id as usize]);
        }
        let expected: Vec<Option<u64>> = (1..=30).map(|n| Some(n * 1000)).collect();
        assert_eq!(sizes, expected);
    }
}

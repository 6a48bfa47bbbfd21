//! Slow, failing, exchanged and corrupt disks: answers and errors, never a hang or a panic.

mod common;

use std::time::{Duration, Instant};

use common::{Client, World, image, pattern};
use fatfs::FatType::{Fat12, Fat16, Fat32};
use fs::platter::Control;
use ipc::files::{BUFFER_BYTES, CORRUPT, FAILED, NOT_READY, OK};

const MIB: usize = 1 << 20;

#[test]
fn a_request_that_waits_for_the_disk_holds_up_no_other() {
    let files = [("cold", pattern(100_000, 1)), ("warm", pattern(5000, 2))];
    let world = World::new(image(Fat16, 16 * MIB, 2048, &files));
    let mut client = world.client(0);
    let (cold, _) = client.open("cold");
    let (warm, _) = client.open("warm");
    assert_eq!(client.read(warm, 0, 5000).0, OK);
    world.control.hold(true);
    let buffer = client.files.take_buffer().unwrap();
    client.files.read(99, buffer, cold, 50_000, 1000);
    for _ in 0..100 {
        assert_eq!(client.read(warm, 0, 5000), (OK, files[1].1.clone()));
    }
    world.control.hold(false);
    assert_eq!((client.answer().id, client.files.answer()), (99, None));
}

#[test]
fn many_requests_are_open_at_once() {
    let content = pattern(3 * MIB, 3);
    let world = World::new(image(Fat32, 40 * MIB, 512, &[("file", content.clone())]));
    let mut client = world.client(0);
    let (file, _) = client.open("file");
    let mut at = std::collections::HashMap::new();
    for id in 0..32 {
        let buffer = client.files.take_buffer().unwrap();
        let offset = u64::from(id) * 99_000;
        at.insert(id, (buffer, offset as usize));
        assert!(client.files.read(id, buffer, file, offset, BUFFER_BYTES as u32));
    }
    for _ in 0..32 {
        let answer = client.answer();
        let (buffer, offset) = at.remove(&answer.id).unwrap();
        let mut bytes = vec![0; BUFFER_BYTES];
        client.files.copy(buffer, 0, &mut bytes);
        assert_eq!((answer.status, answer.length as usize), (OK, BUFFER_BYTES));
        assert!(bytes == content[offset..offset + BUFFER_BYTES]);
    }
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_read() {
    let content = pattern(500_000, 4);
    let disk = image(Fat16, 16 * MIB, 2048, &[("file", content.clone())]);
    let place = disk.windows(64).position(|bytes| bytes == &content[..64]).unwrap();
    let world = World::new(disk);
    let mut client = world.client(0);
    let (file, _) = client.open("file");
    let sector = (place + 200_000) as u64 / 512;
    world.control.spoil(sector, sector + 1);
    assert_eq!(client.read(file, 199_000, 4000).0, FAILED);
    assert!(client.read(file, 300_000, 4000) == (OK, content[300_000..304_000].to_vec()));
    world.control.spoil(0, 0);
    assert!(client.read(file, 199_000, 4000) == (OK, content[199_000..203_000].to_vec()));
}

#[test]
fn a_disk_that_comes_late_is_mounted_when_it_comes() {
    let control = Control::new(image(Fat16, 16 * MIB, 2048, &[("file", vec![7; 70])]));
    control.remove(true);
    let world = World::with(control);
    let mut client = world.client(0);
    assert_eq!(client.lookup("file").status, NOT_READY);
    world.control.remove(false);
    let mut client = reopened(&world, client);
    assert_eq!(client.content("file"), [7; 70]);
}

/// The client after its session ended, or the same.
fn reopened(world: &World, mut client: Client) -> Client {
    let late = Instant::now() + Duration::from_millis(1500);
    while client.files.is_current() && Instant::now() < late {
        std::thread::sleep(Duration::from_millis(5));
    }
    if client.files.is_current() && client.lookup("").status == OK {
        client
    } else {
        world.client(0)
    }
}

#[test]
fn reading_goes_on_after_a_restart_of_the_driver() {
    let content = pattern(2 * MIB, 5);
    let world = World::new(image(Fat32, 40 * MIB, 512, &[("file", content.clone())]));
    let mut client = world.client(0);
    let (file, _) = client.open("file");
    for (round, at) in (0..content.len()).step_by(BUFFER_BYTES).enumerate() {
        if round % 100 == 50 {
            world.control.restart();
        }
        let to = (at + BUFFER_BYTES).min(content.len());
        let (status, bytes) = client.read(file, at as u64, BUFFER_BYTES);
        assert!(status == OK && bytes == content[at..to], "{at}");
    }
    assert!(client.files.is_current());
}

#[test]
fn another_disk_is_noticed() {
    let world = World::new(image(Fat16, 16 * MIB, 2048, &[("old", vec![1])]));
    let mut client = world.client(0);
    client.open("old");
    world.control.replace(image(Fat16, 17 * MIB, 2048, &[("new", vec![2])]));
    // The next request that needs the disk finds it changed.
    let buffer = client.files.take_buffer().unwrap();
    client.files.lookup(1, buffer, b"old/or/not");
    let _ = client.files.flush();
    let mut client = reopened(&world, client);
    client.wait(|client| {
        (!client.files.is_current() || client.lookup("new").status == OK).then_some(())
    });
    let mut client = reopened(&world, client);
    assert_eq!(client.content("new"), [2]);
}

#[test]
fn what_is_no_volume_is_corrupt() {
    for disk in [vec![0; MIB], vec![0xff; MIB], pattern(MIB, 8), vec![0; 512], vec![]] {
        let world = World::new(disk);
        let mut client = world.client(0);
        assert_eq!(client.lookup("file").status, CORRUPT, "{}", world.lines());
    }
}

#[test]
fn a_directory_that_bites_its_tail_ends() {
    // 304 files, of two entries each, fill 38 clusters of the root; the last is made to lead back to the first.
    let names: Vec<String> = (0..304).map(|n| format!("file{n}")).collect();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (name.as_str(), vec![])).collect();
    let mut disk = image(Fat32, 40 * MIB, 512, &files);
    let word = |disk: &[u8], at: usize| u32::from_le_bytes(disk[at..at + 4].try_into().unwrap());
    let reserved = usize::from(u16::from_le_bytes([disk[14], disk[15]])) * 512;
    let root = word(&disk, 44);
    let mut last = root;
    while word(&disk, reserved + 4 * last as usize) < 0x0fff_fff0 {
        last = word(&disk, reserved + 4 * last as usize);
    }
    assert_ne!(last, root);
    disk[reserved + 4 * last as usize..][..4].copy_from_slice(&root.to_le_bytes());
    let world = World::new(disk);
    let mut client = world.client(0);
    assert_eq!(client.lookup("not there").status, CORRUPT);
    assert_eq!(client.lookup("file299").status, OK);
    let (directory, _) = client.open("");
    let mut from = 0;
    let status = loop {
        let (status, _, next) = client.page(directory, from);
        if status != OK || next == 0 {
            break status;
        }
        from = next;
    };
    assert_eq!(status, CORRUPT);
}

/// A small generator of numbers (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn damaged_volumes_give_errors_and_never_a_panic() {
    let files = [
        ("readme.txt", pattern(3000, 1)),
        ("dir/sub/a long name.txt", pattern(20_000, 2)),
        ("dir/b", vec![3; 9]),
    ];
    let mut dice = Dice(0x0dd0_beef_cafe_1234);
    for (kind, bytes, cluster) in
        [(Fat12, MIB, 1024), (Fat16, 9 * MIB, 2048), (Fat32, 34 * MIB, 512)]
    {
        let good = image(kind, bytes, cluster, &files);
        let used = good.iter().rposition(|&byte| byte != 0).unwrap() + 512;
        for round in 0..75 {
            let mut disk = good.clone();
            // Alternately: the boot sector, the tables and directories, anything.
            let limit = [90, 40_000.min(used), used][round % 3];
            for _ in 0..1 + dice.roll() % 8 {
                let at = dice.roll() as usize % limit;
                disk[at] = [0, 0xff, dice.roll() as u8, disk[at] ^ 1 << (dice.roll() % 8)]
                    [dice.roll() as usize % 4];
            }
            let world = World::new(disk);
            let mut client = world.client(0);
            for path in ["readme.txt", "dir/sub/a long name.txt", "dir/none", ""] {
                let found = client.lookup(path);
                if found.status == OK && found.length == 0 {
                    let mut at = 0;
                    while at < found.size.min(60_000) {
                        let (status, bytes) = client.read(found.file, at, BUFFER_BYTES);
                        if status != OK || bytes.is_empty() {
                            break;
                        }
                        at += bytes.len() as u64;
                    }
                } else if found.status == OK {
                    client.page(found.file, 0);
                }
            }
        }
    }
}

#[test]
fn random_bytes_in_a_clients_memory_cost_only_that_client() {
    let world = World::new(image(Fat16, 16 * MIB, 2048, &[("file", vec![5; 5000])]));
    let mut good = world.client(1);
    let mut dice = Dice(0x1357_9bdf_0246_8ace);
    for round in 0..50 {
        let mut bad = world.client(0);
        let up = world.bells[0].up;
        for _ in 0..100 {
            let buffer = bad.files.take_buffer();
            buffer.map(|buffer| bad.files.lookup(1, buffer, b"file"));
            let limit = [32, 1024, up.len() / 4][dice.roll() as usize % 3];
            up.store_u32_release(4 * (dice.roll() as usize % limit), dice.roll() as u32);
            let _ = bad.files.flush();
            bad.files.answer();
        }
        if round % 10 == 0 {
            assert_eq!(good.content("file"), [5; 5000]);
        }
    }
    assert!(good.files.is_current());
}

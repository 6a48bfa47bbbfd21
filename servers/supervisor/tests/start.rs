//! Starting a system: what a server finds, and what is refused.

mod common;

use abi::Word;
use abi::image::HEADER;
use abi::kernel::control::{Access, HandleKind, MAY_PRINT, NO_PEER, REGION_STORE, SlotState};
use abi::layout::{CLOCK, DEVICE, HEAP, STACK_END, START};
use abi::start::Start;
use common::image::{APP, DATA, DRIVER, LOG, STORE, changed, pack, sample};
use common::{Bench, parts};
use ipc::system::{DevicePage, Target};

#[test]
fn servers_start_most_urgent_first() {
    let bench = Bench::started();
    assert_eq!(bench.kernel().started, [STORE, DRIVER, APP, LOG]);
    assert_eq!(bench.kernel().configured[&APP], (50, 0));
    assert!((1..5).all(|slot| bench.kernel().slots[&slot] == SlotState::Up));
}

#[test]
fn a_server_finds_its_memory() {
    let bench = Bench::started();
    let kernel = bench.kernel();
    let access = |address| kernel.model(APP).maps.get(&address).map(|map| map.2);
    assert_eq!(access(0x40_0000), Some(Access::Execute));
    assert_eq!(access(0x40_1000), Some(Access::Read));
    assert_eq!(access(0x40_2000 + 34 * 4096), Some(Access::Write));
    assert_eq!(access(STACK_END - 4096), Some(Access::Write));
    assert_eq!(access(STACK_END - 17 * 4096), None);
    assert_eq!(access(HEAP + 39 * 4096), Some(Access::Write));
    assert_eq!(access(HEAP + 40 * 4096), None);
    assert_eq!((access(CLOCK), access(START)), (Some(Access::Read), Some(Access::Read)));
    assert_eq!(access(DEVICE), None);
    assert_eq!(kernel.model(STORE).maps[&DEVICE], (REGION_STORE, 0, Access::Write));
    assert_eq!(kernel.bytes(APP, 0x40_2000, DATA.len()), DATA);
    assert_eq!(kernel.bytes(APP, 0x40_2000 + DATA.len() as u64, 100), [0; 100]);
}

#[test]
fn a_server_finds_its_record_with_facts_and_overrides() {
    let parts = parts();
    parts
        .fake
        .lock()
        .unwrap()
        .regions
        .get_mut(&abi::kernel::control::REGION_CONSOLE)
        .unwrap()
        .pages = 0;
    let bench = Bench::on(parts, sample(), "quiet app.key=line app.more=1 nobody.x=1").unwrap();
    let bytes = bench.kernel().bytes(APP, START, 4096);
    let length = abi::start::length(&bytes[..64]).unwrap();
    let start = Start::read(&bytes[..length]).unwrap();
    assert_eq!((start.name, start.header.slot, start.header.heap_pages), ("app", APP, 40));
    assert_eq!((start.config("key"), start.config("more")), (Some("line"), Some("1")));
    assert_eq!((start.config("console"), start.config("xenstore")), (Some("absent"), None));
    assert_eq!(bench.log(), ["the command line sets nobody, but no slot has that name"]);
}

#[test]
fn handles_lead_where_the_table_says() {
    let bench = Bench::started();
    let kernel = bench.kernel();
    let word =
        |kind: HandleKind, object: u64, badge: u64| kind.to_word() | object << 16 | badge << 32;
    let driver = &kernel.model(DRIVER).handles;
    assert_eq!(driver[&2], (word(HandleKind::Wire, 2, 3 << 8), 1));
    assert_eq!(driver[&3], (word(HandleKind::Port, 1, 0), 0));
    assert_eq!(driver[&4], (word(HandleKind::Window, 0, 0), 0));
    assert_eq!(kernel.model(LOG).handles[&0], (word(HandleKind::Own, 0, 0), MAY_PRINT));
    assert!(!driver.contains_key(&0));
    assert_eq!(kernel.servers[&0].handles[&2], (word(HandleKind::Bell, 1, 0), 1));
}

#[test]
fn ports_and_windows_have_no_peer_at_first() {
    let bench = Bench::started();
    let kernel = bench.kernel();
    assert_eq!((kernel.ports[&0].1, kernel.ports[&1].1), (0, NO_PEER));
    assert_eq!(kernel.windows[&0], (64, NO_PEER));
}

#[test]
fn shared_memory_is_mapped_for_the_supervisor_too() {
    let bench = Bench::started();
    assert_eq!(bench.kernel().servers[&0].maps[&0x80_0000_2000].2, Access::Write);
    assert_eq!(bench.kernel().servers[&0].maps[&0x80_0001_0000].2, Access::Read);
    assert_eq!(bench.heard.lock().unwrap().log_memory.unwrap().up_pages, 3);
}

#[test]
fn a_device_page_that_does_not_exist_is_not_mapped() {
    let parts = parts();
    parts.fake.lock().unwrap().regions.get_mut(&REGION_STORE).unwrap().pages = 0;
    let bench = Bench::on(parts, sample(), "").unwrap();
    assert!(!bench.kernel().model(STORE).maps.contains_key(&DEVICE));
}

fn refusal(image: &'static [u8]) -> String {
    Bench::new(image, "").err().expect("it is refused")
}

#[test]
fn broken_tables_are_refused_in_words() {
    let text = refusal(changed(|system| system.slots[4].image = 9));
    assert_eq!(text, "the system table names something that does not exist: image");
    let text = refusal(changed(|system| system.slots[1].handles = 200));
    assert_eq!(text, "the boot image has more handles than its header says");
    let text = refusal(changed(|system| system.images[1].entry = 0x40_1000));
    assert_eq!(text, "the image of server does not start in its own code");
    let text = refusal(changed(|system| system.slots[2].priority = 100));
    assert_eq!(text, "a wire does not go up in priority");
    let text = refusal(changed(|system| {
        system.slots[4].table.push(ipc::system::Handle { index: 7, target: Target::Port(5) })
    }));
    assert_eq!(text, "the system table names something that does not exist: port");
    let text = refusal(changed(|system| system.slots[1].device_page = Some(DevicePage::Store)));
    assert_eq!(text, "two slots would have the page of xenstore");
}

#[test]
fn no_changed_byte_of_a_server_gets_past() {
    let image = pack(|_| {});
    for at in (6 * 4096..image.len()).step_by(61) {
        let mut changed = image.clone();
        changed[at] ^= 1 << (at % 8);
        let changed = Box::leak(changed.into_boxed_slice());
        assert_eq!(refusal(changed), "the image of server was changed after packing", "byte {at}");
    }
}

#[test]
fn a_damaged_table_never_panics() {
    let image = pack(|_| {});
    let end = abi::image::Header::fields(&image).unwrap().table_bytes as usize + HEADER;
    for at in HEADER..end {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = image.clone();
            damaged[at] ^= flip;
            let _ = supervisor::check::decode(&damaged)
                .map(|(_, system)| supervisor::check::images(&damaged, &system).is_ok());
        }
        assert!(supervisor::check::decode(&image[..at]).is_err());
    }
}

#[test]
fn a_start_that_fails_says_why() {
    let parts = parts();
    parts.fake.lock().unwrap().free = 200;
    let text = Bench::on(parts, sample(), "").err().unwrap();
    assert_eq!(text, "cannot start app: no memory is left");
}

#[test]
fn whatever_the_kernel_refuses_ends_the_boot_with_a_line() {
    let mut calls = 0;
    loop {
        let parts = parts();
        parts.fake.lock().unwrap().fail_after = Some(calls);
        match Bench::on(parts, sample(), "") {
            Ok(_) => break,
            Err(text) => assert!(text.starts_with("cannot start "), "{text}"),
        }
        calls += 1;
    }
    assert!(calls > 60);
}

#[test]
fn a_slot_whose_vcpu_is_not_there_lives_on_the_first_and_that_is_told() {
    let image = changed(|system| {
        system.slots[usize::from(APP)].vcpu = 1;
        system.slots[usize::from(LOG)].vcpu = 3;
    });
    let bench = Bench::on(parts(), image, "quiet").unwrap();
    assert_eq!(bench.kernel().configured[&APP], (50, 0));
    let told = "on vCPU 0, as the domain has none for them: log, app";
    assert!(bench.log().iter().any(|line| line == told), "{:?}", bench.log());
}

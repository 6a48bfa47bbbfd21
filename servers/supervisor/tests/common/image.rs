//! A small system, packed by hand: the supervisor, `log`, `xenstore`, a driver with a port and a window, and an application.

use abi::image::{Counts, Header, Segment as RootSegment, sha256};
use abi::kernel::control::Access;
use ipc::system::*;

pub const SUPERVISOR: u16 = 0;
pub const LOG: u16 = 1;
pub const STORE: u16 = 2;
pub const DRIVER: u16 = 3;
pub const APP: u16 = 4;

/// Where the supervisor has the part of the status wire that it writes.
pub const STATUS_AT: u64 = 0x80_0010_0000;
/// Number of the application as the supervisor's client for status and for the operator's interface.
pub const STATUS: u16 = 5;
pub const OPERATOR: u16 = 6;

/// The data that the application finds.
pub const DATA: &[u8] = b"what the application finds in its data";

fn wire(index: u16, slot: u16, channel: u8, client: u16) -> Handle {
    Handle { index, target: Target::Wire { slot, channel, client, bits: 1 } }
}

fn slot(name: &str, priority: u8, handles: u16) -> Slot {
    Slot {
        name: name.into(),
        image: 1,
        priority,
        vcpu: 0,
        restart: Restart::Always,
        longest: 1_000_000_000,
        budget: 0,
        period: 0,
        manager: None,
        quota: [1000, 100, 10, 40, 1, 4, 4, 4000],
        stack_pages: 16,
        heap_pages: 40,
        handles,
        needs: 0,
        clients: 0,
        table: vec![],
        maps: vec![],
        wires: vec![],
        debug: false,
        device_page: None,
        config: "key=manifest\n".into(),
    }
}

pub fn slots() -> Vec<Slot> {
    let mut supervisor = slot("supervisor", 255, 32);
    supervisor.image = 0;
    supervisor.needs = 1;
    supervisor.clients = 8;
    supervisor.table = vec![Handle { index: 2, target: Target::Bell { slot: LOG, bits: 1 } }];
    supervisor.maps = vec![
        Map { region: 0, address: 0x80_0000_2000, writable: true },
        Map { region: 1, address: 0x80_0001_0000, writable: false },
        Map { region: 2, address: STATUS_AT, writable: true },
    ];
    supervisor.wires = vec![WireMemory::default(); 9];
    supervisor.wires[0] =
        WireMemory { up: 0x80_0000_2000, down: 0x80_0001_0000, up_pages: 3, down_pages: 1 };
    supervisor.wires[1 + usize::from(STATUS)] =
        WireMemory { up: 0, down: STATUS_AT, up_pages: 0, down_pages: 2 };
    let mut log = slot("log", 10, 4);
    log.debug = true;
    log.table = vec![wire(1, SUPERVISOR, 0, 1)];
    let mut store = slot("xenstore", 200, 8);
    store.device_page = Some(DevicePage::Store);
    store.table = vec![wire(1, SUPERVISOR, 0, 2), Handle { index: 2, target: Target::Port(0) }];
    let mut driver = slot("driver", 150, 8);
    driver.table = vec![
        wire(1, SUPERVISOR, 0, 3),
        wire(2, STORE, 0, 3),
        Handle { index: 3, target: Target::Port(1) },
        Handle { index: 4, target: Target::Window(0) },
    ];
    let mut app = slot("app", 50, 8);
    (app.budget, app.period) = (2_000_000, 10_000_000);
    app.table = vec![
        wire(1, SUPERVISOR, 0, 4),
        wire(2, DRIVER, 1, 0),
        wire(3, SUPERVISOR, 1, STATUS),
        wire(4, SUPERVISOR, 2, OPERATOR),
    ];
    vec![supervisor, log, store, driver, app]
}

pub fn system(server: &[u8], offset: u64) -> System {
    let image = |name: &str, bytes: u64, sha256, segments| Image {
        name: name.into(),
        offset,
        bytes,
        sha256,
        version: "v1".into(),
        entry: 0x40_0010,
        segments,
        symbols: (0, 0),
        wiring: Default::default(),
    };
    let segment = |rights, at: u64, bytes, address, pages| Segment {
        rights,
        offset: offset + at,
        bytes,
        address,
        pages,
    };
    let segments = vec![
        segment(Rights::Execute, 0, 4096, 0x40_0000, 1),
        segment(Rights::Read, 4096, 4096, 0x40_1000, 1),
        segment(Rights::Write, 8192, DATA.len() as u64, 0x40_2000, 35),
    ];
    System {
        name: "sample".into(),
        images: vec![
            image("supervisor", 0, [0; 32], vec![]),
            image("server", server.len() as u64, sha256(server), segments),
        ],
        slots: slots(),
        regions: vec![
            Region { pages: 3, grantable: false, keep: false },
            Region { pages: 1, grantable: false, keep: false },
            Region { pages: 2, grantable: true, keep: false },
        ],
        ports: vec![
            Port { slot: STORE, bits: 1, target: PortTarget::Store },
            Port { slot: DRIVER, bits: 2, target: PortTarget::Peer },
        ],
        windows: vec![Window { slot: DRIVER, references: 64 }],
    }
}

/// Packs a system, whose table takes at most four pages, and the image of its servers.
pub fn pack(change: impl FnOnce(&mut System)) -> Vec<u8> {
    let mut server = vec![0x90; 8192];
    server.extend_from_slice(DATA);
    server.resize(3 * 4096, 0);
    let mut system = system(&server, 6 * 4096);
    change(&mut system);
    let table = system.encode();
    let mut root = table.clone();
    root.resize(5 * 4096, 0);
    let header = Header {
        image_bytes: 9 * 4096,
        root_bytes: root.len() as u64,
        table_bytes: table.len() as u64,
        counts: Counts {
            slots: 5,
            servers: 5,
            regions: 20,
            handles: 64,
            ports: 2,
            windows: 1,
            grants: 64,
            tables: 99,
        },
        entry: 0x40_0000,
        stack_pages: 4,
        heap_pages: 4,
        handles: 32,
        segments: [
            Some(RootSegment {
                access: Access::Execute,
                offset: 5 * 4096,
                bytes: 4096,
                address: 0x40_0000,
                pages: 1,
            }),
            None,
            None,
            None,
        ],
    };
    let mut image = header.encode(&root).to_vec();
    image.extend_from_slice(&root);
    image.extend_from_slice(&server);
    image
}

/// The system as it is, for ever.
pub fn sample() -> &'static [u8] {
    Box::leak(pack(|_| {}).into_boxed_slice())
}

/// A changed system, for ever.
pub fn changed(change: impl FnOnce(&mut System)) -> &'static [u8] {
    Box::leak(pack(change).into_boxed_slice())
}

/// The region that the application keeps in [`keeping`], and where the supervisor's model has it.
pub const KEPT_PAGES: u32 = 3;

/// A system whose application keeps some pages, and has the driver's port and window.
pub fn keeping() -> &'static [u8] {
    changed(|system| {
        let region = system.regions.len() as u16;
        system.regions.push(Region { pages: KEPT_PAGES, grantable: false, keep: true });
        let driver = &mut system.slots[usize::from(DRIVER)];
        driver.maps.push(Map { region, address: abi::layout::KEEP, writable: true });
    })
}

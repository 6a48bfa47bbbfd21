//! ELF files as small as they can be, made by hand, right and wrong, for the corpus.
//!
//! Invariant: what [`Builder::new`] makes is accepted; each other image is that with one thing changed.

use abi::wiring::{GRANTABLE, Record, RecordKind, USED, WAIT, abi_record};

/// Program header: type, flags, address, bytes in the file, bytes in memory.
#[derive(Clone, Copy)]
pub struct Load(pub u32, pub u64, pub u64, pub u64);

const READ: u32 = 4;
const EXECUTE: u32 = 1;
const WRITE: u32 = 2;
/// A page of code where images begin.
const TEXT: Load = Load(READ | EXECUTE, 0x40_0000, 16, 16);
/// A page of data behind it.
const DATA: Load = Load(READ | WRITE, 0x40_1000, 8, 64);

/// An ELF to be.
pub struct Builder {
    pub class: u8,
    pub machine: u16,
    pub entry: u64,
    pub loads: Vec<Load>,
    pub note: Option<Vec<u8>>,
}

impl Builder {
    /// A server with these records.
    pub fn new(records: &[Record<'_>]) -> Self {
        let mut note = abi_record().to_vec();
        records.iter().for_each(|record| note.extend_from_slice(&record.encode()));
        Self { class: 2, machine: 62, entry: 0x40_0000, loads: vec![TEXT, DATA], note: Some(note) }
    }

    /// Its bytes: header, program headers, section headers, contents.
    pub fn bytes(&self) -> Vec<u8> {
        const NAMES: &[u8] = b"\0.wiring\0.shstrtab\0";
        let note = self.note.clone().unwrap_or_default();
        let sections = 64 + 56 * self.loads.len() as u64;
        let names_at = sections + 3 * 64;
        let note_at = names_at + NAMES.len() as u64;
        let data_at = note_at + note.len() as u64;
        let mut out = Vec::new();
        out.extend_from_slice(&[0x7f, b'E', b'L', b'F', self.class, 1, 1]);
        out.resize(16, 0);
        let word = |out: &mut Vec<u8>, value: u32| out.extend_from_slice(&value.to_le_bytes());
        let long = |out: &mut Vec<u8>, value: u64| out.extend_from_slice(&value.to_le_bytes());
        out.extend_from_slice(&2u16.to_le_bytes());
        out.extend_from_slice(&self.machine.to_le_bytes());
        word(&mut out, 1);
        [self.entry, 64, sections].into_iter().for_each(|value| long(&mut out, value));
        word(&mut out, 0);
        for half in [64, 56, self.loads.len() as u16, 64, 3, 2] {
            out.extend_from_slice(&half.to_le_bytes());
        }
        for Load(flags, address, bytes, size) in self.loads.iter().copied() {
            word(&mut out, 1);
            word(&mut out, flags);
            for value in [data_at, address, address, bytes, size, 4096] {
                long(&mut out, value);
            }
        }
        let named = if self.note.is_some() { 1 } else { 0 };
        let kinds = [(0, 0, 0, 0), (named, 1, note_at, note.len()), (9, 3, names_at, NAMES.len())];
        for (name, kind, at, length) in kinds {
            word(&mut out, name);
            word(&mut out, kind);
            for value in [0, 0, at, length as u64, 0, 1, 0] {
                long(&mut out, value);
            }
        }
        out.extend_from_slice(NAMES);
        out.extend_from_slice(&note);
        out.extend_from_slice(&[0x90; 16]);
        out
    }
}

fn serves(interface: &'static str, clients: u32) -> Record<'static> {
    Record { a: clients, interface, ..Record::new(RecordKind::Serves) }
}

fn need(index: u16, name: &'static str, interface: &'static str) -> Record<'static> {
    Record { index, name, interface, ..Record::new(RecordKind::Needs) }
}

fn method(number: u16, name: &'static str, hash: u64, flags: u8, owner: u32) -> Record<'static> {
    Record { index: number, name, hash, flags, a: owner, ..Record::new(RecordKind::Method) }
}

fn device(name: &'static str) -> Record<'static> {
    Record { name, ..Record::new(RecordKind::Device) }
}

fn memory(stack: u32, heap: u32) -> Record<'static> {
    Record { a: stack, b: heap, ..Record::new(RecordKind::Memory) }
}

const ASK: u64 = 11;
const AWAIT: u64 = 12;

/// A client of `sample` that uses one method.
fn client(used: Record<'static>) -> Builder {
    Builder::new(&[need(0, "sample", "sample"), used])
}

fn server(clients: u32) -> [Record<'static>; 3] {
    [serves("sample", clients), method(1, "ask", ASK, 0, 0), method(2, "await", AWAIT, WAIT, 0)]
}

fn changed(change: impl FnOnce(&mut Builder)) -> Builder {
    let mut builder = Builder::new(&[]);
    change(&mut builder);
    builder
}

/// The images that manifests of the corpus can name.
pub fn images() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = sound();
    all.extend(damaged());
    all
}

fn sound() -> Vec<(&'static str, Vec<u8>)> {
    let ask = method(1, "ask", ASK, USED, 0);
    let waiting = [need(0, "sample", "sample"), method(2, "await", AWAIT, USED | WAIT, 0)];
    let wide = Record { b: 1, ..need(0, "sample", "sample") };
    let grant = Record { flags: GRANTABLE, b: 1, ..serves("sample", 1) };
    let chain = [&server(2)[..], &[need(0, "sample", "sample"), ask][..]].concat();
    let control = Record { name: "kernel", ..Record::new(RecordKind::Control) };
    let list: [(&str, Builder); 21] = [
        ("supervisor", Builder::new(&[serves("supervisor", 220), memory(16, 64)])),
        (
            "calling-supervisor",
            Builder::new(&[serves("supervisor", 220), need(0, "sample", "sample"), ask]),
        ),
        ("log", Builder::new(&[serves("log", 4)])),
        ("idle", Builder::new(&[])),
        ("plain", Builder::new(&[need(0, "log", "log")])),
        ("server", Builder::new(&server(2))),
        ("many-clients", Builder::new(&server(70_000))),
        ("client", client(ask)),
        ("old-client", client(method(1, "ask", ASK + 1, USED, 0))),
        ("extra-client", client(method(9, "more", 9, USED, 0))),
        ("wide-client", Builder::new(&[wide, ask])),
        ("waiting-client", Builder::new(&waiting)),
        ("waiting-server", Builder::new(&[&server(2)[..], &waiting[..]].concat())),
        ("chain", Builder::new(&chain)),
        ("granting-server", Builder::new(&[grant])),
        ("vif-driver", Builder::new(&[device("vif")])),
        ("vbd-driver", Builder::new(&[device("vbd")])),
        ("store", Builder::new(&[device("store")])),
        ("deep-stack", Builder::new(&[memory(257, 1)])),
        ("manager", Builder::new(&[control])),
        ("no-stack", Builder::new(&[memory(0, 1)])),
    ];
    list.into_iter().map(|(name, builder)| (name, builder.bytes())).collect()
}

fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let stale = Record { hash: 1, ..Record::new(RecordKind::Abi) }.encode().to_vec();
    let gap = Builder::new(&[need(1, "log", "log")]);
    let loads = |loads: Vec<Load>| changed(|builder| builder.loads = loads);
    let page = |at: u64| Load(READ, 0x50_0000 + at * 0x1000, 1, 1);
    let list: [(&str, Builder); 16] = [
        ("no-note", changed(|builder| builder.note = None)),
        ("empty-note", changed(|builder| builder.note = Some(Vec::new()))),
        ("broken-note", changed(|builder| builder.note = Some(vec![7; 96]))),
        ("numbered-note", gap),
        ("stale-abi", changed(|builder| builder.note = Some(stale))),
        ("w-x", loads(vec![TEXT, Load(READ | WRITE | EXECUTE, 0x40_1000, 1, 1)])),
        ("outside", loads(vec![TEXT, Load(READ, 0x1000_0000, 1, 1)])),
        ("below", loads(vec![TEXT, Load(READ, 0x1000, 1, 1)])),
        ("wrapping", loads(vec![TEXT, Load(READ, 0xffff_ffff_ffff_f000, 1, 0x1000)])),
        ("shifted", loads(vec![TEXT, Load(READ, 0x40_2010, 1, 1)])),
        ("overlapping", loads(vec![TEXT, Load(READ, 0x40_0000, 1, 1)])),
        ("truncated", loads(vec![TEXT, Load(READ, 0x40_2000, 4096, 4096)])),
        ("elf32", changed(|builder| builder.class = 1)),
        ("arm", changed(|builder| builder.machine = 183)),
        ("entry-outside", changed(|builder| builder.entry = 0x40_1000)),
        ("five-segments", loads([vec![TEXT], (0..4).map(page).collect()].concat())),
    ];
    let mut all: Vec<_> = list.into_iter().map(|(name, builder)| (name, builder.bytes())).collect();
    // The file's type, and the type of its second program header.
    all.push(("position-independent", poked(16, 3)));
    all.push(("thread-local", poked(64 + 56, 7)));
    all.push(("not-an-elf", b"#!/bin/sh\n".to_vec()));
    all.push(("header-only", Builder::new(&[]).bytes().into_iter().take(64).collect()));
    all
}

/// A sound server with one byte changed.
fn poked(at: usize, value: u8) -> Vec<u8> {
    let mut bytes = Builder::new(&[]).bytes();
    bytes[at] = value;
    bytes
}

/// The kernels: `good`, `no-note`, `stale`, `not-an-elf`.
pub fn kernel(kind: &str) -> Vec<u8> {
    let all = damaged();
    let of = |name: &str| all.iter().find(|(image, _)| *image == name).map(|(_, bytes)| bytes);
    match kind {
        "stale" => of("stale-abi").cloned().unwrap_or_default(),
        "no-note" | "not-an-elf" => of(kind).cloned().unwrap_or_default(),
        _ => Builder::new(&[]).bytes(),
    }
}

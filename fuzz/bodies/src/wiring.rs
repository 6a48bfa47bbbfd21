//! A wiring note of any bytes: a record is none, or says the same when it is written again; a server with the note is refused,
//! or has what its records say.

#[path = "../../../tools/pack/tests/corpus/elf.rs"]
#[allow(dead_code)]
mod corpus;

use abi::wiring::{Record, RecordKind, abi_record, records};
use pack::elf::Elf;

/// Does it with these bytes. If the first is even, a record of the right ABI comes before the others.
pub fn body(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut note = if first % 2 == 0 { abi_record().to_vec() } else { Vec::new() };
    note.extend_from_slice(rest);
    for record in records(&note).flatten() {
        assert_eq!(Record::decode(&record.encode()), Some(record));
    }
    let server = corpus::Builder { note: Some(note.clone()), ..corpus::Builder::new(&[]) };
    if let Ok(elf) = Elf::parse("fuzz", &server.bytes()) {
        let of = |kind| records(&note).flatten().filter(|record| record.kind == kind).count();
        assert_eq!(
            (elf.needs.len(), elf.ports.len()),
            (of(RecordKind::Needs), of(RecordKind::Port))
        );
        assert_eq!(elf.windows.len(), of(RecordKind::Window));
    }
}

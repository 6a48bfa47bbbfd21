//! What an image is built for, as the supervisor compares it with another before a swap.

use ipc::system::PortTarget;
use ipc::system::wiring::{End, Record, Wiring};

use crate::elf::{self, Elf};

use abi::kernel::control::PortKind;

/// What the note of an image says. It was built for the ABI of this tool, which was checked.
pub fn of(elf: &Elf) -> Wiring {
    let writes = records(&elf.writes);
    let mut accepts = writes.clone();
    accepts.extend(records(&elf.accepts));
    Wiring {
        abi: abi::ABI_HASH,
        serves: elf.serves.iter().map(end).collect(),
        needs: elf.needs.iter().map(end).collect(),
        ports: elf.ports.iter().map(|kind| port(*kind)).collect(),
        windows: elf.windows.clone(),
        control: elf.control,
        clients: elf.clients,
        stack: elf.stack,
        heap: elf.heap,
        keep: elf.keep,
        writes,
        accepts,
    }
}

fn end(end: &elf::End) -> End {
    End {
        index: end.index,
        interface: end.interface.clone(),
        pages: (end.shape.up, end.shape.down),
        methods: end.methods.iter().map(|method| method.hash).collect(),
    }
}

fn records(records: &[(String, u64)]) -> Vec<Record> {
    let record = |(name, layout): &(String, u64)| Record { name: name.clone(), layout: *layout };
    records.iter().map(record).collect()
}

const fn port(kind: PortKind) -> PortTarget {
    match kind {
        PortKind::Peer => PortTarget::Peer,
        PortKind::Store => PortTarget::Store,
        PortKind::Console => PortTarget::Console,
    }
}

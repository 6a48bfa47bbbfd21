//! The wiring note: what a server is built for, inside its ELF (section `.wiring`), for `pack` alone to read.
//!
//! A note is a sequence of self-describing records of [`RECORD`] bytes, little endian, in any order. The macro
//! `ipc::wiring!` writes them at compile time from the same declaration that numbers the server's handles, so the two cannot
//! differ. The kernel's ELF has a note of one record, of kind [`RecordKind::Abi`].

use crate::trap::BITS_SHARED;
use crate::{Handle, Method};

/// Name of the ELF section.
pub const SECTION: &str = ".wiring";
/// Bytes in a record.
pub const RECORD: usize = 96;
/// Most bytes of a name in a record.
pub const NAME: usize = 28;
/// First bytes of each record.
const MAGIC: [u8; 4] = *b"XyWi";

/// Flag of a method record: it is used (of a need), not served.
pub const USED: u8 = 1;
/// Flag of a method record: its answer may come later.
pub const WAIT: u8 = 2;
/// Flag of a method record: it may be repeated.
pub const RETRY: u8 = 4;
/// Flag of a wire (serves, needs): its pages can be granted.
pub const GRANTABLE: u8 = 8;
/// Flag of a need: a manifest may leave it out; its handle is empty then, and its memory has no pages.
pub const OPTIONAL: u8 = 16;

crate::word_enum! {
    /// Kind of a record.
    pub enum RecordKind {
        /// `hash` is the kernel ABI that the ELF was built for.
        Abi = 1,
        /// A channel: `index` its number, `a` the most clients, `b` and `c` the pages of a wire's up and down part.
        Serves = 2,
        /// A need: `index` its number, `name` its local name, `b` and `c` as above.
        Needs = 3,
        /// A method: `index` its number, `a` the channel or need, `name`, `hash`.
        Method = 4,
        /// A port: `index` its number, `name`, `a` a [`crate::kernel::control::PortKind`].
        Port = 5,
        /// A window: `index` its number, `name`, `a` its references.
        Window = 6,
        /// A device class that the server drives (`name`: `vif`, `vbd`, `console`, `store`, `vchan`).
        Device = 7,
        /// `a` pages of stack, `b` pages of heap.
        Memory = 8,
        /// The server manages others; `name` is what it calls its control handle.
        Control = 9,
        /// A record of state that the server writes for its successor: `name`, and its layout as `hash`.
        Writes = 10,
        /// One that it can adopt; as above.
        Accepts = 11,
        /// `a` pages that survive a crash, at [`crate::layout::KEEP`].
        Keep = 12,
    }
}

/// The memory of a wire: one part that the client writes, one that the server writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WireShape {
    /// Pages that the client writes and the server reads.
    pub up: u32,
    /// Pages that the server writes and the client reads.
    pub down: u32,
    /// Whether the server may grant them to another domain.
    pub grantable: bool,
}

impl WireShape {
    /// No memory.
    pub const NONE: Self = Self::new(0, 0);

    /// A shape that cannot be granted.
    pub const fn new(up: u32, down: u32) -> Self {
        Self { up, down, grantable: false }
    }
}

/// How a server's handles and inbox bits are numbered, from the counts in its wiring alone. The macro that writes the note,
/// the server's run-time and `pack` all number by this.
///
/// Handles: 0 the kernel, 1 the supervisor, then needs, ports, windows, a manager's control handle, and one bell for each
/// client. Bits: ports, then needs,
/// then clients, up to [`crate::trap::BITS_SHARED`]; what lies beyond shares the last of these (a bit means *look*, never *who*).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Number of needs.
    pub needs: u16,
    /// Number of ports.
    pub ports: u16,
    /// Number of windows.
    pub windows: u16,
    /// 1 if it manages others, else 0.
    pub control: u16,
    /// Places for clients.
    pub clients: u16,
}

impl Numbers {
    /// Handles before the first need.
    pub const FIXED: u16 = 2;

    /// Handle of a need.
    pub const fn need(self, index: u16) -> Handle {
        Handle(Self::FIXED + index)
    }

    /// Handle of a port.
    pub const fn port(self, index: u16) -> Handle {
        Handle(Self::FIXED + self.needs + index)
    }

    /// Handle of a window.
    pub const fn window(self, index: u16) -> Handle {
        Handle(Self::FIXED + self.needs + self.ports + index)
    }

    /// A manager's control handle.
    pub const fn control(self) -> Handle {
        Handle(Self::FIXED + self.needs + self.ports + self.windows)
    }

    /// Handle of a client's bell.
    pub const fn bell(self, client: u16) -> Handle {
        Handle(self.control().0 + self.control + client)
    }

    /// Number of handles.
    pub const fn handles(self) -> u16 {
        self.bell(self.clients).0
    }

    /// Bit that a port's event sets.
    pub const fn port_bits(self, index: u16) -> u64 {
        bit(index)
    }

    /// Bit that the server of a need sets.
    pub const fn need_bits(self, index: u16) -> u64 {
        bit(self.ports + index)
    }

    /// Bit that a client sets.
    pub const fn client_bits(self, client: u16) -> u64 {
        bit(self.ports + self.needs + client)
    }
}

const fn bit(index: u16) -> u64 {
    let last = BITS_SHARED as u16 - 1;
    1 << (if index < last { index } else { last })
}

/// One record, borrowing its names from the note.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// What it says.
    pub kind: RecordKind,
    /// Flags; see the constants.
    pub flags: u8,
    /// Number, by kind.
    pub index: u16,
    /// By kind.
    pub a: u32,
    /// By kind.
    pub b: u32,
    /// By kind.
    pub c: u32,
    /// By kind.
    pub hash: u64,
    /// By kind.
    pub name: &'a str,
    /// Name of the interface, for wires and methods.
    pub interface: &'a str,
}

impl<'a> Record<'a> {
    /// A record with nothing but its kind.
    pub const fn new(kind: RecordKind) -> Self {
        Self { kind, flags: 0, index: 0, a: 0, b: 0, c: 0, hash: 0, name: "", interface: "" }
    }

    /// A record of a wire with this memory.
    pub const fn wire(kind: RecordKind, shape: WireShape) -> Self {
        let flags = if shape.grantable { GRANTABLE } else { 0 };
        Self { flags, b: shape.up, c: shape.down, ..Self::new(kind) }
    }

    /// The memory of a wire's record.
    pub const fn shape(&self) -> WireShape {
        WireShape { up: self.b, down: self.c, grantable: self.flags & GRANTABLE != 0 }
    }

    /// The bytes of the record. At compile time only: a name longer than [`NAME`] stops the build.
    pub const fn encode(&self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 4, &[self.kind as u8, self.flags]);
        put(&mut out, 6, &self.index.to_le_bytes());
        put(&mut out, 8, &self.a.to_le_bytes());
        put(&mut out, 12, &self.b.to_le_bytes());
        put(&mut out, 16, &self.c.to_le_bytes());
        put(&mut out, 24, &self.hash.to_le_bytes());
        assert!(
            self.name.len() <= NAME && self.interface.len() <= NAME,
            "a name in a wiring is too long"
        );
        put(&mut out, 32, self.name.as_bytes());
        put(&mut out, 64, self.interface.as_bytes());
        out
    }

    /// Decodes one record of exactly [`RECORD`] bytes; `None` if it is none.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() != RECORD || bytes.get(..4)? != MAGIC {
            return None;
        }
        Some(Self {
            kind: crate::Word::from_word(u64::from(*bytes.get(4)?))?,
            flags: *bytes.get(5)?,
            index: u16::from_le_bytes(array(bytes, 6)?),
            a: u32::from_le_bytes(array(bytes, 8)?),
            b: u32::from_le_bytes(array(bytes, 12)?),
            c: u32::from_le_bytes(array(bytes, 16)?),
            hash: u64::from_le_bytes(array(bytes, 24)?),
            name: name(bytes.get(32..32 + NAME)?)?,
            interface: name(bytes.get(64..64 + NAME)?)?,
        })
    }
}

/// Decodes a note; an item is `None` where the bytes are no record.
pub fn records(note: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    note.chunks(RECORD).map(Record::decode)
}

/// The record of one method of a channel or need.
pub const fn method_record(
    method: &Method,
    interface: &'static str,
    owner: u16,
    used: bool,
) -> [u8; RECORD] {
    let wait = if matches!(method.waiting, crate::Waiting::Wait) { WAIT } else { 0 };
    let retry = if method.retry { RETRY } else { 0 };
    let used = if used { USED } else { 0 };
    Record {
        flags: wait | retry | used,
        index: method.number,
        a: owner as u32,
        hash: method.hash,
        name: method.name,
        interface,
        ..Record::new(RecordKind::Method)
    }
    .encode()
}

/// The records of all methods of a channel or need; `N` is their number.
pub const fn method_records<const N: usize>(
    methods: &[Method],
    interface: &'static str,
    owner: u16,
    used: bool,
) -> [[u8; RECORD]; N] {
    let mut out = [[0; RECORD]; N];
    let mut i = 0;
    while i < N {
        out[i] = method_record(&methods[i], interface, owner, used);
        i += 1;
    }
    out
}

/// The record that names the ABI this crate was built as.
pub const fn abi_record() -> [u8; RECORD] {
    Record { hash: crate::ABI_HASH, ..Record::new(RecordKind::Abi) }.encode()
}

const fn put(out: &mut [u8; RECORD], at: usize, bytes: &[u8]) {
    let mut i = 0;
    while i < bytes.len() {
        out[at + i] = bytes[i];
        i += 1;
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn name(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(bytes.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{RECORD, Record, RecordKind, records};

    const SAMPLE: Record<'static> = Record {
        kind: RecordKind::Method,
        flags: 5,
        index: 3,
        a: 1,
        b: 2,
        c: 9,
        hash: 0x1234_5678_9abc_def0,
        name: "read",
        interface: "block",
    };

    #[test]
    fn records_survive_their_bytes() {
        assert_eq!(Record::decode(&SAMPLE.encode()), Some(SAMPLE));
    }

    #[test]
    fn a_truncated_note_says_so() {
        let bytes = SAMPLE.encode();
        for length in 1..RECORD {
            assert_eq!(records(&bytes[..length]).next(), Some(None));
        }
    }

    #[test]
    fn flipped_bytes_never_panic() {
        for at in 0..RECORD {
            for flip in [1u8, 0x80, 0xff] {
                let mut bytes = SAMPLE.encode();
                bytes[at] ^= flip;
                let _ = Record::decode(&bytes);
            }
        }
    }
}
